#ifndef _SYS_PROC_H_
#define	_SYS_PROC_H_
struct pcb;
struct vmspace;
struct proc {
	struct vmspace	*p_vmspace;
	int		p_pid;
};
struct thread {
	struct proc	*td_proc;
	u_int		td_critnest;
	struct pcb	*td_pcb;
};
extern struct proc proc0;
#endif
