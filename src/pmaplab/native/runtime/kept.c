#include "kept.h"

#include <stdlib.h>

#include "memory.h"

enum { FEWEST_STEPS = 64 };

static struct kept_steps *make(uint64_t count)
{
	struct kept_steps *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return NULL;
	all->last = count - 1;
	all->step = pages_map(count * sizeof(*all->step), 1);
	if (all->step == NULL) {
		free(all);
		return NULL;
	}
	return all;
}

int kept_open(struct kept_steps **all, uint64_t most)
{
	uint64_t count = FEWEST_STEPS;

	while (count < most)
		count *= 2;
	*all = make(count);
	return *all == NULL ? -1 : 0;
}

static void give_back(struct kept_steps *all)
{
	while (all != NULL) {
		struct kept_steps *older = all->older;

		pages_unmap(all->step, (all->last + 1) * sizeof(*all->step));
		free(all);
		all = older;
	}
}

void kept_close(struct kept_steps **all)
{
	give_back(*all);
	*all = NULL;
}

void kept_tidy(struct kept_steps *all)
{
	give_back(all->older);
	all->older = NULL;
}

static void add_step(struct kept_steps *all, const struct wide *key, const struct wide *value)
{
	uint64_t at = kept_hash(key) & all->last;

	while (all->step[at].key.lane[0])
		at = at + 1 & all->last;
	all->step[at].value = *value;
	for (unsigned i = 1; i < LANES; i++)
		all->step[at].key.lane[i] = key->lane[i];
	__atomic_store_n(&all->step[at].key.lane[0], key->lane[0], __ATOMIC_RELEASE);
	all->count++;
}

int kept_put(struct kept_steps **steps, const struct wide *key, const struct wide *value)
{
	struct kept_steps *all = *steps;

	if (2 * all->count > all->last) {
		struct kept_steps *larger = make(2 * (all->last + 1));

		if (larger == NULL)
			return -1;
		for (uint64_t at = 0; at <= all->last; at++) {
			if (all->step[at].key.lane[0])
				add_step(larger, &all->step[at].key, &all->step[at].value);
		}
		larger->older = all;
		__atomic_store_n(steps, larger, __ATOMIC_RELEASE);
		all = larger;
	}
	add_step(all, key, value);
	return 0;
}
