/*
 * A table of what was computed before: from the fields that it depends on to
 * what came out.  Any number of threads look up while one, which holds a lock,
 * inserts.
 */
#ifndef PMAPLAB_MEMO_H
#define PMAPLAB_MEMO_H

#include <stdint.h>

#include "store.h"

struct entry {
	word key, value;
};

struct entries {
	uint64_t last;		/* the number of entries, less one */
	uint64_t count;
	struct entries *older;	/* may still be read; freed by memo_clear */
	struct entry entry[];
};

struct memo {
	struct entries *entries;
};

int memo_open(struct memo *memo);
void memo_close(struct memo *memo);
void entries_free(struct entries *entries);
/* Forget everything, while nobody looks up; 0, or -1 without memory. */
int memo_clear(struct memo *memo);
/* Under a lock; the key is not there yet.  0, or -1 without memory. */
int memo_put(struct memo *memo, word key, word value);

static inline uint64_t memo_hash(word key)
{
	uint64_t x = (uint64_t)key * 0x9e3779b97f4a7c15u ^
	    (uint64_t)(key >> 64) * 0xc2b2ae3d27d4eb4fu;

	return x ^ x >> 32;
}

static inline void memo_prefetch(const struct memo *memo, word key)
{
	const struct entries *all = __atomic_load_n(&memo->entries, __ATOMIC_ACQUIRE);

	__builtin_prefetch(&all->entry[memo_hash(key) & all->last]);
}

/* Whether `key` is there.  Its top bit is set: that of a free entry is not. */
static inline int memo_get(const struct memo *memo, word key, word *value)
{
	const struct entries *all = __atomic_load_n(&memo->entries, __ATOMIC_ACQUIRE);
	uint64_t low = (uint64_t)key, high = (uint64_t)(key >> 64);

	for (uint64_t at = memo_hash(key) & all->last;; at = at + 1 & all->last) {
		const uint64_t *halves = (const uint64_t *)&all->entry[at].key;
		/* The upper half is written last. */
		uint64_t found = __atomic_load_n(&halves[1], __ATOMIC_ACQUIRE);

		if (found == high && halves[0] == low) {
			*value = all->entry[at].value;
			return 1;
		}
		if (found == 0)
			return 0;
	}
}

#endif
