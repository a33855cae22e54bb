/* Fields that must grow, and larger lanes: what it takes to move states. */
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "search.h"

enum {
	AHEAD = 16,		/* states that are asked for before they are moved */
	PLACED_BITS = KEY_BITS / LANES,	/* of a lane's number, while lanes are filled */
	MANY_STATES = 1 << 20	/* beyond which fields get room to grow when lanes are chosen */
};

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

static void change_keys(struct search *s, struct change *c)
{
	in_parallel(s, change_range, c, s->history.count);
	for (unsigned i = 0; i < s->threads; i++) {
		for (unsigned n = 0; n < s->thread[i].batch_count; n++) {
			s->thread[i].batch[n].key = 0;
			s->thread[i].batch[n].changed = ALL_LANES;
		}
	}
	for (unsigned i = 0; i < model_invariants; i++) {
		if (s->violation[i].found)
			s->violation[i].key = changed_key(s, c, s->violation[i].key);
	}
	if (s->failure.found)
		s->failure.key = changed_key(s, c, s->failure.key);
}

int grow_lanes(struct search *s)
{
	struct change c;
	unsigned top = top_lane(s);
	int keys = 0;

	s->torn = STATES_TORN;
	for (unsigned i = 0; i < LANES; i++) {
		struct lane *lane = &s->lane[i];

		keys |= lane->count + MOST_THREADS > ((uint64_t)1 << lane->width) / 4 * 3 &&
		    (i != top || extend_top(s));
		if (lane->count > (uint64_t)1 << (lane->bits - 1) &&
		    lane_grow(lane, lane->bits + 1, lane->width))
			return -1;
	}
	if (keys) {
		memset(&c, 0, sizeof(c));
		memcpy(c.before, s->lane, sizeof(c.before));
		if (set_key_widths(s))
			return -1;
		change_keys(s, &c);
	}
	s->torn = WHOLE;
	return keys ? rebuild_store(s) : 0;
}

/* --- fields --------------------------------------------------------------------- */

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
		struct field f = one->field;
		struct field to = {.lane = p->lane[i], .shift = shift[p->lane[i]],
		    .over_lane = p->over_lane[i]};
		unsigned own = f.width - f.over, had;

		field_resize(&to, p->width[i], p->over[i]);
		had = f.width < to.width ? f.width : to.width;
		shift[to.lane] += to.width - to.over;
		to.over_shift = shift[to.over_lane];
		shift[to.over_lane] += to.over;
		add_move(c, f.lane, f.shift, to.lane, to.shift, own < had ? own : had);
		if (own < had && to.over)
			add_move(c, f.over_lane, f.over_shift, to.over_lane, to.over_shift,
			    had - own);
		else if (own < had)
			add_move(c, f.over_lane, f.over_shift, to.lane, to.shift + own,
			    had - own);
		if (f.width != to.width && component_widen(one, to.width))
			return -1;
		one->wanted = 0;
		one->field = to;
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
		p.lane[i] = s->component[i].field.lane;
	if (anew || fields_fit(s, &p, 0)) {
		unsigned spare = s->states >= MANY_STATES ? anew ? 1 : 2 : 0;

		/* Of many states, with room for what is to come: to move them takes long. */
		do {
			for (unsigned i = 0; i < s->components; i++)
				p.width[i] = needed(&s->component[i]) +
				    (s->component[i].count > 1 ? spare : 0);
			if (choose_lanes(s, p.width, p.lane) == 0 && fields_fit(s, &p, 1) == 0)
				break;
			if (spare == 0)
				return TOO_WIDE;
		} while (spare--);
		c.anew = 1;
	}
	s->torn = STATES_TORN;
	if (place_fields(s, &c, &p))
		return NO_MEMORY;
	for (unsigned i = 0; i < s->threads; i++) {
		for (unsigned n = 0; n < s->thread[i].batch_count; n++) {
			struct thread *t = &s->thread[i];

			t->batch[n].to = moved_fields(&c, &t->batch[n].to);
			if (!t->batch[n].runs)
				continue;
			t->running[n].first = moved_fields(&c, &t->running[n].first);
			t->running[n].begun = moved_fields(&c, &t->running[n].begun);
		}
	}
	if (c.anew) {
		status = move_contents(&c) || fill_lanes(s, &c);
		if (status == 0)
			change_keys(s, &c);
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
	if (status)
		return NO_MEMORY;
	s->torn = STEPS_TORN;
	if ((c.anew && rebuild_store(s)) || steps_move(s, moved_fields, &c) || steps_fit(s) ||
	    invariants_fit(s))
		return NO_MEMORY;
	s->torn = WHOLE;
	return LAID_OUT;
}
