/*
 * Progress: in the finished graph, every agent with work left must be able to
 * move in some future.
 *
 * A state is fine where every agent that works can move now or is done; or
 * where some successor is fine: an agent that is not done before the step and
 * does not take it is not done after it either.  States that wait are flagged
 * in the history; they are looked at from the last level backwards until
 * nothing changes.  No edge leads out of what remains, which is mostly nothing,
 * and for these states alone it is worked out who can still move.
 */
#include <stdlib.h>
#include <string.h>

#include "search.h"

enum { AHEAD_MARKS = 32, AHEAD_STEPS = 8 };

struct rest {
	uint64_t *at;		/* places in the history */
	uint64_t *moves;	/* by state: who can still move */
	uint64_t count;
	struct memo number;	/* by key: the place in `at` */
};

static enum expanded expand_key(struct thread *t, word key, struct wide *state, uint64_t *moved)
{
	int failed;

	*state = state_of_key(t->search, key);
	t->key = key;
	return expand(t, state, moved, &failed);
}

/* The key of the successor number `n` of a state: it is there, as all are.  Who moves
 * on the way to it, besides the first, is added to `moved`; `by` receives the permutation
 * that makes it the state that is kept. */
static int key_of_successor(struct thread *t, const struct wide *state, word from, unsigned n,
    word *key, uint64_t *moved, unsigned *by)
{
	struct wide to = successor(state, &t->found[n]);
	uint64_t concerns = 0;
	unsigned changed = 0, images;

	*by = 0;
	if (t->search->reduction != NULL && run_on(t, &to, &concerns, moved) != EXPANDED)
		return -1;
	if (t->search->symmetry != NULL && representative(t, &to, by, &images))
		return -1;
	for (unsigned i = 0; i < LANES; i++)
		changed |= (unsigned)(to.lane[i] != state->lane[i]) << i;
	*key = from;
	return key_of_state(t->search, &to, changed, 0, key);
}

/* Whether a successor is fine; -1 for an error. */
static int fine(struct thread *t, word key)
{
	struct search *s = t->search;
	uint64_t moved;
	struct wide state;
	enum expanded how = expand_key(t, key, &state, &moved);

	if (how == NO_ROOM || how == BROKEN)
		return -1;
	for (unsigned i = 0; i < t->found_count; i++) {
		struct wide to = successor(&state, &t->found[i]);

		for (unsigned n = 0; n < LANES; n++) {
			if (to.lane[n] != state.lane[n])
				lane_prefetch(&s->lane[n], to.lane[n]);
		}
	}
	for (unsigned i = 0; i < t->found_count; i++) {
		const uint64_t *slot;
		unsigned by;
		word to;

		if (key_of_successor(t, &state, key, i, &to, &moved, &by))
			return -1;
		slot = store_find(&s->store, stored(s, to));
		if (slot == NULL)
			return -1;
		if (!slot_marked(slot))
			return 1;
	}
	return 0;
}

/* Mark the states that wait; their number, or -1 for an error. */
static int64_t mark_waiting(struct search *s)
{
	uint64_t next = 0;
	int64_t count = 0;

	for (uint64_t at = 0; at < s->history.count; at++) {
		word key = history_get(&s->history, at);
		uint64_t *slot;

		for (; next < s->history.count && next < at + AHEAD_MARKS; next++) {
			word later = history_get(&s->history, next);

			if (later != plain_key(later))
				(void)store_prefetch(&s->store, stored(s, plain_key(later)));
		}
		if (key == plain_key(key))
			continue;
		slot = store_find(&s->store, stored(s, plain_key(key)));
		if (slot == NULL)
			return -1;
		slot_mark(slot, 1);
		count++;
	}
	return count;
}

/* One round over the whole history: what remains is collected. */
static int first_round(struct search *s, struct rest *rest)
{
	struct thread *t = &s->thread[0];
	uint64_t next = s->history.count;

	for (uint64_t at = s->history.count; at-- > 0;) {
		word key = history_get(&s->history, at);
		int is_fine;

		for (; next > 0 && next + AHEAD_STEPS > at; next--) {
			word later = history_get(&s->history, next - 1);
			struct wide state;

			if (later == plain_key(later))
				continue;
			state = state_of_key(s, plain_key(later));
			foresee(s, &state);
			(void)store_prefetch(&s->store, stored(s, plain_key(later)));
		}
		if (key == plain_key(key))
			continue;
		is_fine = fine(t, plain_key(key));
		if (is_fine < 0)
			return -1;
		if (is_fine) {
			slot_mark(store_find(&s->store, stored(s, plain_key(key))), 0);
			continue;
		}
		if ((rest->count & (rest->count - 1)) == 0) {
			uint64_t *more = realloc(rest->at, (2 * rest->count + 1) * sizeof(*more));

			if (more == NULL)
				return -1;
			rest->at = more;
		}
		rest->at[rest->count++] = at;
	}
	return 0;
}

static int more_rounds(struct search *s, struct rest *rest)
{
	struct thread *t = &s->thread[0];

	for (int again = 1; again;) {
		uint64_t kept = 0;

		again = 0;
		for (uint64_t i = 0; i < rest->count; i++) {
			word key = plain_key(history_get(&s->history, rest->at[i]));
			int is_fine = fine(t, key);

			if (is_fine < 0)
				return -1;
			if (is_fine) {
				slot_mark(store_find(&s->store, stored(s, key)), 0);
				again = 1;
			} else {
				rest->at[kept++] = rest->at[i];
			}
		}
		rest->count = kept;
	}
	return 0;
}

/* Who can move in some future, for what remains. */
static int work_out(struct search *s, struct rest *rest)
{
	struct thread *t = &s->thread[0];

	rest->moves = calloc(rest->count + 1, sizeof(*rest->moves));
	if (rest->moves == NULL || memo_open(&rest->number))
		return -1;
	for (uint64_t i = 0; i < rest->count; i++) {
		word key = plain_key(history_get(&s->history, rest->at[i]));

		if (memo_put(&rest->number, key | KEY_BIT, i))
			return -1;
	}
	for (int again = 1; again;) {
		again = 0;
		for (uint64_t i = 0; i < rest->count; i++) {
			word key = plain_key(history_get(&s->history, rest->at[i])), to, number;
			uint64_t moves;
			struct wide state;
			enum expanded how = expand_key(t, key, &state, &moves);

			if (how == NO_ROOM || how == BROKEN)
				return -1;
			for (unsigned n = 0; n < t->found_count; n++) {
				unsigned by;

				if (key_of_successor(t, &state, key, n, &to, &moves, &by) ||
				    !memo_get(&rest->number, to | KEY_BIT, &number))
					return -1;
				moves |= agents_before(s, by, rest->moves[(uint64_t)number]);
			}
			moves |= rest->moves[i];
			again |= moves != rest->moves[i];
			rest->moves[i] = moves;
		}
	}
	return 0;
}

int judge_progress(struct search *s)
{
	struct rest rest = {NULL, NULL, 0, {NULL}};
	int64_t waiting = mark_waiting(s);
	int status = -1;

	if (waiting <= 0)
		return (int)waiting;
	if (first_round(s, &rest) || more_rounds(s, &rest) || work_out(s, &rest))
		goto out;
	for (uint64_t i = 0; i < rest.count; i++) {
		word key = plain_key(history_get(&s->history, rest.at[i]));
		struct wide state = state_of_key(s, key);

		for (unsigned agent = 0; agent < s->agents; agent++) {
			if (!s->agent[agent].works || rest.moves[i] >> agent & 1 ||
			    is_done(s, &state, agent))
				continue;
			note(s, &s->stuck, &state, key, history_level_of(&s->history, rest.at[i]), agent);
			break;
		}
	}
	status = 0;
out:
	free(rest.at);
	free(rest.moves);
	memo_close(&rest.number);
	return status;
}
