#ifndef _SYS_PCPU_H_
#define	_SYS_PCPU_H_
#include <machine/pcpu.h>
struct pcpu {
	struct thread	*pc_curthread;
	struct thread	*pc_idlethread;
	u_int		pc_cpuid;
	PCPU_MD_FIELDS;
};
extern struct pcpu __pcpu[MAXCPU];
extern struct pcpu *cpuid_to_pcpu[MAXCPU];
void	pcpu_init(struct pcpu *, int, size_t);
#endif
