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
/* Let the pages inside of this part go: they read as zeros again. */
void pages_release(void *pages, size_t bytes);
void pages_unmap(void *pages, size_t bytes);

#endif
