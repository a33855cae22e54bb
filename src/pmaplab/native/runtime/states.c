/* States: their cells, and what is told of them. */
#include <string.h>

#include "search.h"

uint64_t state_hash(const struct search *s, const struct wide *state)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < s->components; i++)
		sum += s->component[i].hashes[field_of(&s->component[i], state)];
	return sum;
}

void unpack(const struct search *s, const struct wide *state, uint64_t *cells)
{
	memcpy(cells, s->start, s->cells * sizeof(*cells));
	for (unsigned i = 0; i < s->components; i++)
		component_unpack(&s->component[i], field_of(&s->component[i], state), cells);
}

/* Only what differs from the state that was there before is written. */
void load_state(struct thread *t, const struct wide *state)
{
	struct search *s = t->search;

	if (!t->is_unpacked) {
		unpack(s, state, t->base);
		memcpy(t->machine.s, t->base, s->cells * sizeof(uint64_t));
		t->unpacked = *state;
		t->is_unpacked = 1;
		t->dirty = 0;
		return;
	}
	for (unsigned i = 0; i < s->components; i++) {
		const struct component *c = &s->component[i];
		uint32_t number = field_of(c, state);
		int differs = number != field_of(c, &t->unpacked);

		if (differs)
			component_unpack(c, number, t->base);
		if (differs || t->dirty >> i & 1)
			component_unpack(c, number, t->machine.s);
	}
	t->unpacked = *state;
	t->dirty = 0;
}

int is_done(struct search *s, const struct wide *state, unsigned agent)
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

void merge_labels(struct search *s, const uint64_t *labels)
{
	for (unsigned i = 0; i < model_labels / 64 + 1; i++) {
		if (labels[i])
			__atomic_fetch_or(&s->labels[i], labels[i], __ATOMIC_RELAXED);
	}
}

int broken(struct thread *t, word key, uint64_t level, enum ending how, int agent, int invariant)
{
	struct search *s = t->search;

	if (s->symmetry != NULL) {
		/* The search without it gives the account. */
		told_apart(s, 0, agent < 0 ? 0 : t->machine.s[s->agent[agent].base], invariant);
		return -1;
	}
	if (s->reduction != NULL) {
		stop(s, STOPPED_FOUND);
		return -1;
	}
	pthread_mutex_lock(&s->lock);
	if (!s->error) {
		s->error = how;
		s->error_agent = agent;
		s->error_invariant = invariant;
		s->error_at = (struct target){1, level, key, 0, 0};
	}
	pthread_mutex_unlock(&s->lock);
	stop(s, STOPPED_ERROR);
	return -1;
}

void note(struct search *s, struct target *target, const struct wide *state, word key,
    uint64_t level, unsigned agent)
{
	uint64_t hash;

	if (s->reduction != NULL || s->symmetry != NULL) {
		/* It will be searched again without. */
		stop(s, STOPPED_FOUND);
		return;
	}
	if (__atomic_load_n(&target->found, __ATOMIC_ACQUIRE) && target->level < level)
		return;
	/* Of several at one level, always the same. */
	hash = state_hash(s, state);
	pthread_mutex_lock(&s->lock);
	if (!target->found || level < target->level || (level == target->level &&
	    (hash < target->hash || (hash == target->hash && agent < target->agent)))) {
		target->level = level;
		target->key = key;
		target->hash = hash;
		target->agent = agent;
		__atomic_store_n(&target->found, 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&s->lock);
}
