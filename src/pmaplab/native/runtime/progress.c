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

enum { AHEAD_MARKS = 32, AHEAD_STEPS = 16, PART = 512 };

struct rest {
	uint64_t *at;		/* places in the history */
	uint64_t *moves;	/* by state: who can still move */
	uint64_t count;
	struct memo number;	/* by key: the place in `at` */
	uint64_t waiting;	/* states */
	uint64_t left;		/* of the history, from its beginning: not looked at yet */
	int failed;
};

static enum expanded expand_key(struct thread *t, word key, struct wide *state, uint64_t *moved)
{
	int failed;

	*state = state_of_key(t->search, key);
	t->key = key;
	return expand(t, state, NULL, moved, &failed);
}

/* The key of the successor number `n` of a state: it is there, as all are.  Who moves
 * on the way to it, besides the first, is added to `moved`; `by` receives the permutation
 * that makes it the state that is kept. */
static int key_of_successor(struct thread *t, const struct wide *state, word from, unsigned n,
    word *key, uint64_t *moved, unsigned *by)
{
	struct wide to = successor(state, &t->found[n]);
	unsigned changed = 0, images;

	*by = 0;
	if (t->search->reduction != NULL && run_on(t, &to, moved) != EXPANDED)
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

/* Mark the states of a part that wait. */
static void mark_waiting(struct search *s, void *what, uint64_t from, uint64_t to)
{
	struct rest *rest = what;
	uint64_t next = from, count = 0;

	for (uint64_t at = from; at < to; at++) {
		word key = history_get(&s->history, at);
		uint64_t *slot;

		for (; next < to && next < at + AHEAD_MARKS; next++) {
			word later = history_get(&s->history, next);

			if (later != plain_key(later))
				store_prefetch(&s->store, store_home(&s->store,
				    stored(s, plain_key(later))));
		}
		if (key == plain_key(key))
			continue;
		slot = store_find(&s->store, stored(s, plain_key(key)));
		if (slot == NULL)
			__atomic_store_n(&rest->failed, 1, __ATOMIC_RELAXED);
		else
			slot_mark(slot, 1);
		count++;
	}
	__atomic_fetch_add(&rest->waiting, count, __ATOMIC_RELAXED);
}

/* Under the lock: a state remains. */
static int remain(struct rest *rest, uint64_t at)
{
	if ((rest->count & (rest->count - 1)) == 0) {
		uint64_t *more = realloc(rest->at, (2 * rest->count + 1) * sizeof(*more));

		if (more == NULL)
			return -1;
		rest->at = more;
	}
	rest->at[rest->count++] = at;
	return 0;
}

/* A few states that wait, whose memory is asked for step by step. */
struct waiting {
	uint64_t at;		/* place in the history */
	word key, first;	/* its own, and that of a successor, if `has_first` */
	struct wide state, to;
	struct foreseen foreseen[MOST_AGENTS];
	unsigned changed;
	int has_first;
};

/* Ask for what first_fine() looks at; 0, or -1 for an error. */
static int foresee_waiting(struct thread *t, struct waiting *some, unsigned count)
{
	struct search *s = t->search;

	for (unsigned i = 0; i < count; i++) {
		for (unsigned n = 0; n < LANES; n++)
			__builtin_prefetch(&s->lane[n].content[lane_part(s, some[i].key, n)]);
		store_prefetch(&s->store, store_home(&s->store, stored(s, some[i].key)));
	}
	for (unsigned i = 0; i < count; i++) {
		some[i].state = state_of_key(s, some[i].key);
		foresee(s, &some[i].state, all_agents(s), some[i].foreseen);
	}
	for (unsigned i = 0; i < count; i++) {
		struct waiting *w = &some[i];
		uint64_t moved;
		int failed;
		enum expanded how;

		t->key = w->key;
		how = expand(t, &w->state, w->foreseen, &moved, &failed);
		if (how == NO_ROOM || how == BROKEN)
			return -1;
		/* A reduced search goes on from there, or keeps an image. */
		w->has_first = t->found_count > 0 && s->reduction == NULL &&
		    s->symmetry == NULL;
		if (!w->has_first)
			continue;
		w->to = successor(&w->state, &t->found[0]);
		w->changed = 0;
		for (unsigned n = 0; n < LANES; n++) {
			if (w->to.lane[n] == w->state.lane[n])
				continue;
			w->changed |= 1u << n;
			lane_prefetch(&s->lane[n], w->to.lane[n]);
		}
	}
	for (unsigned i = 0; i < count; i++) {
		struct waiting *w = &some[i];

		w->first = w->key;
		if (!w->has_first)
			continue;
		if (key_of_state(s, &w->to, w->changed, 0, &w->first))
			return -1;
		store_prefetch(&s->store, store_home(&s->store, stored(s, w->first)));
	}
	return 0;
}

/* Whether a state is fine, mostly for its first successor's sake; -1 for an error. */
static int first_fine(struct thread *t, const struct waiting *w)
{
	struct search *s = t->search;

	if (w->has_first) {
		const uint64_t *slot = store_find(&s->store, stored(s, w->first));

		if (slot == NULL)
			return -1;
		if (!slot_marked(slot))
			return 1;
	}
	return fine(t, w->key);
}

/* Look at the states of a part, the last one first: what is not fine remains. */
static int look_back(struct thread *t, struct rest *rest, uint64_t from, uint64_t to)
{
	struct search *s = t->search;
	struct waiting some[AHEAD_STEPS];

	for (uint64_t at = to; at > from;) {
		unsigned count = 0;

		while (at > from && count < AHEAD_STEPS) {
			word key = history_get(&s->history, --at);

			if (key == plain_key(key))
				continue;
			some[count].at = at;
			some[count++].key = plain_key(key);
		}
		if (foresee_waiting(t, some, count))
			__atomic_store_n(&rest->failed, 1, __ATOMIC_RELAXED);
		for (unsigned i = 0; i < count && !rest->failed; i++) {
			int is_fine = first_fine(t, &some[i]);

			if (is_fine > 0) {
				slot_mark(store_find(&s->store, stored(s, some[i].key)), 0);
				continue;
			}
			pthread_mutex_lock(&s->lock);
			if (is_fine < 0 || remain(rest, some[i].at))
				rest->failed = 1;
			pthread_mutex_unlock(&s->lock);
		}
	}
	return rest->failed;
}

/* One round over the whole history, by all threads, which take parts from its end on:
 * what is fine does not depend on their order, only how much is left for more rounds. */
static void *first_round(void *thread)
{
	struct thread *t = thread;
	struct rest *rest = t->search->resting;

	for (;;) {
		uint64_t to = __atomic_load_n(&rest->left, __ATOMIC_RELAXED), from;

		do {
			from = to > PART ? to - PART : 0;
			if (to == 0)
				return NULL;
		} while (!__atomic_compare_exchange_n(&rest->left, &to, from, 0, __ATOMIC_RELAXED,
		    __ATOMIC_RELAXED));
		if (look_back(t, rest, from, to))
			return NULL;
	}
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
	struct rest rest = {.left = s->history.count};
	int status = -1;

	in_parallel(s, mark_waiting, &rest, s->history.count);
	if (rest.failed || rest.waiting == 0)
		return -rest.failed;
	s->resting = &rest;
	on_threads(s, rest.waiting > ALONE ? s->threads : 1, first_round);
	if (rest.failed || more_rounds(s, &rest) || work_out(s, &rest))
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
