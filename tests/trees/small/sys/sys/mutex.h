#ifndef _SYS_MUTEX_H_
#define	_SYS_MUTEX_H_
struct mtx {
	volatile uintptr_t	mtx_lock;
};
#define	mtx_init(m, n, t, o)	((m)->mtx_lock = 0)
#define	mtx_lock_spin(m)	__mtx_lock_spin((m))
#define	mtx_unlock_spin(m)	__mtx_unlock_spin((m))
#endif
