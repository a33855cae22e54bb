#include <sys/param.h>
struct thread;
#include <sys/systm.h>
#include <sys/proc.h>
#include <vm/vm.h>
#include <sys/pcpu.h>
#include <machine/cpufunc.h>

void broken(void) { while (1) ia32_pause(); }
