#ifndef _MACHINE_ATOMIC_H_
#define	_MACHINE_ATOMIC_H_
static __inline void
atomic_set_long(volatile u_long *p, u_long v)
{

	__asm __volatile("lock; orq %1,%0" : "+m" (*p) : "ir" (v));
}

static __inline void
atomic_clear_long(volatile u_long *p, u_long v)
{

	__asm __volatile("lock; andq %1,%0" : "+m" (*p) : "ir" (~v));
}

u_int	atomic_load_acq_int(volatile u_int *);
void	atomic_store_rel_int(volatile u_int *, u_int);
u_int	atomic_fetchadd_int(volatile u_int *, u_int);
u_int	atomic_swap_int(volatile u_int *, u_int);
int	atomic_cmpset_int(volatile u_int *, u_int, u_int);
void	atomic_add_int(volatile u_int *, u_int);
void	atomic_thread_fence_seq_cst(void);
void	atomic_thread_fence_rel(void);
#endif
