/* A small kernel in FreeBSD's manner, written for the tests of pmaplab. */
#ifndef _SYS_PARAM_H_
#define	_SYS_PARAM_H_

#undef __FreeBSD_version
#define	__FreeBSD_version 1300900

#include <sys/types.h>

#define	NULL		((void *)0)
#define	PAGE_SIZE	4096
#define	howmany(x, y)	(((x) + ((y) - 1)) / (y))
#endif
