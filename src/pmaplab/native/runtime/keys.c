/* Keys of states: how the lanes share them, and the store that grows with them. */
#include <stdlib.h>

#include "search.h"

enum {
	AHEAD_KEYS = 16,	/* whose slots are fetched before they are put */
	MANY_BUCKETS = 1 << 19,	/* beyond which a store grows by a third */
	LEAST_NUMBER = 16,	/* bits of a lane's number, if there is room */
	NUMBERS_TO_SPARE = 64	/* for one that a lane has now */
};

/* So many buckets that there is room for a while. */
static uint64_t more_buckets(uint64_t buckets)
{
	return buckets < MANY_BUCKETS ? 2 * buckets : buckets + buckets / 3;
}

unsigned top_lane(const struct search *s)
{
	unsigned top = 0;

	for (unsigned i = 1; i < LANES; i++) {
		if (s->lane[i].shift > s->lane[top].shift)
			top = i;
	}
	return top;
}

unsigned key_bits(const struct search *s)
{
	const struct lane *top = &s->lane[top_lane(s)];

	return top->shift + top->width;
}

/* How a store of so many buckets keeps a key. */
static void divide_key(const struct search *s, uint64_t buckets, unsigned *high, unsigned *upper)
{
	unsigned total = s->fingerprints ? FINGERPRINT_BITS : key_bits(s);

	*high = total > LOW_BITS ? total - LOW_BITS : 0;
	*upper = 0;
	if (*high > store_high(buckets)) {
		*upper = *high - store_high(buckets);
		*high = store_high(buckets);
	}
}

static void put_range(struct search *s, void *full, uint64_t from, uint64_t to)
{
	uint64_t home[AHEAD_KEYS];

	for (uint64_t at = from; at < to + AHEAD_KEYS; at++) {
		if (at >= from + AHEAD_KEYS && store_put(&s->store,
		    stored(s, plain_key(history_get(&s->history, at - AHEAD_KEYS))),
		    home[at % AHEAD_KEYS]) == STORE_FULL)
			__atomic_store_n((int *)full, 1, __ATOMIC_RELAXED);
		if (at < to) {
			home[at % AHEAD_KEYS] = store_home(&s->store,
			    stored(s, plain_key(history_get(&s->history, at))));
			store_prefetch(&s->store, home[at % AHEAD_KEYS]);
		}
	}
}

/* With at least so many buckets. */
static int rebuild_with(struct search *s, uint64_t buckets)
{
	int full;

	do {
		unsigned high, upper;

		full = 0;
		divide_key(s, buckets, &high, &upper);
		if (s->most_memory && store_bytes(buckets) > s->most_memory)
			return -1;
		if (store_open(&s->store, buckets, high, upper))
			return -1;
		in_parallel(s, put_range, &full, s->history.count);
		buckets = more_buckets(buckets);
	} while (full);
	return 0;
}

int rebuild_store(struct search *s)
{
	uint64_t buckets = s->store.buckets;

	while (buckets * SLOTS / 100 * LOAD_PERCENT < s->history.count)
		buckets = more_buckets(buckets);
	return rebuild_with(s, buckets);
}

static double fullness(const struct lane *lane)
{
	return (double)(lane->count + 1) / (double)((uint64_t)1 << lane->width);
}

/* Whether there may soon be too many contents for its numbers, while it is not on top. */
static int may_grow(const struct lane *lane)
{
	return lane->width < LEAST_NUMBER || (lane->width < MOST_NUMBER &&
	    fullness(lane) > 1.0 / NUMBERS_TO_SPARE);
}

/* The widths of the lanes' numbers in a key: what they need, and room to grow, if
 * slots of one part have it; -1 where even two parts are too few.  The lane with the
 * most contents is on top, where its numbers can grow with the store. */
int set_key_widths(struct search *s)
{
	unsigned total = 0, room = LOW_BITS + store_high(s->store.buckets), shift = 0, top = 0;

	for (unsigned i = 0; i < LANES; i++) {
		struct lane *lane = &s->lane[i];

		lane->width = bits_for(lane->count + MOST_THREADS) + 1;
		total += lane->width;
		if (lane->count > s->lane[top].count)
			top = i;
	}
	if (room > KEY_BITS)
		room = KEY_BITS;
	/* Until the store has grown. */
	if (total < room) {
		s->lane[top].width++;
		total++;
	}
	if (total > room + UPPER_BITS || total > KEY_BITS)
		return -1;
	while (total < room) {
		struct lane *fullest = NULL;

		for (unsigned i = 0; i < LANES; i++) {
			struct lane *lane = &s->lane[i];

			if (i != top && may_grow(lane) &&
			    (fullest == NULL || fullness(lane) > fullness(fullest)))
				fullest = lane;
		}
		if (fullest == NULL)
			break;
		fullest->width++;
		total++;
	}
	for (unsigned i = 1; i <= LANES; i++) {
		struct lane *lane = &s->lane[(top + i) % LANES];

		lane->shift = shift;
		shift += lane->width;
		lane_limit(lane);
	}
	return 0;
}

int extend_top(struct search *s)
{
	struct lane *lane = &s->lane[top_lane(s)];
	unsigned high, upper;

	if (lane->shift + lane->width == KEY_BITS || lane->width == MOST_NUMBER)
		return -1;
	lane->width++;
	divide_key(s, s->store.buckets, &high, &upper);
	if (!upper != !s->store.upper || (upper && high != s->store.high) ||
	    upper > UPPER_BITS) {
		lane->width--;
		return -1;
	}
	s->store.high = high;
	s->store.upper = upper;
	lane_limit(lane);
	return 0;
}

/* A stage of the store's growth. */
struct growth {
	uint64_t before, begin, end;	/* buckets */
	struct aside aside;
	int status;
};

static void spread_range(struct search *s, void *growth, uint64_t from, uint64_t to)
{
	struct growth *g = growth;
	struct aside aside = {NULL, 0, 0};
	int status = store_spread(&s->store, g->before, g->begin + from, g->begin + to, g->end,
	    &aside);

	pthread_mutex_lock(&s->lock);
	if (aside_move(&g->aside, &aside) || status)
		g->status = -1;
	pthread_mutex_unlock(&s->lock);
}

int make_room(struct search *s)
{
	uint64_t before = s->store.buckets, buckets = more_buckets(before);
	struct growth g = {.before = before, .begin = before};
	unsigned high, upper;

	divide_key(s, buckets, &high, &upper);
	if (s->most_memory && memory_used(s) - store_bytes(before) + store_bytes(buckets) >
	    s->most_memory)
		return -1;
	if (high != s->store.high || upper != s->store.upper)
		return rebuild_with(s, buckets);
	if (store_grow(&s->store, buckets))
		return -1;
	while (g.begin > 0 && g.status == 0) {
		g.end = g.begin;
		g.begin = store_stage(&s->store, before, g.end);
		in_parallel(s, spread_range, &g, g.end - g.begin);
	}
	if (g.status) {
		aside_close(&g.aside);
		return -1;
	}
	return store_put_back(&s->store, &g.aside) ? rebuild_with(s, more_buckets(buckets)) : 0;
}
