/* Steps and invariants: run once for what they depend on, then looked up. */
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "search.h"

uint64_t state_hash(const struct search *s, word state)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < s->components; i++)
		sum += s->component[i].hashes[field_of(&s->component[i], state)];
	return sum;
}

void unpack(const struct search *s, word state, uint64_t *cells)
{
	memcpy(cells, s->start, s->cells * sizeof(*cells));
	for (unsigned i = 0; i < s->components; i++)
		component_unpack(&s->component[i], field_of(&s->component[i], state), cells);
}

/* Fill the machine's cells, from a copy that is kept for several uses. */
static void load_state(struct thread *t, word state)
{
	struct search *s = t->search;

	if (!t->is_unpacked || t->unpacked != state) {
		unpack(s, state, t->base);
		t->unpacked = state;
		t->is_unpacked = 1;
	}
	memcpy(t->machine.s, t->base, s->cells * sizeof(uint64_t));
}

int is_done(struct search *s, word state, unsigned agent)
{
	const struct agent *a = &s->agent[agent];
	const struct component *c = &s->component[a->component];
	const uint64_t *row = &c->rows[(uint64_t)field_of(c, state) * c->cells];

	for (unsigned i = 0; i < c->cells; i++) {
		if (c->cell[i] == a->base)
			return row[i] == DONE;
	}
	return 0;
}

static void merge_labels(struct search *s, const uint64_t *labels)
{
	for (unsigned i = 0; i < model_labels / 64 + 1; i++) {
		if (labels[i])
			__atomic_fetch_or(&s->labels[i], labels[i], __ATOMIC_RELAXED);
	}
}

static int broken(struct thread *t, word state, uint64_t level, enum ending how, int agent,
    int invariant)
{
	struct search *s = t->search;

	pthread_mutex_lock(&s->lock);
	if (!s->error) {
		s->error = how;
		s->error_agent = agent;
		s->error_invariant = invariant;
		s->error_at = (struct target){1, level, state, 0, 0};
	}
	pthread_mutex_unlock(&s->lock);
	stop(s, STOPPED_ERROR);
	return -1;
}

void note(struct search *s, struct target *target, word state, uint64_t level, unsigned agent)
{
	uint64_t hash;

	if (__atomic_load_n(&target->found, __ATOMIC_ACQUIRE) && target->level < level)
		return;
	/* Of several at one level, always the same. */
	hash = state_hash(s, state);
	pthread_mutex_lock(&s->lock);
	if (!target->found || level < target->level || (level == target->level &&
	    (hash < target->hash || (hash == target->hash && agent < target->agent)))) {
		target->level = level;
		target->state = state;
		target->hash = hash;
		target->agent = agent;
		__atomic_store_n(&target->found, 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&s->lock);
}

/* --- masks -------------------------------------------------------------------- */

/* Under the lock: the number of the mask of some components; it may grow. */
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
	s->mask[number].bits = 0;
	for (unsigned i = 0; i < s->components; i++) {
		if (components >> i & 1)
			s->mask[number].bits |= field_mask(&s->component[i]);
	}
	__atomic_store_n(&s->masks, number + 1, __ATOMIC_RELEASE);
	return number;
}

static word key_of(const struct search *s, word state, unsigned mask)
{
	return (state & s->mask[mask].bits) | (word)mask << MASK_SHIFT | KEY_BIT;
}

/* Under the lock: keep a value for what was touched. */
static int keep(struct search *s, struct memo *memo, uint16_t *mask, word state,
    uint64_t touched, word value)
{
	word known;
	unsigned number;

	touched &= ((uint64_t)1 << MOST_COMPONENTS) - 1;
	number = *mask;
	if (touched & ~s->mask[number].components)
		number = mask_of(s, s->mask[number].components | touched);
	if (number == MOST_MASKS) {
		request(s, REPACK);
		return -1;
	}
	__atomic_store_n(mask, (uint16_t)number, __ATOMIC_RELEASE);
	if (memo_get(memo, key_of(s, state, number), &known))
		return 0;
	if (memo_put(memo, key_of(s, state, number), value)) {
		stop(s, STOPPED_MEMORY);
		return -1;
	}
	return 0;
}

/* --- steps -------------------------------------------------------------------- */

/* Under the lock: the number of a set of units; 0 is that of all of them. */
static unsigned concerns_number(struct search *s, uint64_t units)
{
	unsigned number;

	for (number = s->concerns_count; number-- > 0;) {
		if (s->concerns[number] == units)
			return number;
	}
	if (s->concerns_count == MOST_CONCERNS)
		return 0;
	s->concerns[s->concerns_count] = units;
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
static int difference_of(struct thread *t, const struct agent *a, word state, word *difference)
{
	struct search *s = t->search;
	uint64_t changed = t->machine.written | (uint64_t)1 << a->component;

	uint64_t units = 0;

	*difference = 0;
	for (unsigned i = 0; i < s->components; i++) {
		struct component *c = &s->component[i];
		uint32_t number;

		if (!(changed >> i & 1))
			continue;
		component_gather(c, t->machine.s, t->row);
		if (component_number(c, t->row, &number)) {
			request(s, REPACK);
			return -1;
		}
		*difference |= (word)(number ^ field_of(c, state)) << c->shift;
		units |= concerned(t, c);
	}
	pthread_mutex_lock(&s->lock);
	*difference |= (word)concerns_number(s, units) << CONCERNS_SHIFT;
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

static int push_found(struct thread *t, word difference)
{
	if (t->found_count == t->found_room) {
		word *found = realloc(t->found, 2 * t->found_room * sizeof(*found));

		if (found == NULL) {
			stop(t->search, STOPPED_MEMORY);
			return -1;
		}
		t->found = found;
		t->found_room *= 2;
	}
	t->found[t->found_count++] = difference;
	return 0;
}

/* In a function of its own: longjmp() would spoil the locals of a larger one. */
static enum ending try_step(struct machine *m, const struct agent *a)
{
	enum ending how = (enum ending)setjmp(m->out);

	return how == TAKEN ? model_step(m, a->base, a->cpu) : how;
}

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

/* Run a step in all its ways; the differences come behind thread->found. */
static enum expanded run_step(struct thread *t, word state, unsigned agent, word *value,
    unsigned *transitions, int *failed)
{
	struct search *s = t->search;
	struct agent *a = &s->agent[agent];
	struct machine *m = &t->machine;
	uint64_t touched = (uint64_t)1 << a->component;
	unsigned first = t->found_count;
	unsigned words = model_labels / 64 + 1;

	*transitions = 0;
	*failed = 0;
	m->given_count = 0;
	memset(t->labels, 0, words * sizeof(uint64_t));
	do {
		enum ending how;
		word difference;

		load_state(t, state);
		m->touched = m->written = 0;
		m->budget = model_longest_step;
		m->taken_count = 0;
		memset(m->labels, 0, words * sizeof(uint64_t));
		how = try_step(m, a);
		touched |= m->touched;
		if (how == NO_MEANING || how == NOT_MODELLED) {
			broken(t, state, s->level, how, (int)agent, -1);
			return BROKEN;
		}
		if (how == DISABLED)
			continue;
		for (unsigned i = 0; i < words; i++)
			t->labels[i] |= m->labels[i];
		++*transitions;
		if (how == FAILED) {
			*failed = 1;
			continue;
		}
		if (difference_of(t, a, state, &difference))
			return NO_ROOM;
		if (push_found(t, difference))
			return BROKEN;
	} while (next_choices(m));
	merge_labels(s, t->labels);

	pthread_mutex_lock(&s->lock);
	if (*transitions == 0) {
		*value = (word)OUT_NONE << OUT_SHIFT;
	} else if (*transitions == 1 && !*failed) {
		*value = (word)OUT_ONE << OUT_SHIFT | t->found[first];
	} else {
		unsigned count = t->found_count - first;
		struct outcomes *many = malloc(sizeof(*many) + count * sizeof(word));

		if (many == NULL) {
			pthread_mutex_unlock(&s->lock);
			stop(s, STOPPED_MEMORY);
			return BROKEN;
		}
		many->next = s->many;
		s->many = many;
		many->count = count;
		many->transitions = *transitions;
		many->failed = *failed;
		memcpy(many->value, &t->found[first], count * sizeof(word));
		*value = (word)OUT_MANY << OUT_SHIFT | (uintptr_t)many;
	}
	if (keep(s, &a->memo, &a->mask[field_of(&s->component[a->component], state)], state,
	    touched, *value)) {
		pthread_mutex_unlock(&s->lock);
		return NO_ROOM;
	}
	pthread_mutex_unlock(&s->lock);
	return EXPANDED;
}

static enum expanded agent_value(struct thread *t, word state, unsigned agent, word *value)
{
	struct search *s = t->search;
	struct agent *a = &s->agent[agent];
	uint16_t *mask = &a->mask[field_of(&s->component[a->component], state)];
	unsigned transitions, first = t->found_count;
	enum expanded how;
	int failed;

	if (memo_get(&a->memo, key_of(s, state, __atomic_load_n(mask, __ATOMIC_ACQUIRE)), value))
		return EXPANDED;
	if (is_done(s, state, agent)) {
		int status;

		*value = (word)OUT_DONE << OUT_SHIFT;
		pthread_mutex_lock(&s->lock);
		status = keep(s, &a->memo, mask, state, (uint64_t)1 << a->component, *value);
		pthread_mutex_unlock(&s->lock);
		return status ? NO_ROOM : EXPANDED;
	}
	how = run_step(t, state, agent, value, &transitions, &failed);
	/* They are in the value now. */
	t->found_count = first;
	return how;
}

enum expanded expand(struct thread *t, word state, uint64_t *moved, int *failed)
{
	struct search *s = t->search;
	int waits = 0;

	t->found_count = t->failures = 0;
	*moved = 0;
	*failed = -1;
	for (unsigned agent = 0; agent < s->agents; agent++) {
		const struct outcomes *many;
		enum expanded how;
		word value;

		how = agent_value(t, state, agent, &value);
		if (how != EXPANDED)
			return how;
		switch ((unsigned)(value >> OUT_SHIFT)) {
		case OUT_ONE:
			if (t->found_count == t->found_room || t->found == NULL) {
				if (push_found(t, value))
					return BROKEN;
			} else {
				t->found[t->found_count++] = value;
			}
			*moved |= (uint64_t)1 << agent;
			break;
		case OUT_NONE:
			waits |= s->agent[agent].works;
			break;
		case OUT_DONE:
			break;
		default:
			many = (const struct outcomes *)(uintptr_t)(uint64_t)value;
			for (unsigned i = 0; i < many->count; i++) {
				if (push_found(t, many->value[i]))
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

/* --- invariants ------------------------------------------------------------------ */

/* Ask; 1 when it fails and that counts, 0 when not, -1 for an error. */
static int ask(struct thread *t, struct unit *u, word state, uint64_t level)
{
	struct search *s = t->search;
	struct machine *m = &t->machine;
	unsigned words = model_labels / 64 + 1;
	enum ending how;
	uint64_t inside;

	load_state(t, state);
	m->touched = m->written = 0;
	m->taken_count = m->given_count = 0;
	memset(m->labels, 0, words * sizeof(uint64_t));
	memset(m->read, 0, (s->memory / 64 + 1) * sizeof(uint64_t));
	how = try_check(m, u);
	merge_labels(s, m->labels);
	if (how == TAKEN)
		return 0;
	if (how != FAILED) {
		broken(t, state, level, how, -1, (int)u->invariant);
		return -1;
	}
	inside = load(m, 0, model_regions + u->cpu) & model_exempt[u->invariant];
	memset(m->labels, 0, words * sizeof(uint64_t));
	if (try_active(m, u->cpu, &inside)) {
		/* Nothing of the kernel runs there, so it is no failure. */
		broken(t, state, level, NO_MEANING, -1, (int)u->invariant);
		return -1;
	}
	merge_labels(s, m->labels);
	if (inside)
		__atomic_fetch_or(&s->exempt, inside, __ATOMIC_RELAXED);
	return inside == 0;
}

/* What a unit has read is watched from now on.  What is kept of steps does not
 * know it, and is forgotten before the next level begins. */
static void watch_cells(struct thread *t, uint64_t unit_bit)
{
	struct search *s = t->search;

	for (uint64_t at = 0; at <= s->memory / 64; at++) {
		for (uint64_t left = t->machine.read[at]; left; left &= left - 1) {
			uint64_t cell = 64 * at + (uint64_t)__builtin_ctzll(left);

			if (!(s->watchers[cell] & unit_bit)) {
				s->watchers[cell] |= unit_bit;
				request(s, FORGET);
			}
		}
	}
}

static uint64_t bit_of(unsigned unit)
{
	return (uint64_t)1 << (unit < MOST_UNITS ? unit : MOST_UNITS - 1);
}

int judge(struct thread *t, word state, uint64_t units, uint64_t level)
{
	struct search *s = t->search;

	for (unsigned i = 0; i < s->units; i++) {
		struct unit *u = &s->unit[i];
		unsigned mask = __atomic_load_n(&u->mask, __ATOMIC_ACQUIRE);
		word value;

		if (!(units & bit_of(i)))
			continue;
		if (!memo_get(&u->memo, key_of(s, state, mask), &value)) {
			int answer = ask(t, u, state, level);

			if (answer < 0)
				return -1;
			value = (word)answer;
			pthread_mutex_lock(&s->lock);
			watch_cells(t, bit_of(i));
			/* Without room for its mask it is asked again. */
			(void)keep(s, &u->memo, &u->mask, state, t->machine.touched, value);
			u->components |= s->mask[u->mask].components;
			pthread_mutex_unlock(&s->lock);
		}
		if (value)
			note(s, &s->violation[u->invariant], state, level, 0);
	}
	return 0;
}

/* --- what is kept ------------------------------------------------------------------ */

static int fresh_masks(struct search *s)
{
	s->masks = 0;
	for (unsigned i = 0; i < s->agents; i++) {
		struct agent *a = &s->agent[i];
		unsigned first = mask_of(s, (uint64_t)1 << a->component);
		uint64_t count;

		if (a->mask != NULL)
			pages_unmap(a->mask, sizeof(*a->mask) << a->mask_bits);
		a->mask_bits = s->component[a->component].width;
		count = (uint64_t)1 << a->mask_bits;
		a->mask = pages_map(count * sizeof(*a->mask), 0);
		if (a->mask == NULL)
			return -1;
		for (uint64_t number = 0; number < count; number++)
			a->mask[number] = (uint16_t)first;
	}
	for (unsigned i = 0; i < s->units; i++)
		s->unit[i].mask = (uint16_t)mask_of(s, s->unit[i].components);
	return 0;
}

int steps_open(struct search *s)
{
	s->mask = calloc(MOST_MASKS, sizeof(*s->mask));
	s->watchers = calloc(s->cells, sizeof(*s->watchers));
	s->concerns = pages_map(MOST_CONCERNS * sizeof(*s->concerns), 0);
	if (s->mask == NULL || s->watchers == NULL || s->concerns == NULL)
		return -1;
	/* For what nothing more is known of. */
	s->concerns[s->concerns_count++] = ~(uint64_t)0;
	for (unsigned i = 0; i < s->agents; i++) {
		if (memo_open(&s->agent[i].memo))
			return -1;
	}
	for (unsigned i = 0; i < s->units; i++) {
		if (memo_open(&s->unit[i].memo))
			return -1;
	}
	return fresh_masks(s);
}

int steps_renew(struct search *s)
{
	while (s->many != NULL) {
		struct outcomes *next = s->many->next;

		free(s->many);
		s->many = next;
	}
	for (unsigned i = 0; i < s->agents; i++) {
		if (memo_clear(&s->agent[i].memo))
			return -1;
	}
	/* No set of units counts any more: the cells of steps are watched by others. */
	s->concerns_count = 1;
	return 0;
}

int steps_forget(struct search *s)
{
	if (steps_renew(s))
		return -1;
	for (unsigned i = 0; i < s->units; i++) {
		if (memo_clear(&s->unit[i].memo))
			return -1;
	}
	for (unsigned i = 0; i < s->threads; i++)
		s->thread[i].is_unpacked = 0;
	return fresh_masks(s);
}

static void set_mask_bits(struct search *s)
{
	for (unsigned number = 0; number < s->masks; number++) {
		s->mask[number].bits = 0;
		for (unsigned i = 0; i < s->components; i++) {
			if (s->mask[number].components >> i & 1)
				s->mask[number].bits |= field_mask(&s->component[i]);
		}
	}
}

static int move_memo(struct memo *memo, word (*moved)(const void *how, word state),
    const void *how, int values)
{
	struct entries *all = memo->entries;

	memo->entries = NULL;
	if (memo_open(memo))
		return -1;
	for (uint64_t at = 0; at <= all->last; at++) {
		word key = all->entry[at].key, value = all->entry[at].value;

		if (!(key >> 64))
			continue;
		if (values && (unsigned)(value >> OUT_SHIFT) == OUT_ONE)
			value = moved(how, value);
		if (memo_put(memo, moved(how, key), value))
			return -1;
	}
	entries_free(all);
	return 0;
}

/* Room for the masks of as many contents as there can be now. */
static int widen_masks(struct search *s, struct agent *a)
{
	unsigned bits = s->component[a->component].width;
	uint64_t before = (uint64_t)1 << a->mask_bits, after = (uint64_t)1 << bits;
	uint16_t *mask = pages_map(after * sizeof(*mask), 0);
	unsigned first = mask_of(s, (uint64_t)1 << a->component);

	if (mask == NULL || first == MOST_MASKS)
		return -1;
	for (uint64_t number = 0; number < after; number++)
		mask[number] = number < before ? a->mask[number] : (uint16_t)first;
	pages_unmap(a->mask, sizeof(*a->mask) << a->mask_bits);
	a->mask = mask;
	a->mask_bits = bits;
	return 0;
}

int steps_move(struct search *s, word (*moved)(const void *how, word state), const void *how)
{
	set_mask_bits(s);
	for (struct outcomes *many = s->many; many != NULL; many = many->next) {
		for (uint32_t i = 0; i < many->count; i++)
			many->value[i] = moved(how, many->value[i]);
	}
	for (unsigned i = 0; i < s->agents; i++) {
		if (move_memo(&s->agent[i].memo, moved, how, 1) || widen_masks(s, &s->agent[i]))
			return -1;
	}
	for (unsigned i = 0; i < s->units; i++) {
		if (move_memo(&s->unit[i].memo, moved, how, 0))
			return -1;
	}
	for (unsigned i = 0; i < s->threads; i++)
		s->thread[i].is_unpacked = 0;
	return 0;
}
