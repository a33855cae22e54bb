/* Checks of the runtime's parts: the store, the lanes, the components, what is kept. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "components.h"
#include "kept.h"
#include "lanes.h"
#include "memo.h"
#include "memory.h"
#include "search.h"
#include "store.h"

#define CHECK(condition) do {							\
	if (!(condition)) {							\
		printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);		\
		exit(1);							\
	}									\
} while (0)

enum { STATES = 20000, THREADS = 4 };

/* Different states that fill all the bits that they may have. */
static word state_number(uint64_t number, unsigned bits)
{
	word state = number;

	state |= (word)(number * 0x9e3779b97f4a7c15u) << 40;
	return state & (((word)1 << bits) - 1);
}

static enum stored put(struct store *store, word state)
{
	return store_put(store, state, store_home(store, state));
}

/* Everything that was put is there, once, also after it has moved. */
/* Spread over more buckets, each stage in two parts, as by two threads. */
static void grow(struct store *store, uint64_t buckets)
{
	struct aside aside[2] = {{0}};
	uint64_t before = store->buckets;

	CHECK(store_grow(store, buckets) == 0);
	for (uint64_t end = before, begin; end > 0; end = begin) {
		uint64_t middle;

		begin = store_stage(store, before, end);
		CHECK(begin < end);
		middle = (begin + end) / 2;
		CHECK(store_spread(store, before, begin, middle, end, &aside[0]) == 0);
		CHECK(store_spread(store, before, middle, end, end, &aside[1]) == 0);
	}
	CHECK(aside_move(&aside[0], &aside[1]) == 0);
	/* Most of it is moved at once. */
	CHECK(aside[0].count < store_slots(store) / 8);
	CHECK(store_put_back(store, &aside[0]) == 0);
}

static void check_store(uint64_t buckets, unsigned high, unsigned upper)
{
	struct store store = {0};
	unsigned width = LOW_BITS + high + upper;

	CHECK(high <= store_high(buckets));
	CHECK(store_open(&store, buckets, high, upper) == 0);
	for (uint64_t i = 0; i < STATES; i++)
		CHECK(put(&store, state_number(i, width)) == STORED_NEW);
	for (uint64_t i = 0; i < STATES; i++)
		CHECK(put(&store, state_number(i, width)) == STORED_BEFORE);
	CHECK(store_find(&store, state_number(STATES, width)) == NULL);
	slot_mark(store_find(&store, state_number(7, width)), 1);
	CHECK(slot_marked(store_find(&store, state_number(7, width))));
	CHECK(put(&store, state_number(7, width)) == STORED_BEFORE);
	CHECK(!slot_marked(store_find(&store, state_number(8, width))));
	grow(&store, buckets + buckets / 4);
	for (uint64_t i = 0; i < STATES; i++)
		CHECK(put(&store, state_number(i, width)) == STORED_BEFORE);
	CHECK(store_find(&store, state_number(STATES, width)) == NULL);
	CHECK(!slot_marked(store_find(&store, state_number(7, width))));
	/* Emptied, in the same place. */
	CHECK(store_open(&store, 2 * buckets, high, upper) == 0);
	for (uint64_t i = 0; i < STATES; i++)
		CHECK(put(&store, state_number(i, width)) == STORED_NEW);
	store_close(&store);
}

/* States may become longer in a store that is in use. */
static void check_longer_states(void)
{
	struct store store = {0};

	CHECK(store_open(&store, 4500, 0, 0) == 0);
	for (uint64_t i = 0; i < STATES / 4; i++)
		CHECK(put(&store, state_number(i, LOW_BITS)) == STORED_NEW);
	for (unsigned high = 1; high <= 12; high += 11) {
		word bit = (word)1 << (LOW_BITS + high - 1);

		store.high = high;
		for (uint64_t i = 0; i < STATES / 4; i++) {
			CHECK(put(&store, state_number(i, LOW_BITS)) == STORED_BEFORE);
			CHECK(put(&store, state_number(i, LOW_BITS) | bit) == STORED_NEW);
		}
		grow(&store, store.buckets + store.buckets / 3);
		for (uint64_t i = 0; i < STATES / 4; i++) {
			CHECK(put(&store, state_number(i, LOW_BITS)) == STORED_BEFORE);
			CHECK(put(&store, state_number(i, LOW_BITS) | bit) == STORED_BEFORE);
		}
	}
	store_close(&store);
}

/* One try after the other comes to what all of them do. */
static void check_tries(void)
{
	struct store store = {0};
	unsigned farthest = 0;

	CHECK(store_open(&store, 1024, 10, 0) == 0);
	for (uint64_t i = 0; i < 1024 * SLOTS * 8 / 10; i++) {
		word state = state_number(i, LOW_BITS + 10);
		unsigned distance = 0;
		enum stored how;

		while ((how = store_try(&store, state, store_home(&store, state), distance)) ==
		    STORE_FULL)
			CHECK(++distance < FARTHEST);
		CHECK(how == STORED_NEW);
		CHECK(put(&store, state) == STORED_BEFORE);
		farthest = distance > farthest ? distance : farthest;
	}
	CHECK(farthest > 2);
	store_close(&store);
}

/* States that differ in the bits outside of the slot only. */
static void check_high_bits(void)
{
	struct store store = {0};

	CHECK(store_open(&store, 1030, 10, 5) == 0);
	for (word i = 0; i < 1 << 11; i++)
		CHECK(put(&store, i << LOW_BITS) == STORED_NEW);
	for (word i = 0; i < 1 << 11; i++)
		CHECK(put(&store, i << LOW_BITS) == STORED_BEFORE);
	store_close(&store);
}

static void check_full_store(void)
{
	struct store store = {0};
	uint64_t i = 0;

	CHECK(store_open(&store, 17, 4, 0) == 0);
	while (i < 1000 && put(&store, state_number(i, LOW_BITS)) == STORED_NEW)
		i++;
	CHECK(i > 64 && i <= 17 * SLOTS);
	CHECK(store_slots(&store) == 17 * SLOTS);
	store_close(&store);
}

struct race {
	struct store *store;
	uint64_t new;
};

static void *put_all(void *argument)
{
	struct race *race = argument;

	for (uint64_t i = 0; i < STATES; i++)
		race->new += put(race->store, state_number(i, 90)) == STORED_NEW;
	return NULL;
}

/* Of several threads that put the same, one is told that it is new. */
static void check_threads(void)
{
	for (int round = 0; round < 10; round++) {
		struct store store = {0};
		struct race race[THREADS];
		pthread_t id[THREADS];
		uint64_t sum = 0;

		CHECK(store_open(&store, 8200, 13, 18) == 0);
		for (int i = 0; i < THREADS; i++) {
			race[i] = (struct race){&store, 0};
			CHECK(pthread_create(&id[i], NULL, put_all, &race[i]) == 0);
		}
		for (int i = 0; i < THREADS; i++) {
			pthread_join(id[i], NULL);
			sum += race[i].new;
		}
		CHECK(sum == STATES);
		store_close(&store);
	}
}

static void check_components(void)
{
	struct component c;
	uint64_t cells[8] = {0}, row[2], back[8] = {0};
	uint32_t number, again;

	CHECK(component_open(&c, 2, 2) == 0);
	c.cell[0] = 3;
	c.cell[1] = 5;
	for (uint64_t value = 0; value < 4; value++) {
		cells[3] = value;
		cells[5] = 10 * value;
		component_gather(&c, cells, row);
		CHECK(component_number(&c, row, &number) == 0 && number == value);
		CHECK(component_number(&c, row, &again) == 0 && again == number);
	}
	row[0] = 99;
	CHECK(component_number(&c, row, &number) == -1);
	CHECK(c.wanted == 3);
	CHECK(component_widen(&c, 3) == 0);
	CHECK(component_number(&c, row, &number) == 0 && number == 4);
	component_unpack(&c, 2, back);
	CHECK(back[3] == 2 && back[5] == 20 && back[0] == 0);
	/* From what was there before. */
	cells[3] = 3;
	cells[5] = 30;
	CHECK(component_renumber(&c, 1, cells, row, &number) == 0 && number == 3);
	CHECK(component_renumber(&c, 3, cells, row, &number) == 0 && number == 3);
	cells[5] = 31;
	CHECK(component_renumber(&c, 0, cells, row, &number) == 0 && number == 5);
	component_gather(&c, cells, row);
	CHECK(component_number(&c, row, &number) == 0 && number == 5);
	component_close(&c);
}

/* A field with bits in another lane. */
static void check_fields(void)
{
	struct component c = {.field = {.lane = 2, .shift = 58}};
	struct wide state = {{1, 2, 3, 4}}, before = state;

	field_resize(&c.field, 5, 0);
	field_xor(&c, &state, 21);
	CHECK(field_of(&c, &state) == 21);
	CHECK(state.lane[2] == (3 | (uint64_t)21 << 58));
	/* Wider, and what was there stays. */
	field_resize(&c.field, 8, 3);
	c.field.over_lane = 1;
	c.field.over_shift = 40;
	CHECK(field_of(&c, &state) == 21);
	field_xor(&c, &state, 21 ^ 0xd6);
	CHECK(field_of(&c, &state) == 0xd6);
	CHECK(state.lane[1] == (2 | (uint64_t)6 << 40));
	field_xor(&c, &state, 0xd6);
	for (unsigned i = 0; i < LANES; i++)
		CHECK(state.lane[i] == before.lane[i]);
}

static void check_memo(void)
{
	struct memo memo;
	word top = (word)1 << 127, value;

	CHECK(memo_open(&memo) == 0);
	for (uint64_t i = 0; i < STATES; i++) {
		CHECK(!memo_get(&memo, top | i << 20, &value));
		CHECK(memo_put(&memo, top | i << 20, (word)i * 3) == 0);
	}
	for (uint64_t i = 0; i < STATES; i++)
		CHECK(memo_get(&memo, top | i << 20, &value) && value == (word)i * 3);
	CHECK(memo_clear(&memo) == 0);
	CHECK(!memo_get(&memo, top, &value));
	memo_close(&memo);
}

static uint64_t doubled(const void *how, uint64_t content)
{
	(void)how;
	return 2 * content;
}

static void check_lane(void)
{
	struct lane lane;
	uint64_t number, count = 0;

	CHECK(lane_open(&lane, 10, 12) == 0);
	CHECK(lane_number(&lane, 7, 0, &number) == -1);
	while (lane_number(&lane, 3 * count, 1, &number) == 0)
		CHECK(number == count++);
	CHECK(count == 768 - MOST_THREADS);
	CHECK(lane_grow(&lane, 13, 10) == 0);
	CHECK(lane_number(&lane, 1, 1, &number) == 0 && number == count);
	while (lane_number(&lane, 3 * ++count, 1, &number) == 0)
		;
	CHECK(lane.count == 1024 - MOST_THREADS);
	CHECK(lane_number(&lane, 30, 1, &number) == 0 && number == 10);
	CHECK(lane_change(&lane, doubled, NULL) == 0);
	CHECK(lane_number(&lane, 60, 0, &number) == 0 && number == 10 && lane.content[10] == 60);
	CHECK(lane_number(&lane, 3, 0, &number) == -1);
	lane_close(&lane);
}

struct lane_race {
	struct lane *lane;
	uint64_t sum;
};

static void *number_all(void *argument)
{
	struct lane_race *race = argument;
	uint64_t number;

	for (uint64_t i = 0; i < STATES; i++) {
		CHECK(lane_number(race->lane, i * i, 1, &number) == 0);
		CHECK(race->lane->content[number] == i * i);
		race->sum += number * i;
	}
	return NULL;
}

/* All threads give a content the same number. */
static void check_lane_threads(void)
{
	for (int round = 0; round < 10; round++) {
		struct lane lane;
		struct lane_race race[THREADS];
		pthread_t id[THREADS];

		CHECK(lane_open(&lane, 16, 20) == 0);
		for (int i = 0; i < THREADS; i++) {
			race[i] = (struct lane_race){&lane, 0};
			CHECK(pthread_create(&id[i], NULL, number_all, &race[i]) == 0);
		}
		for (int i = 0; i < THREADS; i++)
			pthread_join(id[i], NULL);
		for (int i = 1; i < THREADS; i++)
			CHECK(race[i].sum == race[0].sum);
		CHECK(lane.count == STATES);
		lane_close(&lane);
	}
}

static void check_kept(void)
{
	struct kept_steps *steps;

	CHECK(kept_open(&steps, 0) == 0);
	for (uint64_t i = 0; i < STATES; i++) {
		struct wide key = {{LANE_TOP, i % 7, i, 5}}, value = {{i, 0, 0, i + 1}};

		CHECK(kept_get(&steps, &key, kept_hash(&key)) == NULL);
		CHECK(kept_put(&steps, &key, &value) == 0);
	}
	kept_tidy(steps);
	for (uint64_t i = 0; i < STATES; i++) {
		struct wide key = {{LANE_TOP, i % 7, i, 5}};
		const struct wide *value = kept_get(&steps, &key, kept_hash(&key));

		CHECK(value != NULL && value->lane[0] == i && value->lane[3] == i + 1);
	}
	kept_close(&steps);
}

/* What was given back is taken again, as zeros. */
static void check_memory(void)
{
	size_t before = pages_spare();
	char *pages = pages_map(3 << 15, 0), *again;

	CHECK(pages != NULL);
	pages[5] = 1;
	pages_unmap(pages, 3 << 15);
	CHECK(pages_spare() == before + (3 << 15));
	again = pages_map(3 << 15, 0);
	CHECK(again == pages && again[5] == 0 && pages_spare() == before);
	pages_unmap(again, 3 << 15);
}

/* What lies far back goes into a file, and can be read and changed there. */
static void check_history(void)
{
	struct history h;
	uint64_t count = 12 * CHUNK + 5, in_memory;

	CHECK(history_open(&h) == 0);
	for (uint64_t i = 0; i < count; i++) {
		struct packed one = narrow((word)i << 30 | 7);

		CHECK(history_append(&h, &one, 1) == 0);
	}
	in_memory = history_bytes(&h);
	history_file(&h, 11 * CHUNK + 1, "/no/such/folder");
	CHECK(h.file < 0 || history_bytes(&h) < in_memory);
	CHECK(h.file < 0 || h.filed == h.chunks - 8);
	for (uint64_t i = 0; i < count; i += 3)
		history_set(&h, i, history_get(&h, i) | (word)1 << FLAG_BIT);
	history_file(&h, count, NULL);
	for (uint64_t i = 0; i < count; i++) {
		word key = history_get(&h, i);

		CHECK(plain_key(key) == ((word)i << 30 | 7));
		CHECK((key != plain_key(key)) == (i % 3 == 0));
	}
}

int main(void)
{
	check_store(4096, 0, 0);
	check_store(4096, 12, 0);
	check_store(3333, 11, 0);
	check_store(8192, 13, 31);
	check_store(8000, 12, 31);
	check_longer_states();
	check_tries();
	check_high_bits();
	check_full_store();
	check_threads();
	check_components();
	check_fields();
	check_memo();
	check_lane();
	check_lane_threads();
	check_kept();
	check_memory();
	check_history();
	printf("all is well\n");
	return 0;
}
