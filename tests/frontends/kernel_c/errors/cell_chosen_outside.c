#include <sys/param.h>
struct thread;
#include <sys/systm.h>
#include <sys/proc.h>
#include <vm/vm.h>
#include <sys/pcpu.h>
#include <machine/cpufunc.h>

void broken(void) { *(kernel_pmap->pm_pml4[3] ? &kernel_pmap->pm_pcids[0].pm_gen : &kernel_pmap->pm_pcids[1].pm_gen) = 7; }
