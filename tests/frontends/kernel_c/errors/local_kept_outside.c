#include <sys/param.h>
struct thread;
#include <sys/systm.h>
#include <sys/proc.h>
#include <vm/vm.h>
#include <sys/pcpu.h>
#include <machine/cpufunc.h>

void broken(void) { int n = 0; kernel_pmap->pm_pml4[3] = (unsigned long)&n; kernel_pmap->pm_flags = n; }
