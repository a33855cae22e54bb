#ifndef _MACHINE_PMAP_H_
#define	_MACHINE_PMAP_H_
#include <sys/cpuset.h>
#include <sys/mutex.h>

#define	PMAP_PCID_NONE		0xffffffff
#define	PMAP_PCID_KERN		0
#define	PMAP_PCID_OVERMAX	0x1000
#define	PMAP_PCID_OVERMAX_KERN	0x800
#define	PMAP_PCID_USER_PT	0x800
#define	PMAP_NO_CR3		(~0UL)

enum pmap_type { PT_X86, PT_EPT };

struct pmap_pcids {
	uint32_t	pm_pcid;
	uint32_t	pm_gen;
};

struct pmap {
	struct mtx	pm_mtx;
	uint64_t	*pm_pml4;
	uint64_t	*pm_pml4u;
	uint64_t	pm_cr3;
	uint64_t	pm_ucr3;
	cpuset_t	pm_active;
	enum pmap_type	pm_type;
	struct { long resident_count; } pm_stats;
	int		pm_flags;
	struct pmap_pcids pm_pcids[MAXCPU];
};
typedef struct pmap *pmap_t;

extern struct pmap kernel_pmap_store;
#define	kernel_pmap	(&kernel_pmap_store)
extern int pmap_pcid_enabled, invpcid_works, pti;
extern u_long KPML4phys;

void	pmap_activate(struct thread *);
void	pmap_activate_boot(pmap_t);
void	pmap_activate_sw(struct thread *);
void	pmap_pti_pcid_invalidate(uint64_t, uint64_t);
void	pmap_pti_pcid_invlpg(uint64_t, uint64_t, vm_offset_t);
void	pmap_pti_pcid_invlrng(uint64_t, uint64_t, vm_offset_t, vm_offset_t);
#endif
