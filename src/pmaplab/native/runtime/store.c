#include "store.h"

#include <stddef.h>

#include "memory.h"

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

uint64_t store_bytes(unsigned bits)
{
	return (uint64_t)LINE * sizeof(uint64_t) << bits;
}

uint64_t store_slots(const struct store *store)
{
	return (uint64_t)(store->upper ? WIDE_SLOTS : SLOTS) << store->bits;
}

int store_open(struct store *store, unsigned bits, unsigned high, unsigned upper)
{
	store->bits = bits;
	store->high = high;
	store->upper = upper;
	store->slots = pages_map(store_bytes(bits), 1);
	return store->slots == NULL ? -1 : 0;
}

void store_close(struct store *store)
{
	pages_unmap(store->slots, store_bytes(store->bits));
	store->slots = NULL;
}

/* The bucket where the search for a state begins. */
static uint64_t home_of(const struct store *store, word state)
{
	uint64_t hash = mixed((uint64_t)state & LOW_MASK);

	if (store->high)
		hash ^= (uint64_t)(state >> LOW_BITS) << (64 - store->high);
	return hash >> (64 - store->bits);
}

void store_prefetch(const struct store *store, word state)
{
	__builtin_prefetch(&store->slots[home_of(store, state) * LINE], 1, 0);
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

enum stored store_put(struct store *store, word state)
{
	uint64_t home = home_of(store, state), last = ((uint64_t)1 << store->bits) - 1;
	unsigned slots = store->upper ? WIDE_SLOTS : SLOTS;

	for (uint64_t distance = 0; distance < FARTHEST; distance++) {
		uint64_t *bucket = &store->slots[(home + distance & last) * LINE];
		uint64_t wanted = ((uint64_t)state & LOW_MASK) | distance + 1 << DISTANCE_SHIFT;

		for (unsigned i = 0; i < slots; i++) {
			uint64_t found = __atomic_load_n(&bucket[i], __ATOMIC_RELAXED);

			if (found == 0 && __atomic_compare_exchange_n(&bucket[i], &found, wanted,
			    0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
				if (store->upper)
					__atomic_store_n(second_part(bucket, i),
					    upper_of(store, state), __ATOMIC_RELEASE);
				return STORED_NEW;
			}
			if ((found & ~MARK) == wanted && (!store->upper ||
			    same_upper(bucket, i, upper_of(store, state))))
				return STORED_BEFORE;
		}
	}
	return STORE_FULL;
}

uint64_t *store_find(const struct store *store, word state)
{
	uint64_t home = home_of(store, state), last = ((uint64_t)1 << store->bits) - 1;
	unsigned slots = store->upper ? WIDE_SLOTS : SLOTS;

	for (uint64_t distance = 0; distance < FARTHEST; distance++) {
		uint64_t *bucket = &store->slots[(home + distance & last) * LINE];
		uint64_t wanted = ((uint64_t)state & LOW_MASK) | distance + 1 << DISTANCE_SHIFT;

		for (unsigned i = 0; i < slots; i++) {
			uint64_t found = __atomic_load_n(&bucket[i], __ATOMIC_RELAXED);

			if ((found & ~MARK) == wanted && (!store->upper ||
			    same_upper(bucket, i, upper_of(store, state))))
				return &bucket[i];
			if (found == 0)
				return NULL;
		}
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

/* The state in a slot of a bucket. */
static word state_of(const struct store *store, uint64_t bucket, unsigned slot)
{
	uint64_t *line = &store->slots[bucket * LINE];
	uint64_t last = ((uint64_t)1 << store->bits) - 1, low = line[slot] & LOW_MASK;
	uint64_t home = bucket - ((line[slot] >> DISTANCE_SHIFT) - 1) & last;
	uint64_t high = 0;
	word upper = 0;

	if (store->high)
		high = (home << (64 - store->bits) ^ mixed(low)) >> (64 - store->high);
	if (store->upper)
		upper = *second_part(line, slot) >> 1;
	return upper << (LOW_BITS + store->high) | (word)high << LOW_BITS | low;
}

int store_move(const struct store *from_store, struct store *to_store, uint64_t from, uint64_t to)
{
	unsigned slots = from_store->upper ? WIDE_SLOTS : SLOTS;

	for (uint64_t bucket = from; bucket < to; bucket++) {
		for (unsigned i = 0; i < slots; i++) {
			if (from_store->slots[bucket * LINE + i] == 0)
				break;
			if (store_put(to_store, state_of(from_store, bucket, i)) == STORE_FULL)
				return -1;
		}
	}
	return 0;
}
