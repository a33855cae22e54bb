#include <sys/param.h>
struct thread;
#include <sys/systm.h>
#include <sys/proc.h>
#include <vm/vm.h>
#include <sys/pcpu.h>
#include <machine/cpufunc.h>

void broken(void) { int n; if (kernel_pmap->pm_flags) n = 1; kernel_pmap->pm_flags = n; }
