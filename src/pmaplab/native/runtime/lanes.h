/*
 * Lanes: a state is the numbers of its components, each in its field of one of
 * a few words.  What such a word, a lane, holds is kept once as well, under a
 * number; the numbers of the lanes together are the state's key, which is short
 * enough for the store.  Fields can so have bits to spare, and move within
 * their lane without a change of any key.
 */
#ifndef PMAPLAB_LANES_H
#define PMAPLAB_LANES_H

#include <stdint.h>

#include "store.h"

enum {
	LANES = 4,
	LANE_BITS = 63,		/* of a lane that are fields */
	FIRST_LANE_LESS = 15,	/* fewer in the first one: memos have use for its top */
	MOST_THREADS = 256
};

struct wide {
	uint64_t lane[LANES];
};

struct lane_slot {
	uint64_t content;	/* with the top bit set, or 0 */
	uint64_t number;	/* plus one; 0 while it is being written */
};

struct lane {
	uint64_t *content;	/* by number */
	struct lane_slot *slot;
	unsigned bits;		/* 2^bits slots */
	uint64_t count, most;	/* contents, and how many there may be */
	unsigned width, shift;	/* of its number, in a key */
};

#define LANE_TOP	((uint64_t)1 << 63)

/* Room for 2^bits slots and numbers of some width; 0, or -1 without memory. */
int lane_open(struct lane *lane, unsigned bits, unsigned width);
void lane_close(struct lane *lane);
uint64_t lane_bytes(const struct lane *lane);
/* More room, also for wider numbers; numbers stay. */
int lane_grow(struct lane *lane, unsigned bits, unsigned width);
/* How many contents there may be, from the room and the width. */
void lane_limit(struct lane *lane);
/* Replace every content, one to one, while nobody looks. */
int lane_change(struct lane *lane, uint64_t (*changed)(const void *how, uint64_t content),
    const void *how);

/* The bits of the numbers below `count`. */
static inline unsigned bits_for(uint64_t count)
{
	unsigned bits = 0;

	while (((uint64_t)1 << bits) < count)
		bits++;
	return bits;
}

static inline uint64_t lane_hash(uint64_t content)
{
	content *= 0x9e3779b97f4a7c15u;
	content ^= content >> 32;
	content *= 0xd6e8feb86659fd93u;
	return content ^ content >> 32;
}

static inline void lane_prefetch(const struct lane *lane, uint64_t content)
{
	__builtin_prefetch(&lane->slot[lane_hash(content) & (((uint64_t)1 << lane->bits) - 1)]);
}

/* The number of a content, any number of threads at once; a new one where it is
 * not known and `add` says so; -1 where there is none. */
static inline int lane_number(struct lane *lane, uint64_t content, int add, uint64_t *number)
{
	uint64_t last = ((uint64_t)1 << lane->bits) - 1, wanted = content | LANE_TOP, found;

	for (uint64_t at = lane_hash(content) & last;; at = at + 1 & last) {
		struct lane_slot *slot = &lane->slot[at];
		uint64_t seen = __atomic_load_n(&slot->content, __ATOMIC_RELAXED);

		if (seen == 0) {
			if (!add || __atomic_load_n(&lane->count, __ATOMIC_RELAXED) >= lane->most)
				return -1;
			if (__atomic_compare_exchange_n(&slot->content, &seen, wanted, 0,
			    __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
				*number = __atomic_fetch_add(&lane->count, 1, __ATOMIC_RELAXED);
				lane->content[*number] = content;
				__atomic_store_n(&slot->number, *number + 1, __ATOMIC_RELEASE);
				return 0;
			}
		}
		if (seen != wanted)
			continue;
		while ((found = __atomic_load_n(&slot->number, __ATOMIC_ACQUIRE)) == 0)
			;
		*number = found - 1;
		return 0;
	}
}

#endif
