#include <sys/param.h>
struct thread;
#include <sys/systm.h>
#include <sys/proc.h>
#include <vm/vm.h>
#include <sys/pcpu.h>
#include <machine/cpufunc.h>

static int count(struct proc p) { return (p.p_pid); } void broken(void) { count(proc0); }
