#ifndef _SYS_TYPES_H_
#define	_SYS_TYPES_H_
typedef unsigned char	u_char, uint8_t;
typedef unsigned short	u_short, uint16_t;
typedef unsigned int	u_int, uint32_t;
typedef unsigned long	u_long, uint64_t, uintptr_t, vm_offset_t, vm_paddr_t, size_t;
typedef long		register_t, int64_t;
typedef int		int32_t;
typedef _Bool		bool;
#define	true		1
#define	false		0
#define	__unused	__attribute__((__unused__))
#define	__used		__attribute__((__used__))
#define	__predict_false(exp)	__builtin_expect((exp), 0)
#define	__predict_true(exp)	__builtin_expect((exp), 1)
#endif
