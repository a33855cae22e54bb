#include <sys/param.h>
struct thread;
#include <sys/systm.h>
#include <sys/proc.h>
#include <vm/vm.h>
#include <sys/pcpu.h>
#include <machine/cpufunc.h>

static int count(cpuset_t s) { return (s.__bits[0] != 0); } void broken(void) { count(all_cpus); }
