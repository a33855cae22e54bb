/* What is kept of steps, when more is watched or fields have moved. */
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "search.h"

/* What is kept of steps, while it learns whom they concern besides those whom it knows. */
struct renewal {
	int afresh;		/* it knows nobody: the sets are others, except for that of all */
	unsigned component[MOST_COMPONENTS], components;	/* whose cells more units watch */
	uint64_t conflicts[MOST_CONCERNS];	/* by the number of a set before */
};

/* The units that watch a cell, of which what is kept does not know. */
static inline uint64_t more_watchers(const struct search *s, const struct renewal *r, uint32_t cell)
{
	return r->afresh ? s->watchers[cell] : s->watchers[cell] & ~s->watchers_known[cell];
}

static void begin_renewal(struct search *s, struct renewal *r)
{
	r->afresh = s->concerns_count > MOST_CONCERNS / 2;
	if (r->afresh) {
		memcpy(r->conflicts, s->conflicts, sizeof(r->conflicts));
		s->concerns_count = 1;
	}
	r->components = 0;
	for (unsigned i = 0; i < s->components; i++) {
		const struct component *c = &s->component[i];
		uint64_t units = 0;

		for (unsigned n = 0; n < c->cells; n++)
			units |= more_watchers(s, r, c->cell[n]);
		if (units)
			r->component[r->components++] = i;
	}
}

/* A step, which made a difference where `before` was. */
static void concern_again(struct search *s, const struct renewal *r, const struct wide *before,
    struct wide *difference)
{
	uint64_t number = difference->lane[0] >> CONCERNS_SHIFT & (MOST_CONCERNS - 1);
	uint64_t known = r->afresh ? 0 : s->concerns[number], units = known;

	for (unsigned i = 0; i < r->components; i++) {
		const struct component *c = &s->component[r->component[i]];
		uint32_t from = field_of(c, before), to = from ^ field_of(c, difference);
		const uint64_t *old = &c->rows[(uint64_t)from * c->cells];
		const uint64_t *new = &c->rows[(uint64_t)to * c->cells];

		for (unsigned n = 0; from != to && n < c->cells; n++) {
			if (old[n] != new[n])
				units |= more_watchers(s, r, c->cell[n]);
		}
	}
	if (!r->afresh && units == known)
		return;
	number = concerns_number(s, units, r->afresh ? r->conflicts[number] : s->conflicts[number]);
	difference->lane[0] &= ~((uint64_t)(MOST_CONCERNS - 1) << CONCERNS_SHIFT);
	difference->lane[0] |= number << CONCERNS_SHIFT;
}

void steps_renew(struct search *s)
{
	struct renewal r;

	begin_renewal(s, &r);
	for (unsigned i = 0; i < s->agents && (r.afresh || r.components); i++) {
		struct kept_steps *all = s->agent[i].steps;

		for (uint64_t at = 0; at <= all->last; at++) {
			struct kept_step *step = &all->step[at];
			struct outcomes *many;

			if (!step->key.lane[0])
				continue;
			if (step->value.lane[0] >> OUT_SHIFT == OUT_ONE ||
			    step->value.lane[0] >> OUT_SHIFT == OUT_NONE)
				concern_again(s, &r, &step->key, &step->value);
			if (step->value.lane[0] >> OUT_SHIFT != OUT_MANY)
				continue;
			many = (struct outcomes *)(uintptr_t)step->value.lane[1];
			for (uint32_t n = 0; n < many->count; n++)
				concern_again(s, &r, &step->key, &many->value[n]);
		}
	}
	memcpy(s->watchers_known, s->watchers, s->cells * sizeof(*s->watchers));
}

/* A key or a value; pointers stay what they are. */
static struct wide moved_value(struct wide (*moved)(const void *how, const struct wide *value),
    const void *how, const struct wide *value)
{
	return value->lane[0] >> OUT_SHIFT == OUT_MANY ? *value : moved(how, value);
}

static int move_steps(struct kept_steps **steps,
    struct wide (*moved)(const void *how, const struct wide *value), const void *how)
{
	struct kept_steps *all = *steps;
	int status = 0;

	if (kept_open(steps, all->last)) {
		*steps = all;
		return -1;
	}
	for (uint64_t at = 0; status == 0 && at <= all->last; at++) {
		struct wide key, value;

		if (!all->step[at].key.lane[0])
			continue;
		key = moved(how, &all->step[at].key);
		value = moved_value(moved, how, &all->step[at].value);
		status = kept_put(steps, &key, &value);
	}
	kept_close(&all);
	return status;
}

static int widen_masks(struct search *s, struct masks *masks)
{
	struct masks before = *masks;

	if (before.number == NULL)
		return 0;
	if (open_masks(s, masks, before.component))
		return -1;
	memcpy(masks->number, before.number, sizeof(*masks->number) <<
	    (before.bits < masks->bits ? before.bits : masks->bits));
	pages_unmap(before.number, sizeof(*before.number) << before.bits);
	return 0;
}

int steps_fit(struct search *s)
{
	for (unsigned number = 0; number < s->masks; number++)
		set_mask_bits(s, number);
	for (unsigned i = 0; i < s->agents; i++) {
		if (widen_masks(s, &s->agent[i].own) || widen_masks(s, &s->agent[i].idle))
			return -1;
	}
	for (unsigned i = 0; i < s->threads; i++) {
		s->thread[i].is_unpacked = 0;
		batch_forget(&s->thread[i]);
	}
	return s->symmetry == NULL ? 0 : symmetry_fit(s);
}

int steps_move(struct search *s, struct wide (*moved)(const void *how, const struct wide *value),
    const void *how)
{
	for (struct outcomes *many = s->many; many != NULL; many = many->next) {
		for (uint32_t i = 0; i < many->count; i++)
			many->value[i] = moved(how, &many->value[i]);
	}
	for (unsigned i = 0; i < s->agents; i++) {
		if (move_steps(&s->agent[i].steps, moved, how))
			return -1;
	}
	return 0;
}
