#include "store.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "memory.h"

enum {
	LAST_STAGE = 64,	/* buckets that are put aside as they are */
	BESIDE = 2,		/* tries that lead to a state's home or beside it */
	COUNTED = 8,		/* buckets whose slots are counted */
	AHEAD_HOMES = 16
};

#define LOW_MASK	(((uint64_t)1 << LOW_BITS) - 1)
#define MARK		((uint64_t)1 << LOW_BITS)
#define DISTANCE_SHIFT	(LOW_BITS + 1)

static uint64_t mixed(uint64_t low)
{
	low ^= low >> 32;
	low *= 0xd6e8feb86659fd93u;
	low ^= low >> 29;
	low *= 0xff51afd7ed558ccdu;
	return low ^ low >> 32;
}

uint64_t store_bytes(uint64_t buckets)
{
	return buckets * LINE * sizeof(uint64_t);
}

uint64_t store_slots(const struct store *store)
{
	return (store->upper ? WIDE_SLOTS : SLOTS) * store->buckets;
}

unsigned store_high(uint64_t buckets)
{
	return 63 - (unsigned)__builtin_clzll(buckets);
}

int store_open(struct store *store, uint64_t buckets, unsigned high, unsigned upper)
{
	size_t bytes = store_bytes(buckets);

	if (bytes > store->room) {
		store_close(store);
		store->slots = pages_reserve(bytes, &store->room);
	} else if (store->slots != NULL) {
		memset(store->slots, 0, store_bytes(store->buckets));
	}
	store->buckets = buckets;
	store->high = high;
	store->upper = upper;
	return store->slots == NULL ? -1 : 0;
}

void store_close(struct store *store)
{
	pages_unmap(store->slots, store->room);
	store->slots = NULL;
	store->room = 0;
}

/* The first bit becomes the last one. */
static uint64_t reversed(uint64_t bits)
{
	bits = __builtin_bswap64(bits);
	bits = bits >> 4 & 0x0f0f0f0f0f0f0f0fu | (bits & 0x0f0f0f0f0f0f0f0fu) << 4;
	bits = bits >> 2 & 0x3333333333333333u | (bits & 0x3333333333333333u) << 2;
	return bits >> 1 & 0x5555555555555555u | (bits & 0x5555555555555555u) << 1;
}

static uint64_t hash_of(const struct store *store, word state)
{
	uint64_t hash = mixed((uint64_t)state & LOW_MASK);
	uint64_t bits = ((uint64_t)1 << store->high) - 1;

	/* Small numbers are far from each other, and one more bit changes nothing. */
	return hash ^ reversed((uint64_t)(state >> LOW_BITS) & bits);
}

static uint64_t home_of_hash(const struct store *store, uint64_t hash)
{
	return (uint64_t)((word)hash * store->buckets >> 64);
}

uint64_t store_home(const struct store *store, word state)
{
	return home_of_hash(store, hash_of(store, state));
}

void store_prefetch(const struct store *store, uint64_t home)
{
	__builtin_prefetch(&store->slots[home * LINE]);
}

/* How far from its home a state is at its first, second, ... try: beside it first, then
 * anywhere.  Its low bits tell, which many states share: each time it is another distance. */
static uint64_t offset_of(const struct store *store, uint64_t low, uint64_t distance)
{
	if (distance < BESIDE)
		return distance;
	return home_of_hash(store, mixed(low ^ distance << LOW_BITS));
}

/* The bucket of a try. */
static uint64_t *bucket_at(const struct store *store, uint64_t low, uint64_t home,
    uint64_t distance)
{
	uint64_t at = home + offset_of(store, low, distance);

	return &store->slots[(at < store->buckets ? at : at - store->buckets) * LINE];
}

/* What slots of a bucket hold: two bits for each. */
struct seen {
	unsigned same;		/* what is wanted, marked or not */
	unsigned free;		/* nothing */
};

/* Each slot is read once: what is put into one that is free can be in none before it. */
static inline struct seen look_into(const struct store *store, const uint64_t *bucket,
    uint64_t wanted)
{
	struct seen seen = {0, 0};
	unsigned slots = (1u << 2 * (store->upper ? WIDE_SLOTS : SLOTS)) - 1;
#ifdef __SSE2__
	__m128i value = _mm_set1_epi64x((long long)wanted), mark = _mm_set1_epi64x((long long)MARK);
	__m128i same[SLOTS / 2], free[SLOTS / 2];

	for (unsigned i = 0; i < SLOTS / 2; i++) {
		/* Volatile: else the compiler may read it anew for the second comparison. */
		__m128i two = ((const volatile __m128i *)bucket)[i];

		same[i] = _mm_cmpeq_epi32(_mm_andnot_si128(mark, two), value);
		free[i] = _mm_cmpeq_epi32(two, _mm_setzero_si128());
	}
	seen.same = (unsigned)_mm_movemask_epi8(_mm_packs_epi16(_mm_packs_epi32(same[0], same[1]),
	    _mm_packs_epi32(same[2], same[3])));
	seen.free = (unsigned)_mm_movemask_epi8(_mm_packs_epi16(_mm_packs_epi32(free[0], free[1]),
	    _mm_packs_epi32(free[2], free[3])));
	/* Both halves of a slot. */
	seen.same &= seen.same >> 1 & 0x5555 & slots;
	seen.free &= seen.free >> 1 & 0x5555 & slots;
#else
	for (unsigned i = 0; i < SLOTS; i++) {
		uint64_t found = __atomic_load_n(&bucket[i], __ATOMIC_RELAXED);

		seen.same |= (unsigned)((found & ~MARK) == wanted) << 2 * i;
		seen.free |= (unsigned)(found == 0) << 2 * i;
	}
	seen.same &= slots;
	seen.free &= slots;
#endif
	return seen;
}

/* The second part of a slot: never 0 once it is written. */
static uint32_t *second_part(uint64_t *bucket, unsigned slot)
{
	return (uint32_t *)&bucket[WIDE_SLOTS] + slot;
}

static uint32_t upper_of(const struct store *store, word state)
{
	return (uint32_t)(state >> (LOW_BITS + store->high)) << 1 | 1;
}

/* Whether the second part of a slot is `upper`; it may be about to be written. */
static int same_upper(uint64_t *bucket, unsigned slot, uint32_t upper)
{
	uint32_t found;

	while ((found = __atomic_load_n(second_part(bucket, slot), __ATOMIC_ACQUIRE)) == 0)
		;
	return found == upper;
}

/* The slot of a bucket, among `same`, that has the second part of a state, or NULL. */
static inline uint64_t *slot_of(const struct store *store, uint64_t *bucket, unsigned same,
    uint32_t upper)
{
	if (!store->upper)
		return same ? &bucket[__builtin_ctz(same) / 2] : NULL;
	for (; same; same &= same - 1) {
		unsigned slot = (unsigned)__builtin_ctz(same) / 2;

		if (same_upper(bucket, slot, upper))
			return &bucket[slot];
	}
	return NULL;
}

static inline uint64_t low_of(word state)
{
	return (uint64_t)state & LOW_MASK;
}

/* What stands in the slot of a state. */
static inline uint64_t low_part(uint64_t low, uint64_t distance)
{
	return low | distance + 1 << DISTANCE_SHIFT;
}

/* One try. */
static inline enum stored try_part(struct store *store, uint64_t low, uint32_t upper,
    uint64_t home, uint64_t distance)
{
	uint64_t *bucket = bucket_at(store, low, home, distance);
	uint64_t wanted = low_part(low, distance);

	for (;;) {
		struct seen seen = look_into(store, bucket, wanted);
		uint64_t nothing = 0;
		unsigned slot;

		if (seen.same && slot_of(store, bucket, seen.same, upper) != NULL)
			return STORED_BEFORE;
		if (seen.free == 0)
			return STORE_FULL;
		slot = (unsigned)__builtin_ctz(seen.free) / 2;
		/* Another thread may have taken it: for this state, or another one. */
		if (!__atomic_compare_exchange_n(&bucket[slot], &nothing, wanted, 0,
		    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			continue;
		if (store->upper)
			__atomic_store_n(second_part(bucket, slot), upper, __ATOMIC_RELEASE);
		return STORED_NEW;
	}
}

static enum stored put_part(struct store *store, uint64_t low, uint32_t upper, uint64_t home)
{
	enum stored how = STORE_FULL;

	for (uint64_t distance = 0; distance < FARTHEST && how == STORE_FULL; distance++)
		how = try_part(store, low, upper, home, distance);
	return how;
}

enum stored store_put(struct store *store, word state, uint64_t home)
{
	return put_part(store, low_of(state), upper_of(store, state), home);
}

enum stored store_try(struct store *store, word state, uint64_t home, unsigned distance)
{
	enum stored how = try_part(store, low_of(state), upper_of(store, state), home, distance);

	if (how == STORE_FULL)
		__builtin_prefetch(bucket_at(store, low_of(state), home, distance + 1));
	return how;
}

uint64_t *store_find(const struct store *store, word state)
{
	uint64_t home = store_home(store, state), low = low_of(state);

	for (uint64_t distance = 0; distance < FARTHEST; distance++) {
		uint64_t *bucket = bucket_at(store, low, home, distance), *slot;
		struct seen seen = look_into(store, bucket, low_part(low, distance));

		slot = slot_of(store, bucket, seen.same, upper_of(store, state));
		if (slot != NULL)
			return slot;
		if (seen.free)
			break;
	}
	return NULL;
}

int slot_marked(const uint64_t *slot)
{
	return (__atomic_load_n(slot, __ATOMIC_RELAXED) & MARK) != 0;
}

void slot_mark(uint64_t *slot, int mark)
{
	if (mark)
		__atomic_fetch_or(slot, MARK, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(slot, ~MARK, __ATOMIC_RELAXED);
}

/* --- growing ------------------------------------------------------------------------ */

int store_grow(struct store *store, uint64_t buckets)
{
	if (store_bytes(buckets) > store->room)
		return -1;
	store->buckets = buckets;
	return 0;
}

uint64_t store_stage(const struct store *store, uint64_t before, uint64_t to)
{
	uint64_t from = (uint64_t)(((word)to * before + store->buckets - 1) / store->buckets);

	return to <= LAST_STAGE || from == to ? 0 : from;
}

/* The bucket where homes begin that were in some bucket, of so many. */
static uint64_t scaled(const struct store *store, uint64_t before, uint64_t bucket)
{
	return (uint64_t)((word)bucket * store->buckets / before);
}

static int put_aside(struct aside *aside, const struct moving_slot *slot)
{
	if (aside->count == aside->room) {
		uint64_t room = aside->room ? 2 * aside->room : 64;
		struct moving_slot *more = realloc(aside->slot, room * sizeof(*more));

		if (more == NULL)
			return -1;
		aside->slot = more;
		aside->room = room;
	}
	aside->slot[aside->count++] = *slot;
	return 0;
}

/* The first of the hashes that lead to a bucket. */
static uint64_t first_hash(const struct store *store, uint64_t bucket)
{
	return (uint64_t)((((word)bucket << 64) + store->buckets - 1) / store->buckets);
}

/* The hash of a slot: of those that lead to its home, from `first` on, the one with the
 * lower bits that the low part says. */
static uint64_t hash_from(const struct store *store, uint64_t low, uint64_t first)
{
	uint64_t hash = mixed(low), below, found;

	if (store->high == 0)
		return hash;
	below = ((uint64_t)1 << (64 - store->high)) - 1;
	found = (first & ~below) | (hash & below);
	return found < first ? found + below + 1 : found;
}

/* Take what is in a bucket; how many. */
static unsigned take_out(const struct store *store, uint64_t bucket, struct moving_slot *slot)
{
	uint64_t *line = &store->slots[bucket * LINE], first = first_hash(store, bucket);
	unsigned slots = store->upper ? WIDE_SLOTS : SLOTS, count = 0;

	for (; count < slots && line[count]; count++) {
		uint64_t distance = (line[count] >> DISTANCE_SHIFT) - 1, low = line[count] & LOW_MASK;
		uint64_t offset = offset_of(store, low, distance);
		uint64_t home = bucket >= offset ? bucket - offset : bucket + store->buckets - offset;

		slot[count].low = low;
		slot[count].hash = hash_from(store, low, home == bucket ? first :
		    first_hash(store, home));
		slot[count].upper = store->upper ? *second_part(line, count) : 0;
	}
	memset(line, 0, LINE * sizeof(*line));
	return count;
}

/* How many slots are taken of buckets that were written last: to read them again so soon
 * would wait for what was written. */
struct taken {
	uint64_t bucket[COUNTED];	/* counted from 1 */
	unsigned count[COUNTED];
};

static inline unsigned *taken_of(const struct store *store, struct taken *taken, uint64_t bucket)
{
	unsigned at = (unsigned)(bucket % COUNTED);

	if (taken->bucket[at] != bucket + 1) {
		unsigned free = look_into(store, &store->slots[bucket * LINE], 0).free;

		taken->bucket[at] = bucket + 1;
		taken->count[at] = free ? (unsigned)__builtin_ctz(free) / 2 :
		    store->upper ? WIDE_SLOTS : SLOTS;
	}
	return &taken->count[at];
}

/* Put what is not there yet, at its home or beside it, where nobody else puts anything. */
static inline int put_alone(struct store *store, const struct moving_slot *moving, uint64_t home,
    struct taken *taken)
{
	unsigned slots = store->upper ? WIDE_SLOTS : SLOTS;

	for (uint64_t distance = 0; distance < BESIDE; distance++) {
		unsigned *count = taken_of(store, taken, home + distance), slot = *count;
		uint64_t *bucket = &store->slots[(home + distance) * LINE];

		if (slot == slots)
			continue;
		*count = slot + 1;
		bucket[slot] = low_part(moving->low, distance);
		if (store->upper)
			*second_part(bucket, slot) = moving->upper;
		return 0;
	}
	return -1;
}

int store_spread(struct store *store, uint64_t before, uint64_t from, uint64_t to, uint64_t end,
    struct aside *aside)
{
	struct store old = *store;
	struct taken taken = {{0}, {0}};
	/* Others put beside the borders of where this part goes. */
	uint64_t first = scaled(store, before, from) + 1, last = scaled(store, before, to);

	old.buckets = before;
	for (uint64_t bucket = from; bucket < to; bucket++) {
		struct moving_slot slot[SLOTS];
		unsigned count = take_out(&old, bucket, slot);

		for (unsigned i = 0; i < count; i++) {
			uint64_t home = home_of_hash(store, slot[i].hash);

			/* What lies before the end of the stage is not moved yet, or is just
			 * being moved. */
			if (home >= end && home >= first && home + BESIDE <= last &&
			    put_alone(store, &slot[i], home, &taken) == 0)
				continue;
			if (put_aside(aside, &slot[i]))
				return -1;
		}
	}
	return 0;
}

int aside_move(struct aside *to, struct aside *from)
{
	int status = 0;

	for (uint64_t i = 0; i < from->count && status == 0; i++)
		status = put_aside(to, &from->slot[i]);
	aside_close(from);
	return status;
}

void aside_close(struct aside *aside)
{
	free(aside->slot);
	*aside = (struct aside){NULL, 0, 0};
}

int store_put_back(struct store *store, struct aside *aside)
{
	int status = 0;

	for (uint64_t at = 0; at < aside->count + AHEAD_HOMES; at++) {
		if (at >= AHEAD_HOMES) {
			const struct moving_slot *slot = &aside->slot[at - AHEAD_HOMES];

			if (put_part(store, slot->low, slot->upper,
			    home_of_hash(store, slot->hash)) == STORE_FULL)
				status = -1;
		}
		if (at < aside->count)
			__builtin_prefetch(&store->slots[home_of_hash(store, aside->slot[at].hash) *
			    LINE]);
	}
	aside_close(aside);
	return status;
}
