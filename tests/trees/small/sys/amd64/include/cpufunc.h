#ifndef _MACHINE_CPUFUNC_H_
#define	_MACHINE_CPUFUNC_H_
#define	CR4_PGE		0x00000080
#define	CR4_PCIDE	0x00020000
#define	CR3_PCID_SAVE	0x8000000000000000
#define	CR3_PCID_MASK	0xfff
#define	INVPCID_ADDR	0
#define	INVPCID_CTX	1
#define	INVPCID_CTXGLOB	2
#define	PSL_I		0x00000200
struct invpcid_descr {
	uint64_t	pcid:12 __attribute__((packed));
	uint64_t	pad:52 __attribute__((packed));
	uint64_t	addr;
} __attribute__((packed));

static __inline void
load_cr3(u_long data)
{

	__asm __volatile("movq %0,%%cr3" : : "r" (data) : "memory");
}

static __inline u_long
rcr3(void)
{
	u_long data;

	__asm __volatile("movq %%cr3,%0" : "=r" (data));
	return (data);
}

static __inline void
invpcid(struct invpcid_descr *d, int type)
{

	__asm __volatile("invpcid (%0),%1" : : "r" (d), "r" ((u_long)type) : "memory");
}

static __inline u_long
read_rflags(void)
{
	u_long flags;

	__asm __volatile("pushfq; popq %0" : "=r" (flags));
	return (flags);
}

static __inline void
invlpg(u_long addr)
{

	__asm __volatile("invlpg %0" : : "m" (*(char *)addr) : "memory");
}

static __inline int
ffsl(long mask)
{
	u_long bit;

	if (mask == 0)
		return (0);
	__asm __volatile("bsfq %1,%0" : "=r" (bit) : "rm" (mask));
	return ((int)bit + 1);
}

u_long	rcr4(void);
void	load_cr4(u_long);
void	ia32_pause(void);
register_t intr_disable(void);
void	intr_restore(register_t);

static __inline void
invltlb(void)
{

	load_cr3(rcr3());
}

static __inline void
invltlb_glob(void)
{
	u_long cr4;

	cr4 = rcr4();
	load_cr4(cr4 & ~(u_long)CR4_PGE);
	load_cr4(cr4 | CR4_PGE);
}
#endif
