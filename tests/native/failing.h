/* In front of the runtime: the allocation with the number $FAIL_AT fails, once. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

static int fails(void)
{
	static long made, wanted = -1;

	if (wanted < 0)
		wanted = getenv("FAIL_AT") == NULL ? 0 : atol(getenv("FAIL_AT"));
	if (__atomic_add_fetch(&made, 1, __ATOMIC_RELAXED) != wanted)
		return 0;
	errno = ENOMEM;
	return 1;
}

#define calloc(count, size)	(fails() ? NULL : calloc(count, size))
#define realloc(old, size)	(fails() ? NULL : realloc(old, size))
#define aligned_alloc(by, size)	(fails() ? NULL : aligned_alloc(by, size))
#define mmap(...)		(fails() ? MAP_FAILED : mmap(__VA_ARGS__))
