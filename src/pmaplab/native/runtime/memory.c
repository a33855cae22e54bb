#define _GNU_SOURCE
#include "memory.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20, MOST_UNKNOWN = 1 << 30 };

void *pages_map(size_t bytes, int huge)
{
	void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (pages == MAP_FAILED)
		return NULL;
#ifdef MADV_HUGEPAGE
	if (huge && bytes >= HUGE_PAGE)
		(void)madvise(pages, bytes, MADV_HUGEPAGE);
#endif
	(void)huge;
	return pages;
}

void *pages_reserve(size_t least, size_t *room)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	size_t bytes = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : MOST_UNKNOWN;

	/* A limit of addresses may allow less. */
	for (; bytes > least; bytes /= 2) {
		void *found = pages_map(bytes, 1);

		*room = bytes;
		if (found != NULL)
			return found;
	}
	*room = least;
	return pages_map(least, 1);
}

void pages_unmap(void *pages, size_t bytes)
{
	if (pages != NULL)
		(void)munmap(pages, bytes);
}
