/* Which lane each component goes into: those together that say most about each
 * other, so that lanes have few contents. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "search.h"

enum {
	FEWEST_STATES = 1000,	/* that say something about components */
	SAMPLE_BITS = 13,
	SAMPLE = 1 << SAMPLE_BITS
};

struct cluster {
	uint64_t components;
	unsigned bits;
	uint32_t distinct;	/* contents in the sample */
	uint32_t *number;	/* by state of the sample */
};

struct clusters {
	unsigned count, states;
	struct cluster *cluster;
	uint32_t *both;		/* scratch: numbers of pairs */
	uint64_t *key;		/* scratch: a table of pairs */
	uint32_t *value;
	uint8_t seen[2 * SAMPLE];	/* scratch: a table of all pairs */
};

/* Number the pairs of what two clusters hold, from 0; how many there are, or more
 * than `most` as soon as there are. */
static uint32_t pair_up(struct clusters *all, const struct cluster *a, const struct cluster *b,
    uint32_t most)
{
	uint64_t last = 2 * SAMPLE - 1;
	uint32_t distinct = 0;

	memset(all->key, 0, 2 * SAMPLE * sizeof(*all->key));
	for (unsigned i = 0; i < all->states && distinct <= most; i++) {
		uint64_t key = ((uint64_t)a->number[i] << 32 | b->number[i]) + 1;
		uint64_t at = lane_hash(key) & last;

		while (all->key[at] && all->key[at] != key)
			at = at + 1 & last;
		if (all->key[at] == 0) {
			all->key[at] = key;
			all->value[at] = distinct++;
		}
		all->both[i] = all->value[at];
	}
	return distinct;
}

/* How many pairs there are, or more than `most`. */
static uint32_t count_pairs(struct clusters *all, const struct cluster *a,
    const struct cluster *b, uint32_t most)
{
	uint64_t pairs = (uint64_t)a->distinct * b->distinct;
	uint32_t distinct = 0;

	if (a->distinct > most || b->distinct > most)
		return most + 1;
	if (a->distinct == 1 || b->distinct == 1)
		return (uint32_t)pairs;
	if (pairs > sizeof(all->seen))
		return pair_up(all, a, b, most);
	/* Few enough for a table of all pairs. */
	memset(all->seen, 0, pairs);
	for (unsigned i = 0; i < all->states; i++)
		all->seen[a->number[i] * b->distinct + b->number[i]] = 1;
	for (uint64_t i = 0; i < pairs; i++)
		distinct += all->seen[i];
	return distinct;
}

/* How good it is to have two clusters in one lane. */
static double gain(struct clusters *all, const struct cluster *a, const struct cluster *b)
{
	double one = log2(a->distinct), other = log2(b->distinct);
	uint32_t most = all->states / 4, both = count_pairs(all, a, b, most);

	/* Nearly as many as there are states looked at: these say nothing more. */
	if (both > most)
		return -one - other;
	return one + other - 1.3 * log2(both);
}

static void join(struct clusters *all, unsigned first, unsigned second)
{
	struct cluster *a = &all->cluster[first], *b = &all->cluster[second];

	a->distinct = pair_up(all, a, b, SAMPLE);
	memcpy(a->number, all->both, all->states * sizeof(*a->number));
	a->components |= b->components;
	a->bits += b->bits;
	free(b->number);
	*b = all->cluster[--all->count];
}

unsigned room_of(const struct search *s, unsigned lane)
{
	return s->lane_bits - (lane == 0 ? FIRST_LANE_LESS : 0);
}

/* Put clusters, or components, where there is most room; -1 where there is none. */
static int distribute(const struct search *s, const unsigned *bits, unsigned count, unsigned *to)
{
	unsigned room[LANES], left = count;

	for (unsigned i = 0; i < LANES; i++)
		room[i] = room_of(s, i);
	for (unsigned i = 0; i < count; i++)
		to[i] = LANES;
	while (left--) {
		unsigned widest = count, best = 0;

		for (unsigned i = 0; i < count; i++) {
			if (to[i] == LANES && (widest == count || bits[i] > bits[widest]))
				widest = i;
		}
		for (unsigned i = 1; i < LANES; i++) {
			if (room[i] > room[best])
				best = i;
		}
		if (bits[widest] > room[best])
			return -1;
		room[best] -= bits[widest];
		to[widest] = best;
	}
	return 0;
}

static int cluster_components(struct search *s, struct clusters *all, const unsigned *bits)
{
	uint64_t count = s->history.count, step = count / SAMPLE + 1;
	double *gains = calloc(MOST_COMPONENTS * MOST_COMPONENTS, sizeof(*gains));

	if (gains == NULL)
		return -1;
	for (unsigned i = 0; i < s->components; i++) {
		struct cluster *c = &all->cluster[all->count++];

		*c = (struct cluster){(uint64_t)1 << i, bits[i], 0, calloc(SAMPLE, sizeof(*c->number))};
		if (c->number == NULL) {
			free(gains);
			return -1;
		}
	}
	for (uint64_t at = 0; at < count && all->states < SAMPLE; at += step) {
		struct wide state = state_of_key(s, plain_key(history_get(&s->history, at)));

		for (unsigned i = 0; i < s->components; i++)
			all->cluster[i].number[all->states] = field_of(&s->component[i], &state);
		all->states++;
	}
	for (unsigned i = 0; i < all->count; i++) {
		all->cluster[i].distinct = pair_up(all, &all->cluster[i], &all->cluster[i],
		    SAMPLE);
		memcpy(all->cluster[i].number, all->both, all->states * sizeof(*all->both));
		for (unsigned j = 0; j < i; j++)
			gains[i * MOST_COMPONENTS + j] = gain(all, &all->cluster[i],
			    &all->cluster[j]);
	}
	while (all->count > LANES) {
		unsigned first = 0, second = 0, last = all->count - 1;
		double best = -1e9;

		for (unsigned i = 0; i < all->count; i++) {
			for (unsigned j = 0; j < i; j++) {
				if (gains[i * MOST_COMPONENTS + j] > best &&
				    all->cluster[i].bits + all->cluster[j].bits <=
				    s->lane_bits) {
					best = gains[i * MOST_COMPONENTS + j];
					first = j;
					second = i;
				}
			}
		}
		if (second == first)
			break;
		join(all, first, second);
		/* The last one is where the second was. */
		for (unsigned i = 0; i < all->count; i++) {
			unsigned high = i > second ? i : second, low = i > second ? second : i;

			if (i != second && second != last)
				gains[high * MOST_COMPONENTS + low] = i < last ?
				    gains[last * MOST_COMPONENTS + i] : 0;
		}
		for (unsigned i = 0; i < all->count; i++) {
			unsigned high = i > first ? i : first, low = i > first ? first : i;

			if (i != first)
				gains[high * MOST_COMPONENTS + low] = gain(all,
				    &all->cluster[first], &all->cluster[i]);
		}
	}
	free(gains);
	return 0;
}

/* The lane of each component, which has so many bits; -1 where they do not fit. */
int choose_lanes(struct search *s, const unsigned *bits, unsigned *to)
{
	struct clusters all = {.count = 0};
	unsigned sizes[MOST_COMPONENTS] = {0}, lanes[MOST_COMPONENTS];
	int status = -1;

	if (s->history.count < FEWEST_STATES)
		return distribute(s, bits, s->components, to);
	all.cluster = calloc(MOST_COMPONENTS, sizeof(*all.cluster));
	all.both = calloc(SAMPLE, sizeof(*all.both));
	all.key = calloc(2 * SAMPLE, sizeof(*all.key));
	all.value = calloc(2 * SAMPLE, sizeof(*all.value));
	if (all.cluster && all.both && all.key && all.value)
		status = cluster_components(s, &all, bits);
	if (status == 0) {
		for (unsigned i = 0; i < all.count; i++)
			sizes[i] = all.cluster[i].bits;
		status = distribute(s, sizes, all.count, lanes);
	}
	for (unsigned n = 0; status == 0 && n < all.count; n++) {
		for (unsigned i = 0; i < s->components; i++) {
			if (all.cluster[n].components >> i & 1)
				to[i] = lanes[n];
		}
	}
	for (unsigned n = 0; all.cluster && n < all.count; n++)
		free(all.cluster[n].number);
	free(all.cluster);
	free(all.both);
	free(all.key);
	free(all.value);
	return status ? distribute(s, bits, s->components, to) : 0;
}
