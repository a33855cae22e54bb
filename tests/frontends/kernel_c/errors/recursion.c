#include <sys/param.h>
struct thread;
#include <sys/systm.h>
#include <sys/proc.h>
#include <vm/vm.h>
#include <sys/pcpu.h>
#include <machine/cpufunc.h>

static void again(int n) { if (n) again(n - 1); } void broken(void) { again(kernel_pmap->pm_flags); }
