#include <sys/param.h>
struct thread;
#include <sys/systm.h>
#include <sys/proc.h>
#include <vm/vm.h>
#include <sys/pcpu.h>
#include <machine/cpufunc.h>

void broken(void) { struct pmap_pcids *p = &kernel_pmap->pm_pcids[0]; p++; p->pm_gen = 1; }
