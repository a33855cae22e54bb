#include <sys/param.h>
struct thread;
#include <sys/systm.h>
#include <sys/proc.h>
#include <vm/vm.h>
#include <sys/pcpu.h>
#include <machine/cpufunc.h>

void broken(void) { u_int *p = (u_int *)&kernel_pmap->pm_pml4[1]; p = &kernel_pmap->pm_pcids[0].pm_gen; *p = 7; }
