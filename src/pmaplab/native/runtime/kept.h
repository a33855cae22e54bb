/*
 * What steps did before: from the fields that a step depends on to what came
 * out.  An entry is one line of the cache.  Any number of threads look up while
 * one, which holds a lock, inserts.
 */
#ifndef PMAPLAB_KEPT_H
#define PMAPLAB_KEPT_H

#include <stddef.h>

#include "lanes.h"

struct kept_step {
	struct wide key;	/* the top of its first lane is not 0 */
	struct wide value;
};

struct kept_steps {
	uint64_t last;		/* the number of entries, less one */
	uint64_t count;
	struct kept_steps *older;	/* may still be read */
	struct kept_step *step;
};

/* Room for so many at least. */
int kept_open(struct kept_steps **all, uint64_t most);
void kept_close(struct kept_steps **all);
/* While nobody looks up: give back what was too small. */
void kept_tidy(struct kept_steps *all);
/* Under a lock; the key is not there yet.  0, or -1 without memory. */
int kept_put(struct kept_steps **all, const struct wide *key, const struct wide *value);

static inline uint64_t kept_hash(const struct wide *key)
{
	uint64_t x = key->lane[0] * 0x9e3779b97f4a7c15u ^ key->lane[1] * 0xc2b2ae3d27d4eb4fu;

	x ^= key->lane[2] * 0x165667b19e3779f9u ^ key->lane[3] * 0x27d4eb2f165667c5u;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93u;
	return x ^ x >> 29;
}

static inline void kept_prefetch(struct kept_steps *const *steps, uint64_t hash)
{
	const struct kept_steps *all = __atomic_load_n(steps, __ATOMIC_ACQUIRE);

	__builtin_prefetch(&all->step[hash & all->last]);
}

/* What was kept for a key, or NULL. */
static inline const struct wide *kept_get(struct kept_steps *const *steps, const struct wide *key,
    uint64_t hash)
{
	const struct kept_steps *all = __atomic_load_n(steps, __ATOMIC_ACQUIRE);

	for (uint64_t at = hash & all->last;; at = at + 1 & all->last) {
		const struct kept_step *step = &all->step[at];
		/* The first lane is written last. */
		uint64_t found = __atomic_load_n(&step->key.lane[0], __ATOMIC_ACQUIRE);

		if (found == 0)
			return NULL;
		if (found == key->lane[0] && step->key.lane[1] == key->lane[1] &&
		    step->key.lane[2] == key->lane[2] && step->key.lane[3] == key->lane[3])
			return &step->value;
	}
}

#endif
