/*
 * Invariants: each is asked when a step has changed what it has ever read, and
 * what it said is kept by the values of the cells that it reads.
 */
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "search.h"

enum { FIRST_VIEW_BITS = 1, HALF_BITS = 63 };

/* In a half of a key: of each view of it, it is known what it shows. */
#define KNOWN	((uint64_t)1 << HALF_BITS)

static enum ending try_check(struct machine *m, const struct unit *u)
{
	enum ending how = (enum ending)setjmp(m->out);

	if (how == TAKEN)
		model_check(m, u->invariant, u->cpu);
	return how;
}

/* 0, or -1 where a condition of an exemption faults. */
static int try_active(struct machine *m, uint64_t cpu, uint64_t *inside)
{
	if (setjmp(m->out))
		return -1;
	*inside = model_active(m, cpu, *inside);
	return 0;
}

/* What it says of the cells in the machine: TAKEN, FAILED (`inside` receives the regions
 * where that does not count), or an error.  What it reads and passes is noted. */
static enum ending ask_machine(const struct search *s, struct machine *m, const struct unit *u,
    uint64_t *inside)
{
	enum ending how;

	m->touched = m->written = 0;
	m->taken_count = m->given_count = 0;
	memset(m->labels, 0, (model_labels / 64 + 1) * sizeof(uint64_t));
	memset(m->read, 0, (s->memory / 64 + 1) * sizeof(uint64_t));
	*inside = 0;
	how = try_check(m, u);
	if (how == FAILED) {
		*inside = load(m, 0, model_regions + u->cpu) & model_exempt[u->invariant];
		/* Nothing of the kernel runs there, so it is no failure. */
		if (try_active(m, u->cpu, inside))
			return NO_MEANING;
	}
	return how;
}

/* Ask; 1 when it fails and that counts, 0 when not, -1 for an error. */
static int ask(struct thread *t, struct unit *u, const struct wide *state, word key,
    uint64_t level)
{
	struct search *s = t->search;
	enum ending how;
	uint64_t inside;

	load_state(t, state);
	how = ask_machine(s, &t->machine, u, &inside);
	t->dirty |= t->machine.written;
	merge_labels(s, t->machine.labels);
	if (how == TAKEN)
		return 0;
	if (how != FAILED) {
		broken(t, key, level, how, -1, (int)u->invariant);
		return -1;
	}
	if (inside)
		__atomic_fetch_or(&s->exempt, inside, __ATOMIC_RELAXED);
	return inside == 0;
}

uint64_t unit_bit(unsigned unit)
{
	return (uint64_t)1 << (unit < MOST_UNITS ? unit : MOST_UNITS - 1);
}

/* Under the lock: what a unit has read is watched from now on.  What is kept of
 * steps does not know it, and is forgotten before the next level begins. */
static void watch_cells(struct thread *t, struct unit *u, uint64_t bit)
{
	struct search *s = t->search;

	for (uint64_t at = 0; at <= s->memory / 64; at++) {
		uint64_t new = t->machine.read[at] & ~u->reads[at];

		if (!new)
			continue;
		u->reads[at] |= new;
		for (; new; new &= new - 1) {
			uint64_t cell = 64 * at + (uint64_t)__builtin_ctzll(new);

			s->watchers[cell] |= bit;
			/* Cells that nobody writes say nothing. */
			if (s->component_of[cell] != CONSTANT_COMPONENT) {
				u->stale = 1;
				request(s, FORGET);
			}
		}
	}
}

/* --- what is kept ---------------------------------------------------------------- */

static int reads(const struct unit *u, uint32_t cell)
{
	return (int)(u->reads[cell / 64] >> cell % 64 & 1);
}

/* Under the lock: the number of what a view shows of a content; -1 when there is
 * no room for it. */
static int look_at(struct search *s, struct unit *u, struct view *v, uint32_t content,
    uint64_t *row)
{
	const struct component *c = &s->component[v->component];
	const uint64_t *values = &c->rows[(uint64_t)content * c->cells];
	unsigned count = 0;
	uint32_t number;

	for (unsigned i = 0; i < c->cells; i++) {
		if (c->cell[i] < s->memory && reads(u, c->cell[i]))
			row[count++] = values[i];
	}
	if (component_number(&v->values, row, &number)) {
		u->stale = 1;
		request(s, FORGET);
		return -1;
	}
	__atomic_store_n(&v->part[content], KNOWN | (uint64_t)number << v->shift, __ATOMIC_RELEASE);
	return 0;
}

/* What some views make of a half of a key; without KNOWN where that is not known yet. */
static inline uint64_t half_seen(const struct view *v, const struct view *end,
    const struct wide *state, int joined)
{
	uint64_t half = KNOWN, known = KNOWN;

	for (; v < end; v++) {
		uint32_t content = joined ? field_get(&v->field, state) :
		    field_own(&v->field, state);
		uint64_t part = __atomic_load_n(&v->part[content], __ATOMIC_ACQUIRE);

		half |= part;
		known &= part;
	}
	return half & ~KNOWN | known;
}

/* The key of what a unit sees of a state; 0 when it is not known yet. */
static inline word seen_in(const struct unit *u, const struct wide *state, int joined)
{
	uint64_t low = half_seen(u->view, u->view + u->low, state, joined);
	uint64_t high = half_seen(u->view + u->low, u->view + u->views, state, joined);

	return low & high & KNOWN ? (word)high << 64 | low : 0;
}

static word seen_by(const struct unit *u, const struct wide *state)
{
	return u->joined ? seen_in(u, state, 1) : seen_in(u, state, 0);
}

/* Under the lock: keep an answer, where everything that it rests on is seen. */
static int keep_answer(struct search *s, struct thread *t, struct unit *u,
    const struct wide *state, word answer)
{
	word key, known;

	if (u->stale || u->never)
		return 0;
	for (unsigned i = 0; i < u->views; i++) {
		struct view *v = &u->view[i];
		uint32_t content = field_of(&s->component[v->component], state);

		if (v->part[content] == 0 && look_at(s, u, v, content, t->row))
			return 0;
	}
	key = seen_by(u, state);
	if (memo_get(&u->memo, key, &known) || memo_put(&u->memo, key, answer) == 0)
		return 0;
	stop(s, STOPPED_MEMORY);
	return -1;
}

/* The first unit from `from` on that is in a set, or the number of all. */
static inline unsigned next_unit(const struct search *s, uint64_t *units, unsigned from)
{
	unsigned bit;

	if (*units == 0)
		return s->units;
	bit = (unsigned)__builtin_ctzll(*units);
	/* The last bit stands for all that are left. */
	if (bit < MOST_UNITS - 1)
		*units &= *units - 1;
	else if (bit < from)
		return from;
	return bit;
}

/* Judge a state by one unit, which sees `seen` of it. */
static int judge_unit(struct thread *t, unsigned unit, const struct wide *state, word key,
    word seen, uint64_t level)
{
	struct search *s = t->search;
	struct unit *u = &s->unit[unit];
	word value;

	if (seen == 0 || !memo_get(&u->memo, seen, &value)) {
		int answer = ask(t, u, state, key, level), status;

		if (answer < 0)
			return -1;
		value = (word)answer;
		if (s->symmetry != NULL && !unit_is_alike(t, u))
			return -1;
		pthread_mutex_lock(&s->lock);
		watch_cells(t, u, unit_bit(unit));
		/* What the machine has read is lost there. */
		if (s->symmetry != NULL)
			watch_images(t, u);
		status = keep_answer(s, t, u, state, value);
		pthread_mutex_unlock(&s->lock);
		if (status)
			return -1;
	}
	if (value)
		note(s, &s->violation[u->invariant], state, key, level, 0);
	return 0;
}

int judge_asked(struct thread *t, uint64_t level)
{
	unsigned count = t->asked_count;

	t->asked_count = 0;
	for (unsigned i = 0; i < count; i++) {
		const struct asked *asked = &t->asked[i];

		if (judge_unit(t, asked->unit, asked->state, asked->key, asked->seen, level))
			return -1;
	}
	return 0;
}

int judge_later(struct thread *t, const struct wide *state, word key, uint64_t units,
    uint64_t level)
{
	struct search *s = t->search;

	for (unsigned i = next_unit(s, &units, 0); i < s->units; i = next_unit(s, &units, i + 1)) {
		struct unit *u = &s->unit[i];
		word seen = seen_by(u, state);

		if (t->asked_count == MOST_ASKED && judge_asked(t, level))
			return -1;
		t->asked[t->asked_count++] = (struct asked){state, key, seen, i};
		memo_prefetch(&u->memo, seen);
	}
	return 0;
}

static void close_view(struct view *v)
{
	component_close(&v->values);
	pages_unmap(v->part, sizeof(*v->part) << v->bits);
}

/* Find the field of what a view shows. */
static void place_view(const struct search *s, struct unit *u, struct view *v)
{
	v->field = s->component[v->component].field;
	u->joined |= v->field.over != 0;
}

static int open_view(struct search *s, struct unit *u, struct view *v, unsigned component,
    unsigned cells, unsigned width)
{
	const struct component *c = &s->component[component];
	unsigned count = 0;

	memset(v, 0, sizeof(*v));
	v->component = component;
	place_view(s, u, v);
	v->bits = c->field.width;
	v->part = pages_map(sizeof(*v->part) << v->bits, 0);
	if (v->part == NULL || component_open(&v->values, cells, width))
		return -1;
	for (unsigned i = 0; i < c->cells; i++) {
		if (c->cell[i] < s->memory && reads(u, c->cell[i]))
			v->values.cell[count++] = c->cell[i];
	}
	return 0;
}

static int renew(struct search *s, struct unit *u)
{
	unsigned width[MOST_COMPONENTS] = {0}, shift = 0;

	for (unsigned i = 0; i < u->views; i++) {
		struct component *values = &u->view[i].values;

		width[u->view[i].component] = values->wanted ? values->wanted + 1 :
		    values->field.width;
		close_view(&u->view[i]);
	}
	u->views = u->low = 0;
	u->never = 0;
	if (memo_clear(&u->memo))
		return -1;
	for (unsigned n = 0; n < s->components; n++) {
		const struct component *c = &s->component[n];
		unsigned cells = 0, bits = width[n] ? width[n] : FIRST_VIEW_BITS;

		for (unsigned i = 0; i < c->cells; i++)
			cells += c->cell[i] < s->memory && reads(u, c->cell[i]);
		if (cells == 0)
			continue;
		if (shift + bits > HALF_BITS) {
			/* A view is in one half; the lower one comes first. */
			u->never |= u->low > 0 || bits > HALF_BITS;
			u->low = u->views;
			shift = 0;
		}
		if (open_view(s, u, &u->view[u->views], n, cells, bits))
			return -1;
		u->view[u->views++].shift = shift;
		shift += bits;
	}
	u->stale = 0;
	if (u->never) {
		u->low = 0;
		while (u->views)
			close_view(&u->view[--u->views]);
	}
	return 0;
}

int invariants_open(struct search *s)
{
	for (unsigned i = 0; i < s->units; i++) {
		struct unit *u = &s->unit[i];

		u->reads = calloc(s->memory / 64 + 1, sizeof(*u->reads));
		u->view = calloc(MOST_COMPONENTS, sizeof(*u->view));
		if (u->reads == NULL || u->view == NULL || memo_open(&u->memo))
			return -1;
	}
	return 0;
}

int invariants_renew(struct search *s)
{
	for (unsigned i = 0; i < s->units; i++) {
		if (s->unit[i].stale && renew(s, &s->unit[i]))
			return -1;
	}
	return 0;
}

int invariants_fit(struct search *s)
{
	for (unsigned i = 0; i < s->units; i++) {
		struct unit *u = &s->unit[i];

		u->joined = 0;
		for (unsigned n = 0; n < u->views; n++) {
			struct view *v = &u->view[n];
			unsigned bits = s->component[v->component].field.width;
			uint64_t *part;

			place_view(s, u, v);
			if (bits == v->bits)
				continue;
			part = pages_resize(v->part, sizeof(*part) << v->bits, sizeof(*part) << bits);
			if (part == NULL)
				return -1;
			v->part = part;
			v->bits = bits;
		}
	}
	return 0;
}
