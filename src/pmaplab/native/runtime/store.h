/*
 * The set of states visited: exact, eight or twelve bytes a slot.
 *
 * A state is a word of up to 59 + B bits, where the set has at least 2^B buckets.
 * Its low 59 bits are in the slot; the others, at most B, are told by the bucket
 * where the search for it begins (a quotient, as in Cleary's tables): they are
 * exclusive-ored, the lowest bit first, onto the top of a hash of the low bits, which
 * is then scaled to the number of buckets.  So words may become longer while the set is
 * in use.  A slot also holds at which try a place
 * was found for it, so that the bucket where it began is known, and one mark.  Wider
 * words have up to 31 more bits in a second part of four bytes.  A bucket is one
 * line of the cache: eight slots, or five with their second parts.
 *
 * The order of buckets is that of hashes, whatever their number: a store grows by
 * a little where it is, from its end to its beginning, and fresh pages are needed for
 * what it grows by alone.  Its addresses are asked for once, memory when it is used.
 */
#ifndef PMAPLAB_STORE_H
#define PMAPLAB_STORE_H

#include <stddef.h>
#include <stdint.h>

typedef unsigned __int128 word;

enum {
	LOW_BITS = 59,		/* of a word, in its slot */
	UPPER_BITS = 31,	/* of a word, in its second part */
	SLOTS = 8,		/* of a bucket */
	WIDE_SLOTS = 5,		/* of a bucket, where words have second parts */
	LINE = 8,		/* 64-bit words of a bucket */
	FARTHEST = 15		/* tries */
};

struct store {
	uint64_t *slots;
	uint64_t buckets;
	unsigned high;		/* bits of a word above the low ones, told by buckets */
	unsigned upper;		/* and above these, in second parts */
	size_t room;		/* bytes of addresses */
};

/* What is in a slot, wherever that is: the hash tells its bucket, and the bits above the
 * low ones. */
struct moving_slot {
	uint64_t low, hash;
	uint32_t upper;
};

/* Slots that wait to be put back into a store that grows. */
struct aside {
	struct moving_slot *slot;
	uint64_t count, room;
};

enum stored { STORED_NEW, STORED_BEFORE, STORE_FULL };

/* An empty store of at least 2^high buckets, perhaps in the place of what `store` was
 * before: all zeros, or a store.  0, or -1 when there is no memory. */
int store_open(struct store *store, uint64_t buckets, unsigned high, unsigned upper);
void store_close(struct store *store);
uint64_t store_bytes(uint64_t buckets);
uint64_t store_slots(const struct store *store);
/* The bits of a word that some number of buckets can tell. */
unsigned store_high(uint64_t buckets);

/* The bucket where the search for a state begins. */
uint64_t store_home(const struct store *store, word state);
void store_prefetch(const struct store *store, uint64_t home);
/* Any number of threads may put at once; `home` is that of the state. */
enum stored store_put(struct store *store, word state, uint64_t home);
/* The same, one try at a time, counted from 0 to FARTHEST - 1: STORE_FULL where another one
 * is needed, whose line is asked for. */
enum stored store_try(struct store *store, word state, uint64_t home, unsigned distance);
/* The slot of a state that is there, else NULL. */
uint64_t *store_find(const struct store *store, word state);

int slot_marked(const uint64_t *slot);
void slot_mark(uint64_t *slot, int mark);

/* More buckets, for a store that is then spread over them: stage by stage, from its end;
 * -1 when there is no room for them. */
int store_grow(struct store *store, uint64_t buckets);
/* The first bucket of the stage that ends at bucket `to`, where there were `before`
 * buckets; 0 for the last one. */
uint64_t store_stage(const struct store *store, uint64_t before, uint64_t to);
/* Move what is in buckets `from` to `to` (exclusive) of a stage that ends at `end` to
 * where it belongs now, or aside; the parts of a stage at the same time by any number
 * of threads.  0, or -1 without memory. */
int store_spread(struct store *store, uint64_t before, uint64_t from, uint64_t to, uint64_t end,
    struct aside *aside);
/* All of one list to the end of another; -1 without memory. */
int aside_move(struct aside *to, struct aside *from);
void aside_close(struct aside *aside);
/* Behind the last stage: what was put aside; -1 when the store is full.  It is given
 * back. */
int store_put_back(struct store *store, struct aside *aside);

#endif
