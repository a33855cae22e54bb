#include <sys/param.h>
struct thread;
#include <sys/systm.h>
#include <sys/proc.h>
#include <vm/vm.h>
#include <sys/pcpu.h>
#include <machine/cpufunc.h>

extern struct pcpu *cpuid_to_pcpu[MAXCPU]; void broken(void) { cpuid_to_pcpu[0] = &__pcpu[1]; }
