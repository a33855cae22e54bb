#ifndef _SYS_SYSTM_H_
#define	_SYS_SYSTM_H_
void	panic(const char *, ...) __attribute__((noreturn));
void	kassert_panic(const char *, ...);
int	printf(const char *, ...);
void	bzero(void *, size_t);
void	critical_enter(void);
void	critical_exit(void);
void	sched_throw(struct thread *);
void	sched_pin(void);
void	sched_unpin(void);

#ifdef INVARIANTS
#define	KASSERT(exp, msg) do {						\
	if (__predict_false(!(exp)))					\
		kassert_panic msg;					\
} while (0)
#else
#define	KASSERT(exp, msg) do { } while (0)
#endif
#define	MPASS(ex)							\
	KASSERT((ex), ("Assertion %s failed at %s:%d", #ex, __FILE__, __LINE__))
#define	CRITICAL_ASSERT(td)						\
	KASSERT((td)->td_critnest >= 1, ("not in a critical section"))
extern int mp_ncpus;
extern u_int mp_maxid;
extern int bootverbose;
#endif
