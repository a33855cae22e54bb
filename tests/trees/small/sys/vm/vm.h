#ifndef _VM_VM_H_
#define	_VM_VM_H_
struct vm_page {
	vm_paddr_t	phys_addr;
	u_short		flags;
};
typedef struct vm_page *vm_page_t;
#define	VM_PAGE_TO_PHYS(m)	((m)->phys_addr)
vm_page_t vm_page_alloc(void *, u_long, int);

#include <machine/pmap.h>

struct vmspace {
	int		vm_refcnt;
	struct pmap	vm_pmap;
};
#define	vmspace_pmap(vm)	(&(vm)->vm_pmap)
#endif
