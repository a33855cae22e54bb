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

struct rest {
	uint64_t *at;		/* places in the history */
	uint64_t *moves;	/* by state: who can still move */
	uint64_t count;
	struct memo number;	/* state -> its place in `at` */
};

static word plain(word state)
{
	return state & ~((word)1 << FLAG_BIT);
}

/* Whether a successor is fine; -1 for an error. */
static int fine(struct thread *t, word state)
{
	struct search *s = t->search;
	uint64_t moved;
	int failed;
	enum expanded how = expand(t, state, &moved, &failed);

	if (how == NO_ROOM || how == BROKEN)
		return -1;
	for (unsigned i = 0; i < t->found_count; i++) {
		const uint64_t *slot = store_find(&s->store, successor(state, t->found[i]));

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
	int64_t count = 0;

	for (uint64_t at = 0; at < s->history.count; at++) {
		word state = history_get(&s->history, at);
		uint64_t *slot;

		if (state == plain(state))
			continue;
		slot = store_find(&s->store, plain(state));
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

	for (uint64_t at = s->history.count; at-- > 0;) {
		word state = history_get(&s->history, at);
		int is_fine;

		if (state == plain(state))
			continue;
		is_fine = fine(t, plain(state));
		if (is_fine < 0)
			return -1;
		if (is_fine) {
			slot_mark(store_find(&s->store, plain(state)), 0);
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
			word state = plain(history_get(&s->history, rest->at[i]));
			int is_fine = fine(t, state);

			if (is_fine < 0)
				return -1;
			if (is_fine) {
				slot_mark(store_find(&s->store, state), 0);
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
		word state = plain(history_get(&s->history, rest->at[i]));

		if (memo_put(&rest->number, state | KEY_BIT, i))
			return -1;
	}
	for (int again = 1; again;) {
		again = 0;
		for (uint64_t i = 0; i < rest->count; i++) {
			word state = plain(history_get(&s->history, rest->at[i])), number;
			uint64_t moves;
			int failed;
			enum expanded how = expand(t, state, &moves, &failed);

			if (how == NO_ROOM || how == BROKEN)
				return -1;
			for (unsigned n = 0; n < t->found_count; n++) {
				if (!memo_get(&rest->number,
				    successor(state, t->found[n]) | KEY_BIT, &number))
					return -1;
				moves |= rest->moves[(uint64_t)number];
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
		word state = plain(history_get(&s->history, rest.at[i]));

		for (unsigned agent = 0; agent < s->agents; agent++) {
			if (!s->agent[agent].works || rest.moves[i] >> agent & 1 ||
			    is_done(s, state, agent))
				continue;
			note(s, &s->stuck, state, history_level_of(&s->history, rest.at[i]), agent);
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
