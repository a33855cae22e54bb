#ifndef _MACHINE_PCPU_H_
#define	_MACHINE_PCPU_H_
struct amd64tss {
	uint64_t	tss_rsp0;
	uint64_t	tss_ist1;
};
#define	PCPU_MD_FIELDS							\
	struct pmap	*pc_curpmap;					\
	struct amd64tss	*pc_tssp;					\
	uint64_t	pc_kcr3;					\
	uint64_t	pc_ucr3;					\
	register_t	pc_rsp0;					\
	register_t	pc_pti_rsp0;					\
	uint64_t	pc_pm_save_cnt;					\
	uint32_t	pc_pcid_next;					\
	uint32_t	pc_pcid_gen;					\
	uint32_t	pc_smp_tlb_done;				\
	u_int		pc_apic_id
#define	PCPU_GET(member) __extension__ ({				\
	__typeof(((struct pcpu *)0)->pc_ ## member) __res;		\
	__asm __volatile("mov %%gs:%1,%0" : "=r" (__res)		\
	    : "m" (*(struct pcpu *)0));					\
	__res;								\
})
#define	PCPU_SET(member, val)						\
	__asm __volatile("mov %0,%%gs:0" : : "r" (val))
#define	PCPU_INC(member)						\
	__asm __volatile("incq %gs:0")
#define	curthread	PCPU_GET(curthread)
#endif
