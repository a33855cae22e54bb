/*
 * What the reached states hold in some cells, as sets: how many different ones
 * there are, and a sum of hashes that does not depend on their order, once for
 * all states and once for those at rest.  search/projection.py defines it.
 */
#include <stdlib.h>
#include <string.h>

#include "search.h"

struct pair {
	uint64_t low, high;
};

struct set {
	struct pair *slot;
	uint64_t last;		/* the number of slots, less one */
};

/* By component and content: the sum of its cells, and whether it is at rest. */
struct contents {
	struct pair *sum;
	uint8_t *rests;
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static void add_cell(const struct projection *p, struct pair *sum, uint64_t cell, uint64_t value)
{
	const uint64_t *salt = &p->salt[2 * cell];

	if (!salt[0] && !salt[1])
		return;
	sum->low += mix(mix(value + salt[0]) ^ salt[1]);
	sum->high += mix(mix(value + salt[1]) ^ salt[0]);
}

static int sum_up(const struct search *s, const struct component *c, struct contents *known)
{
	known->sum = calloc((uint64_t)c->count + 1, sizeof(*known->sum));
	known->rests = calloc((uint64_t)c->count + 1, 1);
	if (known->sum == NULL || known->rests == NULL)
		return -1;
	for (uint32_t n = 0; n < c->count; n++) {
		const uint64_t *row = &c->rows[(uint64_t)n * c->cells];

		known->rests[n] = 1;
		for (unsigned i = 0; i < c->cells; i++) {
			add_cell(&s->projection, &known->sum[n], c->cell[i], row[i]);
			known->rests[n] &= (uint8_t)rests(&s->marks, c->cell[i], row[i]);
		}
	}
	return 0;
}

static int set_grow(struct set *set)
{
	struct set larger = {NULL, 2 * set->last + 1};

	larger.slot = calloc(larger.last + 1, sizeof(*larger.slot));
	if (larger.slot == NULL)
		return -1;
	for (uint64_t i = 0; set->slot != NULL && i <= set->last; i++) {
		uint64_t at = set->slot[i].low & larger.last;

		if (!set->slot[i].low && !set->slot[i].high)
			continue;
		while (larger.slot[at].low || larger.slot[at].high)
			at = at + 1 & larger.last;
		larger.slot[at] = set->slot[i];
	}
	free(set->slot);
	*set = larger;
	return 0;
}

/* Put one in, and into the sum if it is new; 0, or -1 without memory. */
static int set_put(struct set *set, struct projected *found, struct pair pair)
{
	uint64_t at;

	if (2 * found->states >= set->last && set_grow(set))
		return -1;
	if (!pair.low && !pair.high)
		pair.high = 1;	/* what an empty slot has not */
	for (at = pair.low & set->last; set->slot[at].low || set->slot[at].high;
	    at = at + 1 & set->last) {
		if (set->slot[at].low == pair.low && set->slot[at].high == pair.high)
			return 0;
	}
	set->slot[at] = pair;
	found->states++;
	found->low += mix(pair.low + mix(pair.high));
	found->high += mix(pair.high + mix(~pair.low));
	return 0;
}

int project(struct search *s)
{
	struct projection *p = &s->projection;
	struct contents known[MOST_COMPONENTS];
	struct set all = {NULL, (1 << 9) - 1}, rest = {NULL, (1 << 9) - 1};
	struct pair constant = {0, 0};
	int status = -1, constant_rests = 1;

	memset(known, 0, sizeof(known));
	for (uint64_t cell = 0; cell < s->memory; cell++) {
		if (s->component_of[cell] != CONSTANT_COMPONENT)
			continue;
		add_cell(p, &constant, cell, s->start[cell]);
		constant_rests &= rests(&s->marks, cell, s->start[cell]);
	}
	if (set_grow(&all) || set_grow(&rest))
		goto out;
	for (unsigned i = 0; i < s->components; i++) {
		if (sum_up(s, &s->component[i], &known[i]))
			goto out;
	}
	for (uint64_t at = 0; at < s->history.count; at++) {
		struct wide state = state_of_key(s, plain_key(history_get(&s->history, at)));
		struct pair sum = constant;
		int is_at_rest = constant_rests;

		for (unsigned i = 0; i < s->components; i++) {
			uint32_t number = field_of(&s->component[i], &state);

			sum.low += known[i].sum[number].low;
			sum.high += known[i].sum[number].high;
			is_at_rest &= known[i].rests[number];
		}
		if (set_put(&all, &p->all, sum) || (is_at_rest && set_put(&rest, &p->at_rest, sum)))
			goto out;
	}
	status = 0;
out:
	for (unsigned i = 0; i < s->components; i++) {
		free(known[i].sum);
		free(known[i].rests);
	}
	free(all.slot);
	free(rest.slot);
	return status;
}
