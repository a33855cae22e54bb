/*
 * Memory of the search: large, zeroed, counted, and never assumed to be there.
 */
#ifndef PMAPLAB_MEMORY_H
#define PMAPLAB_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed pages, or lines of the cache where it is little: many take memory only where they
 * are written; NULL when there is no room.  `huge` asks for huge pages. */
void *pages_map(size_t bytes, int huge);
/* Pages with anything in them. */
void *pages_any(size_t bytes);
/* Addresses of zeroed pages, as many as this machine has and at least so many bytes; how
 * many in `*room`.  NULL when there are not so many. */
void *pages_reserve(size_t least, size_t *room);
void pages_unmap(void *pages, size_t bytes);
/* In place of some pages (or NULL) more or fewer, zeroed where there was nothing; NULL, and
 * the old ones stay, when there is no room. */
void *pages_resize(void *pages, size_t from, size_t to);
/* Bytes that were given back and are kept for the next who asks. */
size_t pages_spare(void);

#endif
