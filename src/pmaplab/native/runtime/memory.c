#define _GNU_SOURCE
#include "memory.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	LINE_BYTES = 64,
	SMALL = 32 << 10,	/* so few bytes come from the heap */
	HUGE_PAGE = 2 << 20,
	MOST_UNKNOWN = 1 << 30,
	MOST_SPARE = 64,
	MOST_SPARE_BYTES = 16 << 20
};

/* Of middle size, given back: to clear them takes less than to get others. */
static struct {
	void *pages;
	size_t bytes;
} spare[MOST_SPARE];
static unsigned spares;
static size_t spare_bytes;
static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;

static void *take_spare(size_t bytes)
{
	void *pages = NULL;

	pthread_mutex_lock(&spare_lock);
	for (unsigned i = spares; i-- > 0 && pages == NULL;) {
		if (spare[i].bytes != bytes)
			continue;
		pages = spare[i].pages;
		spare[i] = spare[--spares];
		spare_bytes -= bytes;
	}
	pthread_mutex_unlock(&spare_lock);
	return pages;
}

static int keep_spare(void *pages, size_t bytes)
{
	int kept = 0;

	pthread_mutex_lock(&spare_lock);
	if (bytes < HUGE_PAGE && spares < MOST_SPARE && spare_bytes + bytes <= MOST_SPARE_BYTES) {
		spare[spares].pages = pages;
		spare[spares++].bytes = bytes;
		spare_bytes += bytes;
		kept = 1;
	}
	pthread_mutex_unlock(&spare_lock);
	return kept;
}

static void *small_map(size_t bytes)
{
	size_t room = (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
	void *lines = aligned_alloc(LINE_BYTES, room);

	return lines == NULL ? NULL : memset(lines, 0, room);
}

void *pages_map(size_t bytes, int huge)
{
	void *pages;

	if (bytes <= SMALL)
		return small_map(bytes);
	pages = bytes < HUGE_PAGE ? take_spare(bytes) : NULL;
	if (pages != NULL)
		return memset(pages, 0, bytes);
	pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
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

void *pages_any(size_t bytes)
{
	void *pages = take_spare(bytes);

	return pages == NULL ? pages_map(bytes, 0) : pages;
}

size_t pages_spare(void)
{
	return spare_bytes;
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
	if (bytes <= SMALL)
		free(pages);
	else if (pages != NULL && !keep_spare(pages, bytes))
		(void)munmap(pages, bytes);
}

void *pages_resize(void *pages, size_t from, size_t to)
{
	void *others = pages_map(to, 0);

	if (others != NULL && pages != NULL) {
		memcpy(others, pages, from < to ? from : to);
		pages_unmap(pages, from);
	}
	return others;
}
