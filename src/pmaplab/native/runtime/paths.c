/* Counterexamples: no state knows where it was reached from, so the levels are
 * expanded again, backwards from the last one. */
#include <stdlib.h>
#include <string.h>

#include "search.h"

/* Look at one state of a level as the predecessor of what is wanted. */
static void look(struct thread *t, word key, uint64_t level, struct path *paths, unsigned count,
    uint64_t *best)
{
	struct search *s = t->search;
	uint64_t moved, hash = 0;
	int failed, hashed = 0;
	struct wide state = state_of_key(s, key);
	enum expanded how;


	t->key = key;
	how = expand(t, &state, NULL, &moved, &failed);
	/* Where a search was stopped, not all states of its last level can be
	 * expanded; those on a path were, and can be again. */
	if (how == NO_ROOM || how == BROKEN)
		return;
	for (unsigned i = 0; i < t->found_count; i++) {
		struct wide to = successor(&state, &t->found[i]);

		for (unsigned p = 0; p < count; p++) {
			if (paths[p].target->level <= level ||
			    !same_state(&paths[p].state[level + 1], &to))
				continue;
			if (!hashed) {
				hash = state_hash(s, &state);
				hashed = 1;
			}
			/* Of several, always the same. */
			if (hash <= best[p]) {
				best[p] = hash;
				paths[p].state[level] = state;
			}
		}
	}
}

int paths_find(struct search *s, struct path *paths, unsigned count)
{
	struct thread *t = &s->thread[0];
	uint64_t *best = calloc(count + 1, sizeof(*best)), deepest = 0;
	int error = s->error, status = 0;
	enum stop stopped = s->stopped;

	if (best == NULL)
		return -1;
	for (unsigned p = 0; p < count; p++) {
		uint64_t level = paths[p].target->level;

		paths[p].state = calloc(level + 1, sizeof(struct wide));
		if (paths[p].state == NULL)
			return -1;
		paths[p].state[level] = state_of_key(s, paths[p].target->key);
		if (deepest < level)
			deepest = level;
	}
	for (uint64_t level = deepest; status == 0 && level-- > 0;) {
		struct wide missing = {{UINT64_MAX, 0, 0, 0}};

		for (unsigned p = 0; p < count; p++) {
			best[p] = UINT64_MAX;
			if (paths[p].target->level > level)
				paths[p].state[level] = missing;
		}
		for (uint64_t at = s->history.level[level]; at < s->history.level[level + 1]; at++)
			look(t, plain_key(history_get(&s->history, at)), level, paths,
			    count, best);
		for (unsigned p = 0; p < count; p++) {
			if (paths[p].target->level > level && same_state(&paths[p].state[level], &missing))
				status = -1;
		}
	}
	s->error = error;
	s->stopped = stopped;
	free(best);
	return status;
}
