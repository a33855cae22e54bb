/*
 * Memory of the search: large, zeroed, counted, and never assumed to be there.
 */
#ifndef PMAPLAB_MEMORY_H
#define PMAPLAB_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed pages, which take memory only where they are written; NULL when there
 * is no room.  `huge` asks for huge pages. */
void *pages_map(size_t bytes, int huge);
/* Addresses of zeroed pages, as many as this machine has and at least so many bytes; how
 * many in `*room`.  NULL when there are not so many. */
void *pages_reserve(size_t least, size_t *room);
void pages_unmap(void *pages, size_t bytes);

#endif
