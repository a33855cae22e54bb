/* Fields that must grow, larger lanes, a larger store. */
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "search.h"

enum {
	AHEAD = 16,		/* states whose slots are fetched before they are put */
	MANY_BUCKETS = 1 << 19,	/* beyond which a store grows by a third */
	MOST_NUMBER = 40,	/* bits of a lane's number */
	LEAST_NUMBER = 16,	/* the same, if there is room */
	NUMBERS_TO_SPARE = 64,	/* for one that a lane has now */
	PLACED_BITS = KEY_BITS / LANES,	/* of a lane's number, while lanes are filled */
	MANY_STATES = 1 << 20,	/* beyond which fields get room to grow when lanes are chosen */
	SPARE = 3		/* bits that a field gets at most on top of what it needs */
};

uint64_t memory_used(const struct search *s)
{
	uint64_t sum = store_bytes(s->store.buckets) + pages_spare();

	sum += history_bytes(&s->history);
	for (unsigned i = 0; i < LANES; i++)
		sum += lane_bytes(&s->lane[i]);
	for (unsigned i = 0; i < s->components; i++)
		sum += component_bytes(&s->component[i]);
	for (unsigned i = 0; i < s->agents; i++)
		sum += (s->agent[i].steps->last + 1) * sizeof(struct kept_step);
	for (unsigned i = 0; i < s->units; i++)
		sum += (s->unit[i].memo.entries->last + 1) * sizeof(struct entry);
	if (s->symmetry != NULL)
		sum += symmetry_bytes(s);
	return sum;
}

static unsigned bits_for(uint64_t count)
{
	unsigned bits = 0;

	while (((uint64_t)1 << bits) < count)
		bits++;
	return bits;
}

static unsigned needed(const struct component *c)
{
	unsigned bits = bits_for(c->count);

	return bits < c->wanted ? c->wanted : bits;
}

/* --- keys and the store -------------------------------------------------------- */

/* So many buckets that there is room for a while. */
static uint64_t more_buckets(uint64_t buckets)
{
	return buckets < MANY_BUCKETS ? 2 * buckets : buckets + buckets / 3;
}

/* The lane whose numbers are the upper end of a key. */
static unsigned top_lane(const struct search *s)
{
	unsigned top = 0;

	for (unsigned i = 1; i < LANES; i++) {
		if (s->lane[i].shift > s->lane[top].shift)
			top = i;
	}
	return top;
}

/* How a store of so many buckets keeps a key. */
static void divide_key(const struct search *s, uint64_t buckets, unsigned *high, unsigned *upper)
{
	const struct lane *top = &s->lane[top_lane(s)];
	unsigned total = top->shift + top->width;

	if (s->fingerprints)
		total = FINGERPRINT_BITS;
	*high = total > LOW_BITS ? total - LOW_BITS : 0;
	*upper = 0;
	if (*high > store_high(buckets)) {
		*upper = *high - store_high(buckets);
		*high = store_high(buckets);
	}
}

static void put_range(struct search *s, void *full, uint64_t from, uint64_t to)
{
	uint64_t home[AHEAD];

	for (uint64_t at = from; at < to + AHEAD; at++) {
		if (at >= from + AHEAD && store_put(&s->store,
		    stored(s, plain_key(history_get(&s->history, at - AHEAD))),
		    home[at % AHEAD]) == STORE_FULL)
			__atomic_store_n((int *)full, 1, __ATOMIC_RELAXED);
		if (at < to) {
			home[at % AHEAD] = store_home(&s->store,
			    stored(s, plain_key(history_get(&s->history, at))));
			store_prefetch(&s->store, home[at % AHEAD]);
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

/* Let numbers of the lane on top have a bit more, if slots of the store can hold that: all
 * keys stay what they are. */
static int extend_top(struct search *s, struct lane *lane)
{
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

/* How keys, and perhaps states, are turned into what they are after a change. */
struct change {
	struct lane before[LANES];
	int anew;			/* the lanes are others */
	struct wide *moved[LANES];	/* then: what each content of a lane before becomes */
	unsigned moves;
	struct {
		unsigned from, from_shift, to, to_shift;
		uint64_t bits;
	} move[2 * MOST_COMPONENTS];
};

static struct wide moved_fields(const void *change, const struct wide *value)
{
	const struct change *c = change;
	struct wide result = {{value->lane[0] >> TOP_SHIFT << TOP_SHIFT}};

	for (unsigned i = 0; i < c->moves; i++)
		result.lane[c->move[i].to] |= (value->lane[c->move[i].from] >>
		    c->move[i].from_shift & c->move[i].bits) << c->move[i].to_shift;
	return result;
}

/* For lanes that are others: a state is taken apart by lane, since there are far
 * fewer contents than states. */
static int move_contents(struct change *c)
{
	for (unsigned i = 0; i < LANES; i++) {
		const struct lane *lane = &c->before[i];

		c->moved[i] = calloc(lane->count + 1, sizeof(*c->moved[i]));
		if (c->moved[i] == NULL)
			return -1;
		for (uint64_t number = 0; number < lane->count; number++) {
			struct wide value = {{0}};

			value.lane[i] = lane->content[number];
			c->moved[i][number] = moved_fields(c, &value);
		}
	}
	return 0;
}

/* The state, in its new lanes, of a key in the old ones. */
static struct wide moved_state(const struct change *c, word key)
{
	struct wide result = {{0}};

	for (unsigned i = 0; i < LANES; i++) {
		const struct lane *lane = &c->before[i];
		const struct wide *part = &c->moved[i][(uint64_t)(key >> lane->shift) &
		    (((uint64_t)1 << lane->width) - 1)];

		for (unsigned n = 0; n < LANES; n++)
			result.lane[n] |= part->lane[n];
	}
	return result;
}

static void moved_prefetch(const struct change *c, word key)
{
	for (unsigned i = 0; i < LANES; i++) {
		const struct lane *lane = &c->before[i];

		__builtin_prefetch(&c->moved[i][(uint64_t)(key >> lane->shift) &
		    (((uint64_t)1 << lane->width) - 1)]);
	}
}

/* The states of a part of the history in their new lanes, one after the other, with
 * what lanes hold of them asked for early. */
struct moving {
	struct wide state[AHEAD];
	uint64_t next, to;
};

static int is_placed(word key)
{
	return (int)(key >> PLACED_BIT & 1);
}

static const struct wide *move_next(const struct search *s, const struct change *c,
    struct moving *m, uint64_t at)
{
	/* Those passed over are not asked for. */
	if (m->next < at)
		m->next = at;
	for (; m->next < m->to && m->next < at + AHEAD; m->next++) {
		struct wide *state = &m->state[m->next % AHEAD];
		word key = history_get(&s->history, m->next);

		if (m->next + AHEAD < m->to) {
			word later = history_get(&s->history, m->next + AHEAD);

			if (!is_placed(later))
				moved_prefetch(c, later);
		}
		if (is_placed(key))
			continue;
		*state = moved_state(c, plain_key(key));
		for (unsigned i = 0; i < LANES; i++)
			lane_prefetch(&s->lane[i], state->lane[i]);
	}
	return &m->state[at % AHEAD];
}

/* In lanes of the same contents. */
static word shifted_key(const struct search *s, const struct change *c, word key)
{
	word result = 0;

	for (unsigned i = 0; i < LANES; i++) {
		const struct lane *lane = &c->before[i];

		result |= (key >> lane->shift & (((word)1 << lane->width) - 1)) <<
		    s->lane[i].shift;
	}
	return result;
}

static word changed_key(struct search *s, const struct change *c, word key)
{
	struct wide state;
	word result = 0;

	if (!c->anew)
		return shifted_key(s, c, key);
	state = moved_state(c, key);
	/* All of them are known. */
	(void)key_of_state(s, &state, ALL_LANES, 0, &result);
	return result;
}

/* While lanes are filled, the widths of their numbers are not known yet. */
static word placed_key(const uint64_t *number)
{
	word result = (word)1 << PLACED_BIT;

	for (unsigned i = 0; i < LANES; i++)
		result |= (word)number[i] << i * PLACED_BITS;
	return result;
}

static word of_placed_key(const struct search *s, word key)
{
	word result = 0;

	for (unsigned i = 0; i < LANES; i++)
		result |= (key >> i * PLACED_BITS & (((word)1 << PLACED_BITS) - 1)) <<
		    s->lane[i].shift;
	return result;
}

static void change_range(struct search *s, void *change, uint64_t from, uint64_t to)
{
	struct change *c = change;
	struct moving moving = {.next = from, .to = to};

	for (uint64_t at = from; at < to; at++) {
		word key = history_get(&s->history, at), result = 0;

		if (!c->anew) {
			result = shifted_key(s, c, plain_key(key));
		} else if (is_placed(key)) {
			result = of_placed_key(s, key);
		} else {
			(void)key_of_state(s, move_next(s, c, &moving, at), ALL_LANES, 0, &result);
		}
		history_set(&s->history, at, result | (key & (word)1 << FLAG_BIT));
	}
}

static int change_keys(struct search *s, struct change *c)
{
	in_parallel(s, change_range, c, s->history.count);
	for (unsigned i = 0; i < s->threads; i++) {
		for (unsigned n = 0; n < s->thread[i].batch_count; n++)
			s->thread[i].batch[n].changed = ALL_LANES;
	}
	for (unsigned i = 0; i < model_invariants; i++) {
		if (s->violation[i].found)
			s->violation[i].key = changed_key(s, c, s->violation[i].key);
	}
	if (s->failure.found)
		s->failure.key = changed_key(s, c, s->failure.key);
	return rebuild_store(s);
}

int grow_lanes(struct search *s)
{
	struct change c;
	unsigned top = top_lane(s);
	int keys = 0;

	for (unsigned i = 0; i < LANES; i++) {
		struct lane *lane = &s->lane[i];

		keys |= lane->count + MOST_THREADS > ((uint64_t)1 << lane->width) / 4 * 3 &&
		    (i != top || extend_top(s, lane));
		if (lane->count > (uint64_t)1 << (lane->bits - 1) &&
		    lane_grow(lane, lane->bits + 1, lane->width))
			return -1;
	}
	if (!keys)
		return 0;
	memset(&c, 0, sizeof(c));
	memcpy(c.before, s->lane, sizeof(c.before));
	return set_key_widths(s) || change_keys(s, &c) ? -1 : 0;
}

/* --- fields --------------------------------------------------------------------- */

/* Where the fields go. */
struct places {
	unsigned lane[MOST_COMPONENTS], width[MOST_COMPONENTS];
	unsigned over[MOST_COMPONENTS], over_lane[MOST_COMPONENTS];
	unsigned total[LANES];		/* bits of fields */
};

/* The lane in which a field can grow. */
static unsigned growing_lane(const struct places *p, unsigned component)
{
	return p->over[component] ? p->over_lane[component] : p->lane[component];
}

/* Let the bits that a field, one of a lane that is full, needs now be in the lane with most
 * room: it is 0 there in all states; 0, or -1 where that is no help. */
static int spill(const struct search *s, struct places *p, unsigned lane)
{
	unsigned best = 0, grows = s->components, more;

	for (unsigned i = 1; i < LANES; i++) {
		if (room_of(s, i) + p->total[best] > room_of(s, best) + p->total[i])
			best = i;
	}
	for (unsigned i = 0; i < s->components; i++) {
		if (p->lane[i] == lane && !p->over[i] && p->width[i] > s->component[i].width)
			grows = i;
	}
	if (grows == s->components)
		return -1;
	more = p->width[grows] - s->component[grows].width;
	if (p->total[best] + more > room_of(s, best))
		return -1;
	p->over[grows] = more;
	p->over_lane[grows] = best;
	p->total[lane] -= more;
	p->total[best] += more;
	return 0;
}

/* Whether every field has what it needs in the lane where it is; the rest of the
 * lane goes to those that are nearly full. */
static int fit(const struct search *s, struct places *p, int anew)
{
	memset(p->total, 0, sizeof(p->total));
	for (unsigned i = 0; i < s->components; i++) {
		const struct component *c = &s->component[i];
		unsigned own = c->width - c->over, need = needed(c);

		/* What was spilled once keeps the bits that it has in its own lane. */
		p->over[i] = anew || !c->over ? 0 : need > own ? need - own : 1;
		p->over_lane[i] = c->over_lane;
		p->width[i] = p->over[i] ? own + p->over[i] : need;
		p->total[p->lane[i]] += p->width[i] - p->over[i];
		if (p->over[i])
			p->total[p->over_lane[i]] += p->over[i];
	}
	for (unsigned n = 0; n < LANES; n++) {
		while (p->total[n] > room_of(s, n)) {
			if (anew || spill(s, p, n))
				return -1;
		}
	}
	for (unsigned n = 0; n < LANES; n++) {
		while (p->total[n] < room_of(s, n)) {
			unsigned fullest = s->components;
			double most = 0.12;

			for (unsigned i = 0; i < s->components; i++) {
				const struct component *c = &s->component[i];
				double full = c->count / (double)((uint64_t)1 << p->width[i]);

				/* One that has never changed may never do so. */
				if (c->count == 1)
					full /= 5;
				if (growing_lane(p, i) == n && full >= most &&
				    p->width[i] < needed(c) + SPARE) {
					most = full;
					fullest = i;
				}
			}
			if (fullest == s->components)
				break;
			p->width[fullest]++;
			p->over[fullest] += p->over[fullest] > 0;
			p->total[n]++;
		}
	}
	return 0;
}

static void add_move(struct change *c, unsigned from, unsigned from_shift, unsigned to,
    unsigned to_shift, unsigned bits)
{
	c->move[c->moves].from = from;
	c->move[c->moves].from_shift = from_shift;
	c->move[c->moves].to = to;
	c->move[c->moves].to_shift = to_shift;
	c->move[c->moves++].bits = low_bits(bits);
}

/* Give the components their fields, and note where the bits of each go. */
static int place_fields(struct search *s, struct change *c, const struct places *p)
{
	unsigned shift[LANES] = {0};

	for (unsigned i = 0; i < s->components; i++) {
		struct component *one = &s->component[i];
		unsigned own = one->width - one->over, over = p->over[i], width = p->width[i];
		unsigned had = one->width < width ? one->width : width;
		unsigned at = shift[p->lane[i]], over_at;

		shift[p->lane[i]] += width - over;
		over_at = shift[p->over_lane[i]];
		shift[p->over_lane[i]] += over;
		add_move(c, one->lane, one->shift, p->lane[i], at, own < had ? own : had);
		if (own < had)
			add_move(c, one->over_lane, one->over_shift,
			    over ? p->over_lane[i] : p->lane[i], over ? over_at : at + own,
			    had - own);
		if (one->width != width && component_widen(one, width))
			return -1;
		one->wanted = 0;
		one->lane = p->lane[i];
		one->shift = at;
		one->over = over;
		one->over_lane = p->over_lane[i];
		one->over_shift = over_at;
	}
	return 0;
}

struct lane_change {
	const struct change *change;
	unsigned lane;
};

static uint64_t moved_content(const void *how, uint64_t content)
{
	const struct lane_change *l = how;
	struct wide value = {{0}};

	value.lane[l->lane] = content;
	return moved_fields(l->change, &value).lane[l->lane];
}

struct filling {
	const struct change *change;
	int full;		/* a lane is */
};

/* States that are placed already are passed over. */
static void fill_range(struct search *s, void *filling, uint64_t from, uint64_t to)
{
	struct filling *f = filling;
	struct moving moving = {.next = from, .to = to};

	for (uint64_t at = from; at < to; at++) {
		word key = history_get(&s->history, at);
		const struct wide *state;
		uint64_t number[LANES], most = 0;

		if (is_placed(key))
			continue;
		state = move_next(s, f->change, &moving, at);
		for (unsigned i = 0; i < LANES; i++) {
			if (lane_number(&s->lane[i], state->lane[i], 1, &number[i])) {
				__atomic_store_n(&f->full, 1, __ATOMIC_RELAXED);
				return;
			}
			most |= number[i];
		}
		/* One that does not fit is looked up again. */
		if (most >> PLACED_BITS == 0)
			history_set(&s->history, at, placed_key(number) |
			    (key & (word)1 << FLAG_BIT));
	}
}

/* Fill new lanes with what states hold. */
static int fill_lanes(struct search *s, struct change *c)
{
	struct filling f = {c, 0};

	for (unsigned i = 0; i < LANES; i++) {
		if (lane_open(&s->lane[i], FIRST_SLOT_BITS, MOST_NUMBER))
			return -1;
	}
	do {
		f.full = 0;
		in_parallel(s, fill_range, &f, s->history.count);
		for (unsigned i = 0; i < LANES; i++) {
			if (s->lane[i].count >= s->lane[i].most &&
			    lane_grow(&s->lane[i], s->lane[i].bits + 1, MOST_NUMBER))
				return -1;
		}
	} while (f.full);
	return set_key_widths(s);
}

enum laid_out repack(struct search *s, int anew)
{
	struct change c;
	struct places p;
	int status = 0;

	memset(&c, 0, sizeof(c));
	memcpy(c.before, s->lane, sizeof(c.before));
	memset(&p, 0, sizeof(p));
	for (unsigned i = 0; i < s->components; i++)
		p.lane[i] = s->component[i].lane;
	if (anew || fit(s, &p, 0)) {
		unsigned spare = s->states >= MANY_STATES ? anew ? 1 : 2 : 0;

		/* Of many states, with room for what is to come: to move them takes long. */
		do {
			for (unsigned i = 0; i < s->components; i++)
				p.width[i] = needed(&s->component[i]) +
				    (s->component[i].count > 1 ? spare : 0);
			if (choose_lanes(s, p.width, p.lane) == 0 && fit(s, &p, 1) == 0)
				break;
			if (spare == 0)
				return TOO_WIDE;
		} while (spare--);
		c.anew = 1;
	}
	if (place_fields(s, &c, &p))
		return NO_MEMORY;
	for (unsigned i = 0; i < s->threads; i++) {
		for (unsigned n = 0; n < s->thread[i].batch_count; n++) {
			struct thread *t = &s->thread[i];

			t->batch[n].to = moved_fields(&c, &t->batch[n].to);
			if (t->batch[n].runs)
				t->running[n].first = moved_fields(&c, &t->running[n].first);
		}
	}
	if (c.anew) {
		status = move_contents(&c) || fill_lanes(s, &c) || change_keys(s, &c);
		for (unsigned i = 0; i < LANES; i++) {
			free(c.moved[i]);
			lane_close(&c.before[i]);
		}
	} else {
		for (unsigned i = 0; status == 0 && i < LANES; i++) {
			struct lane_change l = {&c, i};

			status = lane_change(&s->lane[i], moved_content, &l);
		}
	}
	s->repacks++;
	if (status || steps_move(s, moved_fields, &c) || steps_fit(s) || invariants_fit(s))
		return NO_MEMORY;
	return LAID_OUT;
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
	int status = store_spread(&s->store, g->before, g->begin + from, g->begin + to, g->end, &aside);

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
