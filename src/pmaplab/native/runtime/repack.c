/* Fields that must grow, components that must be merged, a larger store. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "search.h"

enum {
	SAMPLE = 1 << 14,	/* states looked at to choose what to merge */
	AHEAD = 16,		/* states whose slots are fetched before they are put */
	SPARE = 12		/* bits left after a merge, so that the next one is far */
};

uint64_t memory_used(const struct search *s)
{
	uint64_t sum = store_bytes(s->store.bits);

	sum += s->history.chunks * CHUNK * sizeof(struct kept);
	for (unsigned i = 0; i < s->components; i++)
		sum += component_bytes(&s->component[i]);
	for (unsigned i = 0; i < s->agents; i++)
		sum += (s->agent[i].memo.entries->last + 1) * sizeof(struct entry);
	for (unsigned i = 0; i < s->units; i++)
		sum += (s->unit[i].memo.entries->last + 1) * sizeof(struct entry);
	return sum;
}

static unsigned bits_for(uint64_t count)
{
	unsigned bits = 0;

	while (((uint64_t)1 << bits) < count)
		bits++;
	return bits;
}

static unsigned needed(const struct component *c)
{
	unsigned bits = bits_for(c->count);

	return bits < c->wanted ? c->wanted : bits;
}

/* The bits that a state may have. */
static unsigned room(const struct search *s)
{
	unsigned bits = LOW_BITS + UPPER_BITS + s->store.bits;

	return bits < STATE_BITS ? bits : STATE_BITS;
}

/* --- changing the words -------------------------------------------------------- */

/* How a state before is turned into one after. */
struct change {
	unsigned components;
	struct component before[MOST_COMPONENTS];	/* fields only */
	unsigned after[MOST_COMPONENTS];		/* where a component went */
	int merges;
	unsigned first, second, merged;
	struct memo pairs;				/* numbers of both -> of the merged */
	unsigned moves;					/* fields that move together */
	struct {
		word bits;
		int by;
	} move[MOST_COMPONENTS + 1];
};

static word pair_key(const struct change *c, word state)
{
	return (word)field_of(&c->before[c->first], state) << 32 |
	    field_of(&c->before[c->second], state) | KEY_BIT;
}

/* The bits of a state, moved; what else a word holds is kept. */
static word moved_word(const void *change, word state)
{
	const struct change *c = change;
	word rest = ~(((word)1 << STATE_BITS) - 1), result = state & rest;

	for (unsigned i = 0; i < c->moves; i++) {
		word bits = state & c->move[i].bits & ~rest;
		int by = c->move[i].by;

		result |= by < 0 ? bits >> -by : bits << by;
	}
	return result;
}

/* Sum up where fields go: those that move by as much move as one. */
static void plan_moves(const struct search *s, struct change *c)
{
	c->moves = 1;
	c->move[0].bits = (word)1 << FLAG_BIT;
	c->move[0].by = 0;
	for (unsigned i = 0; i < c->components; i++) {
		int by = (int)s->component[c->after[i]].shift - (int)c->before[i].shift;
		unsigned at = 0;

		if (c->merges && (i == c->first || i == c->second))
			continue;
		while (at < c->moves && c->move[at].by != by)
			at++;
		if (at == c->moves) {
			c->move[c->moves].bits = 0;
			c->move[c->moves++].by = by;
		}
		c->move[at].bits |= field_mask(&c->before[i]);
	}
}

static word changed(const struct search *s, const struct change *c, word state)
{
	word result = 0, number = 0;

	for (unsigned i = 0; i < c->moves; i++) {
		word bits = state & c->move[i].bits;
		int by = c->move[i].by;

		result |= by < 0 ? bits >> -by : bits << by;
	}
	if (c->merges) {
		(void)memo_get(&c->pairs, pair_key(c, state), &number);
		result |= number << s->component[c->merged].shift;
	}
	return result;
}

/* Words that are not in the history. */
static int other_words(struct search *s, const struct change *c,
    int (*visit)(struct search *s, const struct change *c, word *state))
{
	for (unsigned i = 0; i < s->threads; i++) {
		for (unsigned n = 0; n < s->thread[i].batch_count; n++) {
			if (visit(s, c, &s->thread[i].batch[n].to))
				return -1;
		}
	}
	for (unsigned i = 0; i < model_invariants; i++) {
		if (s->violation[i].found && visit(s, c, &s->violation[i].state))
			return -1;
	}
	return s->failure.found ? visit(s, c, &s->failure.state) : 0;
}

static void change_range(struct search *s, void *change, uint64_t from, uint64_t to)
{
	for (uint64_t at = from; at < to; at++)
		history_set(&s->history, at, changed(s, change, history_get(&s->history, at)));
}

static int change_word(struct search *s, const struct change *c, word *state)
{
	*state = changed(s, c, *state);
	return 0;
}

/* --- merging ---------------------------------------------------------------------- */

static int collect_pair(struct search *s, const struct change *c, word *state)
{
	struct component *merged = &s->component[c->merged];
	word number, key = pair_key(c, *state);

	if (memo_get(&c->pairs, key, &number))
		return 0;
	number = merged->count++;
	return memo_put((struct memo *)&c->pairs, key, number);
}

static int collect_pairs(struct search *s, const struct change *c)
{
	word last = ~(word)0;

	for (uint64_t at = 0; at < s->history.count; at++) {
		word state = history_get(&s->history, at), key = pair_key(c, state);

		if (key != last && collect_pair(s, c, &state))
			return -1;
		last = key;
	}
	return other_words(s, c, collect_pair);
}

static uint64_t distinct(struct memo *memo, const word *keys, unsigned count)
{
	word ignored;

	if (memo_clear(memo))
		return UINT64_MAX;
	for (unsigned i = 0; i < count; i++) {
		if (!memo_get(memo, keys[i] | KEY_BIT, &ignored) &&
		    memo_put(memo, keys[i] | KEY_BIT, 0))
			return UINT64_MAX;
	}
	return memo->entries->count;
}

static int is_agents(const struct search *s, unsigned component)
{
	for (unsigned i = 0; i < s->agents; i++) {
		if (s->agent[i].component == component)
			return 1;
	}
	return 0;
}

/* The two components that say most about each other; -1 when there are none. */
static int choose_pair(struct search *s, unsigned *first, unsigned *second)
{
	uint64_t step = s->history.count / SAMPLE + 1;
	unsigned count = 0;
	word *sample = calloc(SAMPLE, sizeof(*sample)), *keys = calloc(SAMPLE, sizeof(*keys));
	double alone[MOST_COMPONENTS], best = -1e9;
	struct memo memo = {NULL};
	int status = -1;

	if (sample == NULL || keys == NULL || memo_open(&memo))
		goto out;
	for (uint64_t at = 0; at < s->history.count && count < SAMPLE; at += step)
		sample[count++] = history_get(&s->history, at);
	for (unsigned i = 0; i < s->components; i++) {
		for (unsigned n = 0; n < count; n++)
			keys[n] = field_of(&s->component[i], sample[n]);
		alone[i] = (double)distinct(&memo, keys, count);
	}
	for (unsigned i = 0; i < s->components; i++) {
		for (unsigned j = i + 1; j < s->components; j++) {
			double both, saved;

			if (needed(&s->component[i]) == 0 || needed(&s->component[j]) == 0)
				continue;
			for (unsigned n = 0; n < count; n++)
				keys[n] = (word)field_of(&s->component[i], sample[n]) << 32 |
				    field_of(&s->component[j], sample[n]);
			both = (double)distinct(&memo, keys, count);
			saved = log2(alone[i]) + log2(alone[j]) - log2(both);
			/* Best where one nearly decides the other: a content more is a
			 * step more to run. */
			saved -= 2 * log2(both / (alone[i] > alone[j] ? alone[i] : alone[j]));
			if (is_agents(s, i) && is_agents(s, j))
				saved -= 100;
			if (saved > best) {
				best = saved;
				*first = i;
				*second = j;
				status = 0;
			}
		}
	}
out:
	free(sample);
	free(keys);
	memo_close(&memo);
	return status;
}

/* The contents of the merged component, from those of both. */
static int fill_merged(struct search *s, struct change *c, const struct component *one,
    const struct component *two)
{
	struct component *merged = &s->component[c->merged];
	const struct entries *all = c->pairs.entries;
	uint64_t count = merged->count, *row = calloc(merged->cells + 1, sizeof(*row));
	word *pair = calloc(count + 1, sizeof(*pair));
	int status = row == NULL || pair == NULL ? -1 : 0;

	for (uint64_t at = 0; status == 0 && at <= all->last; at++) {
		if (all->entry[at].key >> 64)
			pair[(uint64_t)all->entry[at].value] = all->entry[at].key;
	}
	merged->count = 0;
	for (uint64_t number = 0; status == 0 && number < count; number++) {
		uint64_t a = (uint64_t)(pair[number] >> 32) & UINT32_MAX;
		uint64_t b = (uint64_t)pair[number] & UINT32_MAX;
		uint32_t got;

		memcpy(row, &one->rows[a * one->cells], one->cells * sizeof(*row));
		memcpy(&row[one->cells], &two->rows[b * two->cells], two->cells * sizeof(*row));
		status = component_number(merged, row, &got);
		if (status == 0 && got != number)
			status = -1;
	}
	free(row);
	free(pair);
	return status;
}

/* --- repacking --------------------------------------------------------------------- */

static void put_range(struct search *s, void *full, uint64_t from, uint64_t to)
{
	word plain = ~((word)1 << FLAG_BIT);

	for (uint64_t at = from; at < to; at++) {
		if (at + AHEAD < to)
			store_prefetch(&s->store, history_get(&s->history, at + AHEAD) & plain);
		if (store_put(&s->store, history_get(&s->history, at) & plain) == STORE_FULL)
			__atomic_store_n((int *)full, 1, __ATOMIC_RELAXED);
	}
}

static int rebuild_store(struct search *s)
{
	const struct component *last = &s->component[s->components - 1];
	unsigned total = last->shift + last->width;
	unsigned high = total > LOW_BITS ? total - LOW_BITS : 0, upper = 0, bits = s->store.bits;
	int full;

	if (high > bits) {
		upper = high - bits;
		high = bits;
	}

	store_close(&s->store);
	do {
		full = 0;
		if (s->most_memory && store_bytes(bits) > s->most_memory)
			return -1;
		if (store_open(&s->store, bits++, high, upper))
			return -1;
		in_parallel(s, put_range, &full, s->history.count);
		if (full)
			store_close(&s->store);
	} while (full);
	return 0;
}

/* Give every component its field: just what its contents need between two
 * merges, what was asked for in the end, with some to spare where there is room. */
static int lay_out(struct search *s, int final)
{
	unsigned total = 0, width[MOST_COMPONENTS], shift = 0, spare;

	/* As many as slots of one part have room for, or of two where it takes two. */
	spare = LOW_BITS + s->store.bits;

	for (unsigned i = 0; i < s->components; i++) {
		width[i] = final ? needed(&s->component[i]) : bits_for(s->component[i].count);
		total += width[i];
	}
	if (total > spare)
		spare = room(s);
	/* Most of it where a field is nearly full. */
	while (final && total < spare) {
		unsigned fullest = s->components;
		double most = 0.25;

		for (unsigned i = 0; i < s->components; i++) {
			double full = s->component[i].count / (double)((uint64_t)1 << width[i]);

			if (s->component[i].count > 1 && full >= most) {
				most = full;
				fullest = i;
			}
		}
		if (fullest == s->components)
			break;
		width[fullest]++;
		total++;
	}
	for (unsigned i = 0; i < s->components; i++) {
		struct component *c = &s->component[i];

		if (c->width != width[i] && component_widen(c, width[i]))
			return -1;
		c->shift = shift;
		if (final)
			c->wanted = 0;
		shift += width[i];
	}
	return 0;
}

static void keep_fields(const struct search *s, struct change *c)
{
	memset(c, 0, sizeof(*c));
	c->components = s->components;
	memcpy(c->before, s->component, sizeof(c->before));
	for (unsigned i = 0; i < s->components; i++)
		c->after[i] = i;
}

static uint64_t moved_bits(const struct change *c, uint64_t components)
{
	uint64_t result = 0;

	for (unsigned i = 0; i < c->components; i++) {
		if (components >> i & 1)
			result |= (uint64_t)1 << c->after[i];
	}
	return result;
}

/* Merge the two components of `c`; the fields are laid out afterwards. */
static int merge(struct search *s, struct change *c, struct component *one, struct component *two)
{
	struct component *merged;
	unsigned cells;

	*one = s->component[c->first];
	*two = s->component[c->second];
	cells = one->cells + two->cells;
	/* The second leaves a gap, which the last one fills. */
	c->merged = c->first;
	c->after[c->second] = c->first;
	s->components--;
	if (c->second != s->components) {
		s->component[c->second] = s->component[s->components];
		c->after[s->components] = c->second;
	}
	merged = &s->component[c->merged];
	memset(merged, 0, sizeof(*merged));
	merged->cells = cells;
	if (memo_open(&c->pairs) || collect_pairs(s, c))
		return -1;
	cells = (unsigned)merged->count;
	if (component_open(merged, one->cells + two->cells, bits_for(cells)))
		return -1;
	memcpy(merged->cell, one->cell, one->cells * sizeof(uint32_t));
	memcpy(&merged->cell[one->cells], two->cell, two->cells * sizeof(uint32_t));
	merged->count = cells;
	merged->wanted = bits_for((uint64_t)cells + 1);
	if (fill_merged(s, c, one, two))
		return -1;
	for (uint64_t i = 0; i < s->cells; i++) {
		if (s->component_of[i] != CONSTANT_COMPONENT)
			s->component_of[i] = (uint8_t)c->after[s->component_of[i]];
	}
	for (unsigned i = 0; i < s->agents; i++)
		s->agent[i].component = c->after[s->agent[i].component];
	for (unsigned i = 0; i < s->units; i++)
		s->unit[i].components = moved_bits(c, s->unit[i].components);
	return 0;
}

static int repack_once(struct search *s, int merges, unsigned first, unsigned second)
{
	struct change *c = calloc(1, sizeof(*c));
	struct component one, two;
	int status = -1;

	if (c == NULL)
		return -1;
	keep_fields(s, c);
	c->merges = merges;
	c->first = first;
	c->second = second;
	if (merges && merge(s, c, &one, &two))
		goto out;
	if (lay_out(s, !merges))
		goto out;
	plan_moves(s, c);
	in_parallel(s, change_range, c, s->history.count);
	if (other_words(s, c, change_word) || (!merges && steps_move(s, moved_word, c)))
		goto out;
	if (merges) {
		component_close(&one);
		component_close(&two);
		memo_close(&c->pairs);
	}
	status = 0;
out:
	free(c);
	return status;
}

int repack(struct search *s)
{
	int merging = 0;

	for (;;) {
		unsigned total = 0, first, second;

		for (unsigned i = 0; i < s->components; i++)
			total += needed(&s->component[i]);
		if (total + (merging ? SPARE : 0) <= room(s))
			break;
		merging = 1;
		if (choose_pair(s, &first, &second))
			return -1;
		if (repack_once(s, 1, first, second))
			return -1;
	}
	/* Merged fields are too different from those before. */
	if (merging && steps_forget(s))
		return -1;
	return repack_once(s, 0, 0, 0) || rebuild_store(s) ? -1 : 0;
}

struct move {
	struct store larger;
	int full;
};

static void move_range(struct search *s, void *move, uint64_t from, uint64_t to)
{
	struct move *m = move;

	if (store_move(&s->store, &m->larger, from, to))
		__atomic_store_n(&m->full, 1, __ATOMIC_RELAXED);
}

int make_room(struct search *s)
{
	struct move move;
	unsigned bits = s->store.bits + 1;

	for (;; bits++) {
		move.full = 0;
		if (s->most_memory && memory_used(s) + store_bytes(bits) > s->most_memory)
			return -1;
		if (store_open(&move.larger, bits, s->store.high, s->store.upper))
			return -1;
		in_parallel(s, move_range, &move, (uint64_t)1 << s->store.bits);
		if (!move.full)
			break;
		store_close(&move.larger);
	}
	store_close(&s->store);
	s->store = move.larger;
	return 0;
}
