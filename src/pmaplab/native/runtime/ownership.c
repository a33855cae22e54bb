#include "ownership.h"

#include "search.h"

static int atom_holds(const struct thread *t, const struct atom *atom, const uint64_t *cells,
    uint64_t *touched)
{
	*touched |= (uint64_t)1 << t->search->component_of[atom->cell];
	return ((cells[atom->cell] & atom->mask) == atom->value) == (atom->equal != 0);
}

static int holds(const struct thread *t, const struct rule *rule, const uint64_t *cells,
    uint64_t *touched)
{
	for (uint32_t i = 0; i < rule->atoms; i++) {
		const struct atom *atom = &t->search->ownership->atom[rule->first_atom + i];

		if (!atom_holds(t, atom, cells, touched))
			return 0;
	}
	return 1;
}

static int is_changed(const struct thread *t, uint32_t rule)
{
	for (unsigned i = 0; i < t->changed_count; i++) {
		if (t->changed[i].rule == rule)
			return 1;
	}
	return 0;
}

static void note_wrong(struct thread *t, uint64_t name, unsigned agent, uint64_t cell,
    enum how_wrong how)
{
	struct search *s = t->search;
	struct wrong *known = &s->ownership->wrong[name];
	struct wrong now_found = {1, t->base[s->agent[agent].base], agent, cell, how};

	pthread_mutex_lock(&s->lock);
	if (!known->found || now_found.point < known->point || (now_found.point == known->point &&
	    (agent < known->agent || (agent == known->agent && (cell < known->cell ||
	    (cell == known->cell && (uint64_t)how < known->how))))))
		*known = now_found;
	pthread_mutex_unlock(&s->lock);
	/* It will be searched again without this fact. */
	if (s->reduction != NULL)
		stop(s, STOPPED_FACT);
}

/* --- what a step changes ---------------------------------------------------------- */

/* Whether a rule cannot hold before a step nor after it, by atoms that nobody else may
 * change. */
static int is_idle(const struct thread *t, const struct rule *rule, unsigned agent,
    uint64_t *touched)
{
	int before = 1, after = 1;

	for (uint32_t i = 0; i < rule->atoms; i++) {
		const struct atom *atom = &t->search->ownership->atom[rule->first_atom + i];

		if (atom->writers & ~((uint64_t)1 << agent))
			continue;
		before &= atom_holds(t, atom, t->base, touched);
		after &= atom_holds(t, atom, t->machine.s, touched);
	}
	return !before && !after;
}

/* Whether what a rule speaks of has another owner after a step. */
static int is_twice(const struct thread *t, uint32_t number, uint64_t *touched)
{
	const struct ownership *o = t->search->ownership;
	const struct rule *rule = &o->rule[number];

	if (rule->shared)
		return 0;
	for (uint64_t cell = 0; cell < t->search->memory; cell++) {
		int mine = 0;

		for (uint32_t i = o->rules_of.first[cell]; i < o->rules_of.first[cell + 1]; i++)
			mine |= o->rules_of.at[i] == number;
		for (uint32_t i = o->rules_of.first[cell]; mine && i < o->rules_of.first[cell + 1];
		    i++) {
			const struct rule *other = &o->rule[o->rules_of.at[i]];

			if (other->name == rule->name && other->keepers != rule->keepers &&
			    holds(t, other, t->machine.s, touched))
				return 1;
		}
	}
	return 0;
}

static void check_change(struct thread *t, unsigned agent, uint32_t number, uint64_t *touched)
{
	const struct rule *rule = &t->search->ownership->rule[number];
	int before = holds(t, rule, t->base, touched);
	int after = holds(t, rule, t->machine.s, touched);

	if (before && !after && !(rule->enders >> agent & 1))
		note_wrong(t, rule->name, agent, rule->cell, ENDED);
	if (after && !before && is_twice(t, number, touched))
		note_wrong(t, rule->name, agent, rule->cell, TWICE);
}

/* A rule of which an atom changes; whether that was true. */
static void change(struct thread *t, unsigned agent, uint32_t number, int held,
    uint64_t *touched)
{
	for (unsigned i = 0; i < t->changed_count; i++) {
		if (t->changed[i].rule == number) {
			t->changed[i].ends |= held;
			return;
		}
	}
	if (is_idle(t, &t->search->ownership->rule[number], agent, touched))
		return;
	t->changed[t->changed_count++] = (struct rule_change){number, held};
	check_change(t, agent, number, touched);
}

void ownership_outcome(struct thread *t, unsigned agent, uint64_t *touched)
{
	struct search *s = t->search;
	const struct ownership *o = s->ownership;

	t->changed_count = 0;
	for (uint64_t at = 0; at <= s->memory / 64; at++) {
		for (uint64_t left = t->machine.wrote[at]; left; left &= left - 1) {
			uint64_t cell = 64 * at + (uint64_t)__builtin_ctzll(left);

			if (t->base[cell] == t->machine.s[cell])
				continue;
			for (uint32_t i = o->atoms_of.first[cell]; i < o->atoms_of.first[cell + 1]; i++) {
				const struct atom *atom = &o->atom[o->atoms_of.at[i]];
				int held = atom_holds(t, atom, t->base, touched);

				if (held != atom_holds(t, atom, t->machine.s, touched))
					change(t, agent, atom->rule, held, touched);
			}
		}
	}
}

/* --- what it touches ---------------------------------------------------------------- */

/* Whether a rule makes its cells the agent's CPU's; if `unchanged`, behind the step too. */
static int keeps(const struct thread *t, unsigned agent, uint32_t number, int unchanged,
    uint64_t *touched)
{
	const struct rule *rule = &t->search->ownership->rule[number];

	return rule->keepers >> agent & 1 && !rule->shared &&
	    !(unchanged && is_changed(t, number)) && holds(t, rule, t->base, touched);
}

/* Whether a cell is the agent's CPU's by the fact of a rule. */
static int is_mine(const struct thread *t, unsigned agent, uint64_t cell, uint64_t name,
    int unchanged, uint64_t *touched)
{
	const struct ownership *o = t->search->ownership;

	for (uint32_t i = o->rules_of.first[cell]; i < o->rules_of.first[cell + 1]; i++) {
		uint32_t number = o->rules_of.at[i];

		if (o->rule[number].name == name && keeps(t, agent, number, unchanged, touched))
			return 1;
	}
	return 0;
}

/* Whether the agent breaks a rule, if that holds, by what it does to a cell. */
static int is_others(const struct thread *t, unsigned agent, uint64_t cell, int written,
    const struct rule *rule, int unchanged, uint64_t *touched)
{
	return !(rule->keepers >> agent & 1) && (written || !rule->shared) &&
	    !is_mine(t, agent, cell, rule->name, unchanged, touched);
}

void ownership_attempt(struct thread *t, unsigned agent, uint64_t *touched)
{
	struct search *s = t->search;
	const struct ownership *o = s->ownership;

	for (uint64_t at = 0; at <= s->memory / 64; at++) {
		uint64_t all = t->machine.wrote[at] | t->machine.read[at];

		for (uint64_t left = all; left; left &= left - 1) {
			uint64_t bit = (uint64_t)__builtin_ctzll(left), cell = 64 * at + bit;
			int written = (int)(t->machine.wrote[at] >> bit & 1);

			for (uint32_t i = o->rules_of.first[cell]; i < o->rules_of.first[cell + 1]; i++) {
				const struct rule *rule = &o->rule[o->rules_of.at[i]];

				if (is_others(t, agent, cell, written, rule, 0, touched) &&
				    holds(t, rule, t->base, touched))
					note_wrong(t, rule->name, agent, cell,
					    rule->shared ? WRITTEN : TOUCHED);
			}
		}
	}
}

/* --- conflicts ------------------------------------------------------------------------ */

uint64_t ownership_narrowed(const struct thread *t, unsigned agent, uint64_t cell, int written,
    uint64_t by_tables, uint64_t *touched)
{
	const struct ownership *o = t->search->ownership;
	uint64_t mine = (uint64_t)1 << agent, fewest = by_tables & ~mine;

	if (o == NULL)
		return fewest;
	for (uint32_t i = o->rules_of.first[cell]; i < o->rules_of.first[cell + 1]; i++) {
		const struct rule *rule = &o->rule[o->rules_of.at[i]];
		uint64_t left = ((by_tables & rule->keepers) | rule->enders) & ~mine;

		if ((rule->keepers & mine || (rule->shared && !rule->keepers)) &&
		    !(rule->shared && written) &&
		    __builtin_popcountll(left) < __builtin_popcountll(fewest) &&
		    !is_changed(t, o->rules_of.at[i]) && holds(t, rule, t->base, touched))
			fewest = left;
	}
	return fewest;
}

uint64_t ownership_touchers(const struct thread *t, unsigned agent, uint64_t cell, int written,
    uint64_t by_tables, uint64_t *touched)
{
	const struct ownership *o = t->search->ownership;
	uint64_t result = ownership_narrowed(t, agent, cell, written, by_tables, touched);

	if (o == NULL)
		return result;
	for (uint32_t i = o->rules_of.first[cell]; i < o->rules_of.first[cell + 1]; i++) {
		const struct rule *rule = &o->rule[o->rules_of.at[i]];

		if (is_others(t, agent, cell, written, rule, 1, touched))
			result |= rule->changers;
		/* Once it is its CPU's no more, another one may have it. */
		if (keeps(t, agent, o->rules_of.at[i], 1, touched))
			result |= rule->enders & rule->changers & ~((uint64_t)1 << agent);
	}
	return result;
}

uint64_t ownership_disturbed(const struct thread *t)
{
	uint64_t result = 0;

	for (unsigned i = 0; i < t->changed_count; i++) {
		if (t->changed[i].ends)
			result |= t->search->ownership->rule[t->changed[i].rule].concerned;
	}
	return result;
}
