#include "reduce.h"

#include <stdlib.h>
#include <string.h>

#include "search.h"

/* Who may end it that failures of a unit do not count; 0 where they do. */
static int exempts(const struct search *s, const struct unit *u, uint64_t inside, uint64_t *who)
{
	const struct reduction *r = s->reduction;
	uint64_t exempt = model_exempt[u->invariant], fewest = ANYBODY;
	uint64_t always = inside & exempt & r->always[u - s->unit], left;

	if (!always || (inside & exempt & ~r->used))
		return 0;
	for (left = always; left; left &= left - 1) {
		uint64_t agents = r->leavers[u->cpu * r->regions + (unsigned)__builtin_ctzll(left)];

		if (__builtin_popcountll(agents) < __builtin_popcountll(fewest))
			fewest = agents;
	}
	*who = fewest;
	for (left = exempt & ~r->used; left; left &= left - 1)
		*who |= r->enterers[u->cpu * r->regions + (unsigned)__builtin_ctzll(left)];
	return 1;
}

/* Who may enter or leave a region of a CPU that makes a difference to a unit. */
static uint64_t markers(const struct search *s, const struct unit *u, uint64_t cpu)
{
	const struct reduction *r = s->reduction;
	uint64_t result = 0, left = r->asks[(uint64_t)(u - s->unit) * model_cpus + cpu];

	for (; left; left &= left - 1) {
		uint64_t at = cpu * r->regions + (unsigned)__builtin_ctzll(left);

		result |= r->leavers[at] | r->enterers[at];
	}
	return result;
}

/* Who may write what a unit has read, while an agent does not move. */
static uint64_t writers_for(const struct thread *t, const struct unit *u, unsigned agent,
    uint64_t *touched)
{
	const struct search *s = t->search;
	uint64_t result = 0;

	for (uint64_t at = 0; at <= s->memory / 64; at++) {
		for (uint64_t left = t->machine.read[at]; left; left &= left - 1) {
			uint64_t cell = 64 * at + (uint64_t)__builtin_ctzll(left);

			result |= cell >= model_regions ? markers(s, u, cell - model_regions) :
			    ownership_narrowed(t, agent, cell, 0, s->reduction->write[cell],
			    touched);
		}
	}
	return result;
}

static uint64_t writers(const struct search *s, const uint64_t *cells, uint64_t but)
{
	uint64_t result = 0;

	for (uint64_t at = 0; at <= s->memory / 64; at++) {
		for (uint64_t left = cells[at]; left; left &= left - 1) {
			uint64_t cell = 64 * at + (uint64_t)__builtin_ctzll(left);

			if (cell != but)
				result |= s->reduction->write[cell];
		}
	}
	return result;
}

/* Who may change what a unit says of the state in the machine; -1 for an error. */
static int changers(struct thread *t, const struct unit *u, unsigned agent, uint64_t *touched,
    uint64_t *who)
{
	struct search *s = t->search;
	struct machine *m = &t->machine;
	enum ending how;
	uint64_t inside;

	m->touched = 0;
	inside = load(m, 0, model_regions + u->cpu);
	*touched |= m->touched;
	if (exempts(s, u, inside, who))
		return 0;
	how = ask_machine(s, m, u, &inside);
	if (how != TAKEN && how != FAILED) {
		broken(t, t->key, s->level, how, -1, (int)u->invariant);
		return -1;
	}
	*touched |= m->touched;
	if (s->symmetry != NULL && read_images(t, u, touched))
		return -1;
	*who = writers_for(t, u, agent, touched);
	return 0;
}

/* The units to which it makes a difference what regions of a CPU the step changes. */
static uint64_t marked_units(const struct thread *t, uint64_t cpu)
{
	const struct search *s = t->search;
	uint64_t result = 0;

	for (unsigned i = 0; i < s->units; i++) {
		if (s->reduction->asks[i * model_cpus + cpu] & t->marked[cpu])
			result |= (uint64_t)1 << i;
	}
	return result;
}

void note_outcome(struct thread *t)
{
	for (unsigned i = 0; i < model_cpus; i++)
		t->marked[i] = t->base[model_regions + i] ^ t->machine.s[model_regions + i];
}

int step_conflicts(struct thread *t, const struct wide *state, unsigned agent, uint64_t *touched,
    uint64_t *conflicts)
{
	struct search *s = t->search;
	const struct reduction *r = s->reduction;
	uint64_t units = 0, result = s->ownership == NULL ? 0 : ownership_disturbed(t);

	for (uint64_t at = 0; at <= s->memory / 64; at++) {
		for (uint64_t left = t->machine.wrote[at]; left; left &= left - 1) {
			uint64_t cell = 64 * at + (uint64_t)__builtin_ctzll(left);

			result |= ownership_touchers(t, agent, cell, 1, r->touch[cell], touched);
			units |= cell >= model_regions ? marked_units(t, cell - model_regions) :
			    r->seen[cell];
		}
		for (uint64_t left = t->machine.read[at]; left; left &= left - 1) {
			uint64_t cell = 64 * at + (uint64_t)__builtin_ctzll(left);

			result |= ownership_touchers(t, agent, cell, 0,
			    cell == r->guard[agent] ? 0 : r->write[cell], touched);
		}
	}
	load_state(t, state);
	for (; units; units &= units - 1) {
		uint64_t who;

		if (changers(t, &s->unit[__builtin_ctzll(units)], agent, touched, &who))
			return -1;
		result |= who;
	}
	*conflicts = result & ~((uint64_t)1 << agent);
	return 0;
}

uint64_t step_waits(const struct thread *t)
{
	return writers(t->search, t->machine.read, 0);
}

void beyond(struct thread *t, unsigned agent)
{
	struct search *s = t->search;

	if (s->symmetry == NULL)
		stop(s, STOPPED_BEYOND);
	else
		told_apart(s, s->symmetry->count, t->base[s->agent[agent].base], -1);
}

int is_within(const struct thread *t, unsigned agent)
{
	const struct search *s = t->search;

	for (uint64_t at = 0; at <= s->memory / 64; at++) {
		uint64_t all = t->machine.read[at] | t->machine.wrote[at];

		for (; all; all &= all - 1) {
			uint64_t bit = (uint64_t)__builtin_ctzll(all), cell = 64 * at + bit;
			const uint64_t *may = t->machine.wrote[at] >> bit & 1 ? s->reduction->write :
			    s->reduction->touch;

			if (!(may[cell] >> agent & 1))
				return 0;
		}
	}
	return 1;
}

void forget_access(const struct search *s, struct machine *m)
{
	uint64_t words = s->memory / 64 + 1;

	memset(m->read, 0, words * sizeof(*m->read));
	memset(m->wrote, 0, words * sizeof(*m->wrote));
}

/* A step has been taken: what it makes no difference to stays known. */
static void forget_changed(const struct search *s, struct around *all, const struct wide *from,
    const struct wide *to, unsigned mover)
{
	uint64_t stale = (uint64_t)1 << mover;

	for (uint64_t left = all->known & ~stale; left; left &= left - 1) {
		const struct wide *bits = &s->mask[all->mask[__builtin_ctzll(left)]].bits;
		uint64_t differs = 0;

		for (unsigned i = 0; i < LANES; i++)
			differs |= (from->lane[i] ^ to->lane[i]) & bits->lane[i];
		if (differs)
			stale |= left & -left;
	}
	all->known &= ~stale;
	all->off &= ~stale;
	all->done &= ~stale;
}

static enum expanded look_up(struct thread *t, const struct wide *state, struct around *all,
    uint64_t agents)
{
	for (agents &= ~all->known; agents; agents &= agents - 1) {
		unsigned agent = (unsigned)__builtin_ctzll(agents);
		enum expanded how = agent_value(t, state, &all->foreseen[agent], agent,
		    &all->value[agent]);
		uint64_t bit = agents & -agents, out;

		if (how != EXPANDED)
			return how;
		all->known |= bit;
		all->mask[agent] = t->by;
		out = all->value[agent].lane[0] >> OUT_SHIFT;
		if (out == OUT_NONE)
			all->off |= bit;
		else if (out == OUT_DONE)
			all->done |= bit;
	}
	return EXPANDED;
}

/* Whether nothing that others can do, while an agent does not move, meets a step of
 * it: WAITING if not. */
static enum expanded alone(struct thread *t, const struct wide *state, struct around *all,
    unsigned agent)
{
	const struct search *s = t->search;
	uint64_t mine = (uint64_t)1 << agent, conflicts, still;
	enum expanded how = look_up(t, state, all, mine);

	if (how != EXPANDED)
		return how;
	if (all->value[agent].lane[0] >> OUT_SHIFT != OUT_ONE)
		return WAITING;
	conflicts = conflicts_of(s, &all->value[agent]);
	if (conflicts == 0)
		return EXPANDED;
	if (conflicts == ANYBODY)
		return WAITING;
	/* Mostly one of them can move. */
	for (uint64_t left = conflicts; left; left &= left - 1) {
		how = look_up(t, state, all, left & -left);
		if (how != EXPANDED)
			return how;
		if (left & -left & ~(all->off | all->done))
			return WAITING;
	}
	how = look_up(t, state, all, all_agents(s));
	if (how != EXPANDED)
		return how;
	still = all->off;
	for (int settled = 0; !settled;) {
		settled = 1;
		for (uint64_t left = still; left; left &= left - 1) {
			const struct wide *value = &all->value[__builtin_ctzll(left)];

			if (conflicts_of(s, value) & ~(still | all->done | mine)) {
				still &= ~(left & -left);
				settled = 0;
			}
		}
	}
	return conflicts & ~(still | all->done) ? WAITING : EXPANDED;
}

void run_afresh(struct thread *t, struct running *r, const struct wide *state)
{
	struct around *all = &r->around;

	all->known = all->off = all->done = 0;
	foresee(t->search, state, all_agents(t->search), all->foreseen);
}

enum expanded run_once(struct thread *t, struct running *r, struct wide *state, uint64_t *concerns)
{
	struct search *s = t->search;
	struct around *all = &r->around;

	if (is_endless(s, r))
		return WAITING;
	/* Whoever moved last is the likeliest to go on. */
	for (unsigned tried = 0; tried < s->agents; tried++) {
		enum expanded how = alone(t, state, all, r->agent);

		if (how == EXPANDED) {
			r->from = *state;
			r->steps++;
			*state = successor(state, &all->value[r->agent]);
			*concerns = concerns_of(s, &all->value[r->agent]);
			forget_changed(s, all, &r->from, state, r->agent);
			foresee(s, state, all_agents(s) & ~all->known, all->foreseen);
			return EXPANDED;
		}
		if (how != WAITING)
			return how;
		r->agent = r->agent + 1 == s->agents ? 0 : r->agent + 1;
	}
	return WAITING;
}

enum expanded run_on(struct thread *t, struct wide *state, uint64_t *moved)
{
	struct running r;
	enum expanded how;
	uint64_t concerns;

	r.begun = *state;
	r.agent = 0;
	r.steps = 0;
	run_afresh(t, &r, state);
	while ((how = run_once(t, &r, state, &concerns)) == EXPANDED)
		*moved |= (uint64_t)1 << r.agent;
	if (is_endless(t->search, &r))
		*state = r.begun;
	return how == WAITING ? EXPANDED : how;
}
