/* Steps: run once for what they depend on, then looked up. */
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "search.h"

/* --- masks -------------------------------------------------------------------- */

static void set_mask_bits(struct search *s, unsigned number)
{
	struct mask *mask = &s->mask[number];

	memset(&mask->bits, 0, sizeof(mask->bits));
	for (unsigned i = 0; i < s->components; i++) {
		const struct component *c = &s->component[i];

		if (mask->components >> i & 1)
			field_xor(c, &mask->bits, low_bits(c->field.width));
	}
}

/* Under the lock: the number of the mask of some components. */
static unsigned mask_of(struct search *s, uint64_t components)
{
	unsigned number;

	for (number = 0; number < s->masks; number++) {
		if (s->mask[number].components == components)
			return number;
	}
	if (number == MOST_MASKS)
		return MOST_MASKS;
	s->mask[number].components = components;
	set_mask_bits(s, number);
	__atomic_store_n(&s->masks, number + 1, __ATOMIC_RELEASE);
	return number;
}

static inline struct wide key_of(const struct search *s, const struct wide *state, unsigned mask)
{
	struct wide key;

	for (unsigned i = 0; i < LANES; i++)
		key.lane[i] = state->lane[i] & s->mask[mask].bits.lane[i];
	key.lane[0] |= (uint64_t)mask << TOP_SHIFT | LANE_TOP;
	return key;
}

/* The mask of what an agent's next step may touch, as far as is known.  One that waits
 * has always the same part, and what it does next is told by what it waits for. */
static inline uint16_t *mask_at(const struct search *s, const struct agent *a,
    const struct wide *state)
{
	uint32_t own = field_of(&s->component[a->component], state);

	if (own == 0) {
		uint16_t *idle = __atomic_load_n(&a->idle.number, __ATOMIC_ACQUIRE);

		if (idle != NULL)
			return &idle[field_of(&s->component[a->idle.component], state)];
	}
	return &a->own.number[own];
}

static int open_masks(struct search *s, struct masks *masks, unsigned component)
{
	unsigned first = mask_of(s, (uint64_t)1 << component);
	unsigned bits = s->component[component].field.width;
	uint16_t *number = pages_map(sizeof(*number) << bits, 0);

	if (number == NULL || first == MOST_MASKS)
		return -1;
	for (uint64_t i = 0; i < (uint64_t)1 << bits; i++)
		number[i] = (uint16_t)first;
	masks->component = component;
	masks->bits = bits;
	__atomic_store_n(&masks->number, number, __ATOMIC_RELEASE);
	return 0;
}

/* Under the lock: what an agent that waits has looked at, if that is one component. */
static int look_first(struct search *s, struct agent *a, const struct wide *state, uint64_t touched)
{
	touched &= ~((uint64_t)1 << a->component);
	if (a->idle.number != NULL || field_of(&s->component[a->component], state) != 0 ||
	    touched == 0 || touched & (touched - 1))
		return 0;
	return open_masks(s, &a->idle, (unsigned)__builtin_ctzll(touched));
}

/* Whether an agent that does nothing now does so wherever this mask is met: it depends on
 * what the mask was found by alone.  A reduction asks for what it waits. */
static int is_off(const struct search *s, const struct agent *a, const uint16_t *mask,
    unsigned number, const struct wide *value)
{
	uint64_t out = value->lane[0] >> OUT_SHIFT, by = (uint64_t)1 << a->component;
	const uint16_t *idle = a->idle.number;

	if (s->reduction != NULL || !(out == OUT_DONE || (out == OUT_NONE && !a->works)))
		return 0;
	if (idle != NULL && mask >= idle && mask < idle + ((uint64_t)1 << a->idle.bits))
		by |= (uint64_t)1 << a->idle.component;
	return (s->mask[number].components & ~by) == 0;
}

/* Under the lock: keep a value for what was touched. */
static int keep(struct thread *t, struct agent *a, uint16_t *mask, const struct wide *state,
    uint64_t touched, const struct wide *value)
{
	struct search *s = t->search;
	unsigned number = *mask & ~OFF;
	struct wide key;

	touched &= ((uint64_t)1 << MOST_COMPONENTS) - 1;
	if (look_first(s, a, state, touched)) {
		stop(s, STOPPED_MEMORY);
		return -1;
	}
	if (touched & ~s->mask[number].components)
		number = mask_of(s, s->mask[number].components | touched);
	if (number == MOST_MASKS) {
		stop(s, STOPPED_WIDE);
		return -1;
	}
	__atomic_store_n(mask, (uint16_t)(number | (is_off(s, a, mask, number, value) ? OFF : 0)),
	    __ATOMIC_RELEASE);
	key = key_of(s, state, number);
	t->by = number;
	if (kept_get(&a->steps, &key, kept_hash(&key)) != NULL)
		return 0;
	if (kept_put(&a->steps, &key, value)) {
		stop(s, STOPPED_MEMORY);
		return -1;
	}
	return 0;
}

/* --- steps -------------------------------------------------------------------- */

/* Under the lock: the number of a set of units, with one of agents; 0 is that of all
 * of them. */
static unsigned concerns_number(struct search *s, uint64_t units, uint64_t conflicts)
{
	unsigned number;

	for (number = s->concerns_count; number-- > 0;) {
		if (s->concerns[number] == units && s->conflicts[number] == conflicts)
			return number;
	}
	if (s->concerns_count == MOST_CONCERNS)
		return 0;
	s->concerns[s->concerns_count] = units;
	s->conflicts[s->concerns_count] = conflicts;
	return s->concerns_count++;
}

/* The units that read a cell which the machine has changed. */
static uint64_t concerned(const struct thread *t, const struct component *c)
{
	uint64_t units = 0;

	for (unsigned i = 0; i < c->cells; i++) {
		uint32_t cell = c->cell[i];

		if (t->machine.s[cell] != t->base[cell])
			units |= t->search->watchers[cell];
	}
	return units;
}

/* The successor that the machine's cells are: what differs, and whom it concerns. */
static int difference_of(struct thread *t, const struct agent *a, const struct wide *state,
    struct wide *difference)
{
	struct search *s = t->search;
	uint64_t changed = t->machine.written | (uint64_t)1 << a->component, units = 0;

	memset(difference, 0, sizeof(*difference));
	for (unsigned i = 0; i < s->components; i++) {
		struct component *c = &s->component[i];
		uint32_t number;

		if (!(changed >> i & 1))
			continue;
		if (component_renumber(c, field_of(c, state), t->machine.s, t->row, &number)) {
			request(s, REPACK);
			return -1;
		}
		if (number == field_of(c, state))
			continue;
		field_xor(c, difference, number ^ field_of(c, state));
		units |= concerned(t, c);
	}
	pthread_mutex_lock(&s->lock);
	difference->lane[0] |= (uint64_t)concerns_number(s, units, ANYBODY) << CONCERNS_SHIFT;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

/* The choices after those just taken; 0 at the end. */
static int next_choices(struct machine *m)
{
	for (unsigned i = m->taken_count; i-- > 0;) {
		if (m->taken[i] < m->limit[i]) {
			memcpy(m->given, m->taken, i * sizeof(m->given[0]));
			m->given[i] = m->taken[i] + 1;
			m->given_count = i + 1;
			return 1;
		}
	}
	return 0;
}

static int push_found(struct thread *t, const struct wide *difference)
{
	if (t->found_count == t->found_room) {
		struct wide *found = realloc(t->found, 2 * t->found_room * sizeof(*found));

		if (found == NULL) {
			stop(t->search, STOPPED_MEMORY);
			return -1;
		}
		t->found = found;
		t->found_room *= 2;
	}
	t->found[t->found_count++] = *difference;
	return 0;
}

/* In a function of its own: longjmp() would spoil the locals of a larger one. */
static enum ending try_step(struct machine *m, const struct agent *a)
{
	enum ending how = (enum ending)setjmp(m->out);

	return how == TAKEN ? model_step(m, a->base, a->cpu) : how;
}

/* Run a step in all its ways; the differences come behind thread->found. */
static enum expanded run_step(struct thread *t, const struct wide *state, unsigned agent,
    struct wide *value)
{
	struct search *s = t->search;
	struct agent *a = &s->agent[agent];
	struct machine *m = &t->machine;
	uint64_t touched = (uint64_t)1 << a->component;
	unsigned first = t->found_count, transitions = 0, words = model_labels / 64 + 1;
	uint64_t conflicts = ANYBODY;
	int failed = 0, ended = 0;

	if (s->reduction != NULL || s->ownership != NULL)
		forget_access(s, &t->machine);
	m->given_count = 0;
	memset(t->labels, 0, words * sizeof(uint64_t));
	do {
		enum ending how;
		struct wide difference;

		load_state(t, state);
		m->touched = m->written = 0;
		m->budget = model_longest_step;
		m->taken_count = 0;
		memset(m->labels, 0, words * sizeof(uint64_t));
		/* Locals are not written through the memory. */
		t->dirty = (uint64_t)1 << a->component;
		how = try_step(m, a);
		t->dirty |= m->written;
		touched |= m->touched;
		if (how == NO_MEANING || how == NOT_MODELLED) {
			broken(t, t->key, s->level, how, (int)agent, -1);
			return BROKEN;
		}
		if (how == DISABLED)
			continue;
		for (unsigned i = 0; i < words; i++)
			t->labels[i] |= m->labels[i];
		transitions++;
		if (how == FAILED) {
			failed = 1;
			continue;
		}
		ended |= m->s[a->base] == DONE;
		if (s->reduction != NULL)
			note_outcome(t);
		if (s->ownership != NULL)
			ownership_outcome(t, agent, &touched);
		if (difference_of(t, a, state, &difference))
			return NO_ROOM;
		if (push_found(t, &difference))
			return BROKEN;
	} while (next_choices(m));
	if (s->symmetry != NULL && !step_is_alike(t, state, agent, &touched))
		return BROKEN;
	merge_labels(s, t->labels);
	if (s->ownership != NULL)
		ownership_attempt(t, agent, &touched);
	if (s->reduction != NULL && !is_within(t, agent))
		beyond(t, agent);
	if (s->reduction != NULL && transitions == 0)
		conflicts = step_waits(t);
	else if (s->reduction != NULL && transitions == 1 && !failed && !ended &&
	    step_conflicts(t, state, agent, &touched, &conflicts))
		return BROKEN;

	pthread_mutex_lock(&s->lock);
	memset(value, 0, sizeof(*value));
	if (transitions == 0) {
		value->lane[0] = (uint64_t)OUT_NONE << OUT_SHIFT |
		    (uint64_t)concerns_number(s, 0, conflicts) << CONCERNS_SHIFT;
	} else if (transitions == 1 && !failed) {
		*value = t->found[first];
		if (conflicts != ANYBODY)
			value->lane[0] = (value->lane[0] &
			    ~((uint64_t)(MOST_CONCERNS - 1) << CONCERNS_SHIFT)) |
			    (uint64_t)concerns_number(s, concerns_of(s, value), conflicts) <<
			    CONCERNS_SHIFT;
	} else {
		unsigned count = t->found_count - first;
		struct outcomes *many = malloc(sizeof(*many) + count * sizeof(many->value[0]));

		if (many == NULL) {
			pthread_mutex_unlock(&s->lock);
			stop(s, STOPPED_MEMORY);
			return BROKEN;
		}
		many->next = s->many;
		s->many = many;
		many->count = count;
		many->transitions = transitions;
		many->failed = failed;
		memcpy(many->value, &t->found[first], count * sizeof(many->value[0]));
		value->lane[0] = (uint64_t)OUT_MANY << OUT_SHIFT;
		value->lane[1] = (uintptr_t)many;
	}
	if (keep(t, a, mask_at(s, a, state), state, touched, value)) {
		pthread_mutex_unlock(&s->lock);
		return NO_ROOM;
	}
	pthread_mutex_unlock(&s->lock);
	return EXPANDED;
}

static uint16_t mask_of_agent(const struct search *s, unsigned agent, const struct wide *state)
{
	return __atomic_load_n(mask_at(s, &s->agent[agent], state), __ATOMIC_ACQUIRE) &
	    (uint16_t)~OFF;
}

static inline struct foreseen foreseen_of(const struct search *s, const struct wide *state,
    unsigned mask)
{
	struct foreseen result;

	result.key = key_of(s, state, mask);
	result.hash = kept_hash(&result.key);
	return result;
}

/* A step that is not kept. */
static enum expanded new_value(struct thread *t, const struct wide *state, unsigned agent,
    struct wide *value)
{
	struct search *s = t->search;
	struct agent *a = &s->agent[agent];
	unsigned first = t->found_count;
	enum expanded how;

	if (is_done(s, state, agent)) {
		int status;

		memset(value, 0, sizeof(*value));
		value->lane[0] = (uint64_t)OUT_DONE << OUT_SHIFT;
		pthread_mutex_lock(&s->lock);
		status = keep(t, a, mask_at(s, a, state), state, (uint64_t)1 << a->component,
		    value);
		pthread_mutex_unlock(&s->lock);
		return status ? NO_ROOM : EXPANDED;
	}
	how = run_step(t, state, agent, value);
	/* They are in the value now. */
	t->found_count = first;
	return how;
}

enum expanded agent_value(struct thread *t, const struct wide *state,
    const struct foreseen *foreseen, unsigned agent, struct wide *value)
{
	struct search *s = t->search;
	struct agent *a = &s->agent[agent];
	const struct wide *kept = NULL;

	/* What was kept by fewer components stays true. */
	if (foreseen != NULL) {
		kept = kept_get(&a->steps, &foreseen->key, foreseen->hash);
		t->by = mask_of_key(&foreseen->key);
	}
	if (kept == NULL) {
		struct foreseen now = foreseen_of(s, state, mask_of_agent(s, agent, state));

		kept = kept_get(&a->steps, &now.key, now.hash);
		t->by = mask_of_key(&now.key);
	}
	if (kept == NULL)
		return new_value(t, state, agent, value);
	*value = *kept;
	return EXPANDED;
}

void foresee(struct search *s, const struct wide *state, uint64_t agents,
    struct foreseen *foreseen)
{
	for (; agents; agents &= agents - 1) {
		unsigned agent = (unsigned)__builtin_ctzll(agents);
		struct agent *a = &s->agent[agent];
		unsigned mask = __atomic_load_n(mask_at(s, a, state), __ATOMIC_ACQUIRE);

		if (mask & OFF) {
			foreseen[agent].key.lane[0] = 0;
			continue;
		}
		foreseen[agent] = foreseen_of(s, state, mask);
		kept_prefetch(&a->steps, foreseen[agent].hash);
	}
}

enum expanded expand(struct thread *t, const struct wide *state, const struct foreseen *foreseen,
    uint64_t *moved, int *failed)
{
	struct search *s = t->search;
	int waits = 0;

	t->found_count = t->failures = 0;
	*moved = 0;
	*failed = -1;
	for (unsigned agent = 0; agent < s->agents; agent++) {
		const struct outcomes *many;
		enum expanded how;
		struct wide value;

		if (foreseen != NULL && !foreseen[agent].key.lane[0])
			continue;
		how = agent_value(t, state, foreseen == NULL ? NULL : &foreseen[agent], agent,
		    &value);
		if (how != EXPANDED)
			return how;
		switch (value.lane[0] >> OUT_SHIFT) {
		case OUT_ONE:
			if (push_found(t, &value))
				return BROKEN;
			*moved |= (uint64_t)1 << agent;
			break;
		case OUT_NONE:
			waits |= s->agent[agent].works;
			break;
		case OUT_DONE:
			break;
		default:
			many = (const struct outcomes *)(uintptr_t)value.lane[1];
			for (unsigned i = 0; i < many->count; i++) {
				if (push_found(t, &many->value[i]))
					return BROKEN;
			}
			*moved |= (uint64_t)1 << agent;
			if (many->failed && *failed < 0)
				*failed = (int)agent;
			t->failures += many->transitions - many->count;
		}
	}
	/* A panic is nobody's lack of progress. */
	return waits && *failed < 0 ? WAITING : EXPANDED;
}

/* --- what is kept ------------------------------------------------------------------ */

int steps_open(struct search *s)
{
	s->mask = calloc(MOST_MASKS, sizeof(*s->mask));
	s->watchers = calloc(s->cells, sizeof(*s->watchers));
	s->watchers_known = calloc(s->cells, sizeof(*s->watchers_known));
	s->concerns = pages_map(MOST_CONCERNS * sizeof(*s->concerns), 0);
	s->conflicts = pages_map(MOST_CONCERNS * sizeof(*s->conflicts), 0);
	if (s->mask == NULL || s->watchers == NULL || s->watchers_known == NULL ||
	    s->concerns == NULL || s->conflicts == NULL)
		return -1;
	/* For what nothing more is known of. */
	s->conflicts[s->concerns_count] = ANYBODY;
	s->concerns[s->concerns_count++] = ~(uint64_t)0;
	for (unsigned i = 0; i < s->agents; i++) {
		struct agent *a = &s->agent[i];

		if (kept_open(&a->steps, 0) || open_masks(s, &a->own, a->component))
			return -1;
	}
	return 0;
}
