#ifndef _SYS_CPUSET_H_
#define	_SYS_CPUSET_H_
#include <machine/atomic.h>

#define	_NCPUBITS	(sizeof(long) * 8)
#define	_NCPUWORDS	howmany(MAXCPU, _NCPUBITS)
typedef struct _cpuset {
	long	__bits[_NCPUWORDS];
} cpuset_t;

#define	__cpuset_word(n)	(_NCPUWORDS == 1 ? 0 : (n) / _NCPUBITS)
#define	__cpuset_mask(n)	(1L << (_NCPUWORDS == 1 ? (n) : (n) % _NCPUBITS))
#define	CPU_SET(n, p)	((p)->__bits[__cpuset_word(n)] |= __cpuset_mask(n))
#define	CPU_CLR(n, p)	((p)->__bits[__cpuset_word(n)] &= ~__cpuset_mask(n))
#define	CPU_ISSET(n, p)	(((p)->__bits[__cpuset_word(n)] & __cpuset_mask(n)) != 0)
#define	CPU_SET_ATOMIC(n, p)						\
	atomic_set_long((volatile u_long *)&(p)->__bits[__cpuset_word(n)], __cpuset_mask(n))
#define	CPU_CLR_ATOMIC(n, p)						\
	atomic_clear_long((volatile u_long *)&(p)->__bits[__cpuset_word(n)], __cpuset_mask(n))
#define	CPU_ZERO(p) do {						\
	size_t __i;							\
	for (__i = 0; __i < _NCPUWORDS; __i++)				\
		(p)->__bits[__i] = 0L;					\
} while (0)
#define	CPU_FILL(p) do {						\
	size_t __i;							\
	for (__i = 0; __i < _NCPUWORDS; __i++)				\
		(p)->__bits[__i] = -1L;					\
} while (0)
#define	CPU_EMPTY(p) __extension__ ({					\
	size_t __i;							\
	for (__i = 0; __i < _NCPUWORDS; __i++)				\
		if ((p)->__bits[__i])					\
			break;						\
	__i == _NCPUWORDS;						\
})

#define	CPU_FFS(p) __extension__ ({					\
	size_t __i;							\
	int __bit = 0;							\
	for (__i = 0; __i < _NCPUWORDS && __bit == 0; __i++)		\
		if ((p)->__bits[__i] != 0)				\
			__bit = ffsl((p)->__bits[__i]) + __i * _NCPUBITS; \
	__bit;								\
})

extern cpuset_t all_cpus;
#define	CPU_ABSENT(x_cpu)	(!CPU_ISSET(x_cpu, &all_cpus))
#define	CPU_FOREACH(i)							\
	for ((i) = 0; (i) <= mp_maxid; (i)++)				\
		if (!CPU_ABSENT((i)))
#endif
