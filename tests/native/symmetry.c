/* Checks of runtime/symmetry.c: images, orbits, tables, and what is told apart. */
#include "symmetric_model.h"

enum { STATES = 300 };

/* The image, as the runtime has it. */
static struct wide image_of(struct search *s, unsigned by, const struct wide *state)
{
	struct wide image = {{0}};

	for (unsigned i = 0; i < s->components; i++) {
		uint32_t number;

		while (number_in_image(&s->thread[0], by, i, state, &number))
			CHECK(widen(s) == 1);
		field_xor(&s->component[i], &image, number);
	}
	return image;
}

/* How many different images a state has. */
static unsigned orbit(struct search *s, const uint64_t *cells)
{
	struct wide image[ORDER];
	unsigned count = 0;

	for (unsigned by = 0; by < ORDER; by++) {
		unsigned n = 0;

		image[count] = state_moved(s, by, cells);
		while (n < count && !same_state(&image[n], &image[count]))
			n++;
		count += n == count;
	}
	return count;
}

/* --- images --------------------------------------------------------------------------- */

static void check_values(void)
{
	struct search s = {.memory = MEMORY};
	uint64_t cell[MEMORY], all[64], from[] = {5, 9}, to[] = {9, 5};
	struct value_map map[] = {{0, 2, 13, from, to}, {1, 64, 0, NULL, all}, {1, 0, 4, NULL, all}};
	struct permutation p = {.cell = cell, .map = map};

	for (unsigned i = 0; i < MEMORY; i++)
		cell[i] = i ^ 1;
	for (unsigned i = 0; i < 64; i++)
		all[i] = 63 - i;
	CHECK(value_image(&s, &p, MAP_PLAIN, 4) == 4);
	CHECK(value_image(&s, &p, MAP_POINTER, 4) == 5);
	CHECK(value_image(&s, &p, MAP_POINTER, MEMORY) == MEMORY);
	/* Of 7, the bits in 13 are 5. */
	CHECK(value_image(&s, &p, MAPS_DECLARED, 7) == 11);
	CHECK(value_image(&s, &p, MAPS_DECLARED, 9) == 5);
	CHECK(value_image(&s, &p, MAPS_DECLARED, 12 | 32) == (12 | 32));
	/* A set of all bits that there are, the other way round. */
	CHECK(value_image(&s, &p, MAPS_DECLARED + 1, 3) == (uint64_t)3 << 62);
	CHECK(value_image(&s, &p, MAPS_DECLARED + 2, 1 | 4) == 1);
	CHECK(keeps_values(&p, MAP_PLAIN) && !keeps_values(&p, MAP_POINTER));
	for (unsigned i = 0; i < 3; i++)
		CHECK(!keeps_values(&p, MAPS_DECLARED + i));
	to[0] = 5;
	to[1] = 9;
	map[2].word = 0;
	for (unsigned i = 0; i < 64; i++)
		all[i] = i;
	for (unsigned i = 0; i < 3; i++)
		CHECK(keeps_values(&p, MAPS_DECLARED + i));
}

/* What a step looks at: the memory and its agent's part. */
static void check_row(struct search *s, unsigned by, const uint64_t *cells, unsigned agent)
{
	unsigned to = moved_agent(&group[by], agent);
	uint64_t found[CELLS], wanted[CELLS];

	row_image(s, &s->symmetry->permutation[by - 1], cells, agent, found);
	moved_cells(&group[by], cells, wanted);
	for (unsigned i = 0; i < CPUS; i++) {
		if (i != to)
			memcpy(&wanted[MEMORY + i * PART_CELLS], &cells[MEMORY + i * PART_CELLS],
			    PART_CELLS * sizeof(*wanted));
	}
	CHECK(memcmp(found, wanted, sizeof(wanted)) == 0);
}

static void check_images(void)
{
	struct search *s = make_search(12);

	for (unsigned i = 0; i < STATES; i++) {
		uint64_t cells[CELLS];
		struct wide state;

		random_cells(cells);
		state = state_of(s, cells);
		for (unsigned by = 0; by < ORDER; by++) {
			struct wide image = image_of(s, by, &state), wanted = state_moved(s, by, cells);

			CHECK(same_state(&image, &wanted));
			/* Once more, from what is kept. */
			image = image_of(s, by, &state);
			CHECK(same_state(&image, &wanted));
			for (unsigned agent = 0; by && agent < CPUS; agent++)
				check_row(s, by, cells, agent);
		}
	}
}

/* Frames that return to each other, which garbage may look like. */
static void check_frames_without_end(void)
{
	struct search *s = make_search(4);
	uint64_t part[PART_CELLS] = {CALLEE, 1, DIRTY, CALLEE, 2, 0}, image[PART_CELLS];

	part_image(s, &s->symmetry->permutation[ORDER - 2], part, PART_CELLS, image);
	CHECK(image[POINT] == CALLEE && image[TURN_LOCAL] == 1 && image[PAIRS_LOCAL] != 2);
	part[POINT] = POINTS;
	part_image(s, &s->symmetry->permutation[ORDER - 2], part, PART_CELLS, image);
	CHECK(memcmp(image, part, sizeof(image)) == 0);
}

/* The permutation that is one behind the other. */
static unsigned product(unsigned first, unsigned second)
{
	unsigned by = 0;

	for (;; by++) {
		int same = 1;

		CHECK(by < ORDER);
		for (unsigned i = 0; i < CPUS; i++)
			same &= group[by].cpu[i] == group[second].cpu[group[first].cpu[i]];
		for (unsigned i = 0; i < PROCESSES; i++)
			same &= group[by].process[i] == group[second].process[group[first].process[i]];
		if (same)
			return by;
	}
}

static void check_group(void)
{
	struct search *s = make_search(12);

	for (unsigned i = 0; i < 20; i++) {
		uint64_t cells[CELLS];
		struct wide state;

		random_cells(cells);
		state = state_of(s, cells);
		for (unsigned first = 0; first < ORDER; first++) {
			for (unsigned second = 0; second < ORDER; second++) {
				struct wide one = image_of(s, first, &state), both = image_of(s, second, &one);
				struct wide wanted = image_of(s, product(first, second), &state);

				CHECK(same_state(&both, &wanted));
			}
		}
	}
}

/* --- the least image ------------------------------------------------------------------ */

static struct wide least_of(struct search *s, struct wide state, unsigned *by, unsigned *images)
{
	struct wide before = state, image;

	while (representative(&s->thread[0], &state, by, images))
		CHECK(widen(s) == 1);
	image = image_of(s, *by, &before);
	CHECK(same_state(&image, &state));
	return state;
}

static int is_not_less(const struct search *s, const struct wide *state, const struct wide *than)
{
	for (unsigned i = 0; i < s->symmetry->ordered; i++) {
		const struct component *c = &s->component[s->symmetry->order[i]];

		if (field_of(c, state) != field_of(c, than))
			return field_of(c, state) > field_of(c, than);
	}
	return 1;
}

/* It is the same one for all states of an orbit, and itself its own. */
static void check_orbit(struct search *s, const uint64_t *cells, unsigned size)
{
	struct wide state = state_of(s, cells);
	unsigned by, images;
	struct wide least = least_of(s, state, &by, &images), again;

	CHECK(images + 1 == size);
	again = least_of(s, least, &by, &images);
	CHECK(same_state(&again, &least) && by == 0 && images + 1 == size);
	for (unsigned i = 0; i < ORDER; i++) {
		struct wide found = least_of(s, state_moved(s, i, cells), &by, &images);

		CHECK(same_state(&found, &least) && images + 1 == size);
		found = state_moved(s, i, cells);
		CHECK(is_not_less(s, &found, &least));
	}
}

static void check_least(void)
{
	struct search *s = make_search(12);

	for (unsigned i = 0; i < STATES; i++) {
		uint64_t cells[CELLS];

		random_cells(cells);
		/* Some with stabilizers, too. */
		if (i % 3)
			memset(&cells[MEMORY], 0, CPUS * PART_CELLS * sizeof(*cells));
		if (i % 3 == 2) {
			uint64_t clock = cells[CLOCK], sets = cells[PAIRS];

			first_cells(cells);
			cells[CLOCK] = clock;
			cells[PAIRS] = sets;
		}
		check_orbit(s, cells, orbit(s, cells));
	}
}

struct one {
	uint64_t cell, value;
};

/* A state that differs from the first one in some cells. */
static void check_size(struct search *s, unsigned size, const struct one *ones)
{
	uint64_t cells[CELLS];

	first_cells(cells);
	for (; ones->cell; ones++)
		cells[ones->cell] |= ones->value;
	CHECK(orbit(s, cells) == size);
	check_orbit(s, cells, size);
}

#define SIZE(size, ...)	check_size(s, size, (const struct one[]){__VA_ARGS__, {0, 0}})

static void check_sizes(void)
{
	struct search *s = make_search(8);
	/* Of the agents on CPUs 0 and 1. */
	uint64_t first = s->agent[agent_on(0)].base, second = s->agent[agent_on(1)].base;

	SIZE(1, {0, 0});
	SIZE(1, {CLOCK, 5});
	SIZE(1, {ACTIVE, 15});
	SIZE(1, {PAIRS, 0x2a});
	SIZE(1, {CR3, 0x3005});
	SIZE(1, {RUNNING, 99}, {RUNNING + 1, 99}, {RUNNING + 2, 99});
	SIZE(1, {RUNNING, COUNT}, {RUNNING + 1, COUNT + 1}, {RUNNING + 2, COUNT + 2});
	SIZE(1, {USERS, 7}, {USERS + 1, 7});
	SIZE(2, {DIRTY + 1, 1});
	SIZE(2, {CR3, 0x1005});
	/* In a circle, one way or the other. */
	SIZE(2, {RUNNING, COUNT + 1}, {RUNNING + 1, COUNT + 2}, {RUNNING + 2, COUNT});
	SIZE(3, {COUNT + 1, 1});
	SIZE(3, {ACTIVE, 5});
	SIZE(3, {MARKS, INSIDE});
	SIZE(3, {RUNNING + 1, TURN});
	SIZE(3, {first + POINT, CALLER}, {first + TURN_LOCAL, 4});
	SIZE(3, {first + POINT, CALLER}, {first + PAIRS_LOCAL, 4});
	SIZE(4, {DIRTY, 1}, {RUNNING, COUNT + 1}, {RUNNING + 1, COUNT + 2}, {RUNNING + 2, COUNT});
	SIZE(6, {DIRTY, 1}, {COUNT, 1});
	SIZE(6, {COUNT, 1}, {COUNT + 2, 2});
	SIZE(6, {PAIRS, 0x18});
	/* A CPU and a process change places with others together. */
	SIZE(6, {USERS, 1}, {USERS + 1, 2});
	SIZE(6, {RUNNING, DIRTY}, {RUNNING + 1, DIRTY + 1});
	SIZE(6, {first + POINT, CALLER}, {first + TURN_LOCAL, 5});
	SIZE(6, {first + POINT, CALLER}, {first + POINTER_LOCAL, DIRTY + 1});
	SIZE(6, {first + POINT, CALLEE}, {first + PAIRS_LOCAL, 4});
	SIZE(6, {first + POINT, CALLEE}, {second + POINT, CALLER});
	SIZE(12, {first + POINT, CALLEE}, {first + PAIRS_LOCAL, 4}, {first + CR3_LOCAL, 0x2000});
	SIZE(12, {first + POINT, CALLEE}, {first + RETURN, CALLER}, {first + TURN_LOCAL, 2},
	    {first + POINTER_LOCAL, USERS});
	SIZE(12, {COUNT, 1}, {COUNT + 2, 2}, {DIRTY, 1});
}

/* The least ones, each with its images, are all states that there are. */
static void check_sum(void)
{
	static const uint64_t pointers[] = {0, DIRTY, DIRTY + 1};
	struct search *s = make_search(8);
	unsigned all = 0, sum = 0, kept = 0, fixed = 0;

	for (unsigned i = 0; i < 27 * 8 * 2; i++) {
		uint64_t cells[CELLS];
		struct wide state, least;
		unsigned by, images;

		first_cells(cells);
		cells[RUNNING] = pointers[i % 3];
		cells[RUNNING + 1] = pointers[i / 3 % 3];
		cells[RUNNING + 2] = pointers[i / 9 % 3];
		cells[ACTIVE] = i / 27 % 8;
		cells[CLOCK] = i / 27 / 8;
		state = state_of(s, cells);
		least = least_of(s, state, &by, &images);
		all++;
		kept += same_state(&state, &least);
		sum += same_state(&state, &least) ? images + 1 : 0;
		for (unsigned n = 0; n < ORDER; n++) {
			struct wide image = state_moved(s, n, cells);

			fixed += same_state(&image, &state);
		}
	}
	CHECK(sum == all);
	/* Burnside's lemma. */
	CHECK(kept * ORDER == fixed);
	CHECK(kept < all / 6);
}

/* --- sets of units and agents ----------------------------------------------------------- */

static void check_sets(void)
{
	struct search *s = make_search(4);
	unsigned units = model_invariants * CPUS;

	CHECK(s->units == units);
	for (unsigned by = 0; by < ORDER; by++) {
		for (uint64_t set = 0; set < (uint64_t)1 << units; set++) {
			uint64_t wanted = 0;

			for (unsigned i = 0; i < units; i++)
				wanted |= (set >> i & 1) << (i / CPUS * CPUS + group[by].cpu[i % CPUS]);
			CHECK(image_of_units(s, by, set) == wanted);
		}
		for (uint64_t after = 0; after < 1 << CPUS; after++) {
			uint64_t before = agents_before(s, by, after), moved = 0;

			for (unsigned i = 0; i < CPUS; i++)
				moved |= (before >> i & 1) << moved_agent(&group[by], i);
			CHECK(before < 1 << CPUS && moved == after);
		}
		CHECK(image_of_units(s, by, ~(uint64_t)0) == ~(uint64_t)0);
	}
	/* One bit stands for several then. */
	s->units = MOST_UNITS + 1;
	CHECK(image_of_units(s, 1, 1) == ~(uint64_t)0 && image_of_units(s, 0, 1) == 1);
}

/* --- tables by number --------------------------------------------------------------------- */

/* From no room at all on: what is known of images stays, and is right. */
static void check_growth(void)
{
	static uint64_t cells[40][CELLS];
	struct search *s = make_search(0);
	unsigned wider = 0;

	for (unsigned i = 0; i < 40; i++) {
		const struct permutation *p = &s->symmetry->permutation[i % (ORDER - 1)];
		unsigned by, images;
		struct wide state;

		random_cells(cells[i]);
		state = state_of(s, cells[i]);
		for (;;) {
			uint32_t known[COMPONENTS][1 << 10], count[COMPONENTS];
			struct wide before = state;

			s->pause = RUN;
			if (representative(&s->thread[0], &state, &by, &images) == 0)
				break;
			CHECK(s->pause == REPACK && same_state(&state, &before));
			for (unsigned n = 0; n < COMPONENTS; n++) {
				count[n] = s->component[n].count;
				CHECK(count[n] <= 1 << 10);
				if (!p->same[n])
					memcpy(known[n], p->image[n], count[n] * sizeof(uint32_t));
			}
			CHECK(widen(s) == 1);
			wider++;
			for (unsigned n = 0; n < COMPONENTS; n++) {
				unsigned room = 1 << s->component[n].field.width;

				if (p->same[n])
					continue;
				CHECK(1u << p->room[n] == room && count[n] <= room);
				CHECK(memcmp(known[n], p->image[n], count[n] * sizeof(uint32_t)) == 0);
				/* Of those to come nothing is known. */
				for (unsigned at = count[n]; at < room; at++)
					CHECK(p->image[n][at] == 0);
			}
		}
	}
	CHECK(wider > COMPONENTS);
	for (unsigned i = 0; i < 40; i++)
		check_orbit(s, cells[i], orbit(s, cells[i]));
}

/* What is no permutation of components is told. */
static void check_components(void)
{
	static const int pairs[][3][2] = {
		{{RUNNING, COUNT}, {RUNNING + 1, COUNT + 1}, {RUNNING + 2, COUNT + 2}},
		{{RUNNING, COUNT + 1}, {RUNNING + 1, COUNT}, {RUNNING + 2, COUNT + 2}},
		{{RUNNING, COUNT}, {RUNNING + 1, COUNT + 1}, {TURN, ACTIVE}},
		{{RUNNING, CLOCK}, {RUNNING + 1, COUNT + 1}, {RUNNING + 2, COUNT + 2}}
	};
	static const int odd[] = {RUNNING, COUNT, CLOCK};
	struct search *s;

	for (unsigned i = 0; i < 4; i++) {
		s = add_search();
		for (unsigned n = 0; n < 3; n++)
			add_component(s, pairs[i][n], 2, 4);
		add_agents(s, 4);
		CHECK(search_open(s) == (i == 0 ? 0 : -1));
	}
	s = add_search();
	add_component(s, odd, 3, 4);
	for (unsigned n = 1; n < 3; n++)
		add_component(s, pairs[0][n], 2, 4);
	add_agents(s, 4);
	CHECK(search_open(s) == -1);
	/* Those that never differ are not compared, and those that move come first. */
	s = make_search(4);
	CHECK(s->symmetry->ordered == COMPONENTS - 1);
	for (unsigned i = 0; i < COMPONENTS - 1; i++) {
		unsigned n = s->symmetry->order[i];

		CHECK(n != 0 && (i < 8) == (n < OF_ALL || n >= SHARED));
	}
}

/* --- whether the system behaves alike ----------------------------------------------------- */

static struct wide load_cells(struct search *s, const uint64_t *cells)
{
	struct wide state = state_of(s, cells);

	load_state(&s->thread[0], &state);
	return state;
}

/* In all states that there could be. */
static void check_steps_alike(void)
{
	struct search *s = make_search(12);

	strange = ALIKE;
	for (unsigned i = 0; i < STATES; i++) {
		uint64_t cells[CELLS];
		struct wide state;

		random_cells(cells);
		state = state_of(s, cells);
		for (unsigned agent = 0; agent < CPUS; agent++) {
			uint64_t touched = 0;

			CHECK(step_is_alike(&s->thread[0], &state, agent, &touched));
		}
	}
	CHECK(!s->symmetry->told && s->stopped == NOT_STOPPED);
}

/* What a step in an image touches is added where it comes from. */
static void check_touched(void)
{
	struct search *s = make_search(8);
	struct wide state = {{0}};
	uint64_t touched = (uint64_t)1 << 60, all = 0;

	strange = ALIKE;
	CHECK(step_is_alike(&s->thread[0], &state, agent_on(0), &touched));
	CHECK(touched == ((uint64_t)1 << OF_CPU | (uint64_t)1 << 60));
	/* What is passed before a choice turns out to be none does not count. */
	strange = PASSES_IN_VAIN;
	CHECK(step_is_alike(&s->thread[0], &state, agent_on(0), &touched));
	strange = NOSY;
	CHECK(step_is_alike(&s->thread[0], &state, agent_on(0), &touched));
	for (unsigned i = 0; i < CPUS; i++)
		all |= (uint64_t)1 << (OF_CPU + i);
	CHECK(touched == (all | (uint64_t)1 << OF_SETS | (uint64_t)1 << 60));
}

/* The first permutation that takes CPU 0 to one of some CPUs. */
static unsigned first_to(unsigned cpus)
{
	unsigned by = 1;

	while (!(cpus >> group[by].cpu[0] & 1))
		by++;
	return by;
}

static void check_told(const struct search *s, unsigned by, uint64_t point, int invariant)
{
	const struct symmetry *y = s->symmetry;

	CHECK(s->stopped == STOPPED_APART && s->pause & STOP);
	CHECK(y->told && y->told_by == by);
	CHECK(y->told_point == point && y->told_invariant == invariant);
}

static void forget_told(struct search *s)
{
	s->symmetry->told = 0;
	s->stopped = NOT_STOPPED;
	s->pause = RUN;
}

static void check_strange_step(struct search *s, enum strange how, uint64_t point, unsigned by)
{
	uint64_t cells[CELLS], touched = 0, *part = &cells[s->agent[agent_on(0)].base];
	struct wide state;

	first_cells(cells);
	part[POINT] = point;
	part[POINTER_LOCAL] = DIRTY;
	part[RETURN] = point == CALLEE ? CALLER : BEGIN;
	state = state_of(s, cells);
	strange = ALIKE;
	CHECK(step_is_alike(&s->thread[0], &state, agent_on(0), &touched) && !s->symmetry->told);
	strange = how;
	CHECK(!step_is_alike(&s->thread[0], &state, agent_on(0), &touched));
	check_told(s, by, point, -1);
	forget_told(s);
}

static void check_strange_steps(void)
{
	struct search *s = make_search(8);
	unsigned to_1 = first_to(2), to_other = first_to(6);

	check_strange_step(s, TELLS_PROCESSES, BEGIN, 1);
	check_strange_step(s, WRITES_MORE, BEGIN, to_other);
	check_strange_step(s, NUMBERS, BEGIN, to_other);
	check_strange_step(s, NUMBERS_A_LOCAL, BEGIN, to_other);
	check_strange_step(s, DOES_ONE_TWICE, BEGIN, to_other);
	check_strange_step(s, FAILS, BEGIN, to_1);
	check_strange_step(s, FAILS_TOO, BEGIN, to_1);
	check_strange_step(s, WAITS, BEGIN, to_1);
	check_strange_step(s, HAS_NO_MEANING, BEGIN, to_1);
	check_strange_step(s, HAS_NO_MEANING_TOO, BEGIN, to_1);
	check_strange_step(s, CHOOSES_MORE, BEGIN, to_1);
	check_strange_step(s, PASSES, BEGIN, to_1);
	check_strange_step(s, WRITES_MORE, CALLEE, to_1);
}

/* The first one who tells is the one that counts. */
static void check_told_once(void)
{
	struct search *s = make_search(4);

	told_apart(s, 3, CALLEE, -1);
	told_apart(s, 0, 0, 1);
	check_told(s, 3, CALLEE, -1);
}

/* Ask a unit of a state, as judge_unit() does. */
static struct unit *asked_unit(struct search *s, unsigned unit, const uint64_t *cells)
{
	struct thread *t = &s->thread[0];
	uint64_t inside;

	load_cells(s, cells);
	(void)ask_machine(s, &t->machine, &s->unit[unit], &inside);
	t->dirty = ~(uint64_t)0;
	return &s->unit[unit];
}

/* What it reads in all images, where that comes from, by cell. */
static void read_in_images(struct search *s, unsigned unit, const uint64_t *cells, char *wanted)
{
	const uint64_t *read = s->thread[0].machine.read;

	memset(wanted, 0, MEMORY);
	for (unsigned by = 0; by < ORDER; by++) {
		uint64_t image[CELLS];

		moved_cells(&group[by], cells, image);
		asked_unit(s, unit / CPUS * CPUS + group[by].cpu[unit % CPUS], image);
		for (unsigned i = 0; i < MEMORY; i++) {
			uint64_t to = moved_cell(&group[by], i);

			wanted[i] |= (char)(read[to / 64] >> to % 64 & 1);
		}
	}
}

static void check_units_alike(enum strange how)
{
	struct search *s = make_search(12);
	const uint64_t *read = s->thread[0].machine.read;

	strange = how;
	for (unsigned i = 0; i < STATES; i++) {
		uint64_t cells[CELLS];

		random_cells(cells);
		for (unsigned unit = 0; unit < s->units; unit++) {
			char wanted[MEMORY];

			read_in_images(s, unit, cells, wanted);
			CHECK(unit_is_alike(&s->thread[0], asked_unit(s, unit, cells)));
			for (unsigned n = 0; n < MEMORY; n++)
				CHECK((read[n / 64] >> n % 64 & 1) == (unsigned)wanted[n]);
		}
	}
	CHECK(!s->symmetry->told && s->stopped == NOT_STOPPED);
}

static void check_strange_unit(enum strange how, unsigned invariant, uint64_t inside, unsigned by)
{
	struct search *s = make_search(8);
	uint64_t cells[CELLS];

	/* The second invariant is asked about numbers of 1. */
	first_cells(cells);
	for (unsigned i = 0; i < CPUS; i++) {
		cells[COUNT + i] = 1;
		cells[MARKS + i] |= inside;
	}
	strange = ALIKE;
	CHECK(unit_is_alike(&s->thread[0], asked_unit(s, invariant * CPUS, cells)));
	strange = how;
	CHECK(!unit_is_alike(&s->thread[0], asked_unit(s, invariant * CPUS, cells)));
	check_told(s, by, 0, (int)invariant);
}

/* The images of a unit watch the images of what it has read. */
static void check_watched(void)
{
	struct search *s = make_search(8);
	struct thread *t = &s->thread[0];
	unsigned unit = CPUS;
	char wanted[2 * CPUS][MEMORY] = {{0}};

	t->machine.read[0] = (uint64_t)1 << RUNNING | (uint64_t)1 << (COUNT + 1) |
	    (uint64_t)1 << USERS | (uint64_t)1 << CLOCK;
	for (unsigned by = 1; by < ORDER; by++) {
		for (unsigned i = 0; i < MEMORY; i++)
			wanted[CPUS + group[by].cpu[0]][moved_cell(&group[by], i)] |=
			    (char)(t->machine.read[0] >> i & 1);
	}
	watch_images(t, &s->unit[unit]);
	for (unsigned i = 0; i < s->units; i++) {
		for (unsigned n = 0; n < MEMORY; n++) {
			CHECK((s->unit[i].reads[n / 64] >> n % 64 & 1) == (unsigned)wanted[i][n]);
			CHECK((s->watchers[n] >> i & 1) == (unsigned)wanted[i][n]);
		}
	}
}

/* Whoever is asked watches all that it reads, and so do its images.  Of a larger group there
 * are others that leave a cell and a CPU where they are, and may make up for it. */
static void check_judged(void)
{
	struct search *s = make_search(12);
	const struct places_of *groups[] = {&group[0], &group[first_to(2)]};
	uint64_t cells[CELLS];

	s->symmetry->permutation += first_to(2) - 1;
	s->symmetry->count = 1;
	strange = ALIKE;
	for (unsigned i = 0; i < STATES; i++) {
		unsigned unit = i % s->units;
		struct wide state;
		uint64_t read;

		for (unsigned n = 0; n < s->units; n++)
			s->unit[n].reads[0] = 0;
		random_cells(cells);
		asked_unit(s, unit, cells);
		read = s->thread[0].machine.read[0];
		state = state_of(s, cells);
		CHECK(judge_unit(&s->thread[0], unit, &state, 0, 0, 0) == 0);
		for (unsigned n = 0; n < 2 * MEMORY; n++) {
			const struct places_of *g = groups[n / MEMORY];
			unsigned of = unit / CPUS * CPUS + g->cpu[unit % CPUS];
			uint64_t cell = moved_cell(g, n % MEMORY);

			CHECK(!(read >> n % MEMORY & 1) || (s->unit[of].reads[0] >> cell & 1));
		}
	}
}

int main(void)
{
	make_group();
	check_values();
	check_images();
	check_frames_without_end();
	check_group();
	check_least();
	check_sizes();
	check_sum();
	check_sets();
	check_growth();
	check_components();
	check_steps_alike();
	check_touched();
	check_strange_steps();
	check_told_once();
	check_units_alike(ALIKE);
	check_units_alike(NOSY);
	check_strange_unit(PASSES, 0, 0, first_to(2));
	check_strange_unit(HAS_NO_MEANING, 0, 0, first_to(2));
	check_strange_unit(FAILS, 1, 0, first_to(2));
	check_strange_unit(FAILS, 1, INSIDE, first_to(2));
	check_strange_unit(WAITS, 1, INSIDE, first_to(2));
	check_watched();
	check_judged();
	printf("all is well\n");
	return 0;
}
