/*
 * A model of three CPUs with an agent each and two processes, where any of them may change
 * places.  What then becomes of cells is said a second time, by what they mean.
 */
#ifndef PMAPLAB_SYMMETRIC_MODEL_H
#define PMAPLAB_SYMMETRIC_MODEL_H

#define main worker_main
#include "runtime.c"
#undef main

#define CHECK(condition) do {							\
	if (!(condition)) {							\
		printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);		\
		exit(1);							\
	}									\
} while (0)

enum { CPUS = 3, PROCESSES = 2, ORDER = 12 };

/* The memory. */
enum {
	RUNNING = 1,			/* by CPU: a pointer */
	COUNT = RUNNING + CPUS,		/* by CPU: any number */
	DIRTY = COUNT + CPUS,		/* by process: any number */
	USERS = DIRTY + PROCESSES,	/* by process: a set of CPUs */
	TURN = USERS + PROCESSES,	/* a CPU, or 3 for none, below other bits */
	ACTIVE,				/* a set of CPUs, below other bits */
	PAIRS,				/* two bits for each CPU, below other bits */
	CR3,				/* the root of a process, above other bits */
	CLOCK,				/* any number */
	MARKS,				/* by CPU: its regions */
	UNUSED = MARKS + CPUS,		/* by CPU: nobody reads it */
	MEMORY = UNUSED + CPUS
};

/* An agent's part, and its points. */
enum { POINT, TURN_LOCAL, POINTER_LOCAL, RETURN, PAIRS_LOCAL, CR3_LOCAL, PART_CELLS };
enum { BEGIN, CALLER = DONE + 1, CALLEE, POINTS };
enum { CELLS = MEMORY + CPUS * PART_CELLS };

/* Regions: those that nobody enters stay with their CPU. */
enum { INSIDE = 1, BOOT = 1 << 9, LAST = 1 << 10 };
#define ROOT(process)	(((uint64_t)(process) + 1) << 12)

/* The value maps. */
enum { TURN_MAP = MAPS_DECLARED, SET_MAP, PAIRS_MAP, CR3_MAP, MARK_MAP, MAPS = MARK_MAP + CPUS };

/* Cells may lie in another order in the image of a component. */
static const int component_cells[][4] = {
	{CLOCK}, {RUNNING, COUNT}, {COUNT + 1, RUNNING + 1}, {RUNNING + 2, COUNT + 2},
	{USERS}, {USERS + 1}, {DIRTY, DIRTY + 1}, {TURN, PAIRS, ACTIVE}, {CR3},
	{MARKS, MARKS + 2, MARKS + 1}
};
enum { SHARED = 10, COMPONENTS = SHARED + CPUS };
enum { OF_CPU = 1, OF_ALL = 6, OF_SETS };

/* How CPUs and processes change places; the first one is the identity. */
struct places_of {
	unsigned cpu[CPUS], process[PROCESSES];
};
static struct places_of group[ORDER];

static void make_group(void)
{
	static const unsigned orders[][CPUS] = {
		{0, 1, 2}, {0, 2, 1}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}
	};

	for (unsigned i = 0; i < ORDER; i++) {
		memcpy(group[i].cpu, orders[i / 2], sizeof(group[i].cpu));
		group[i].process[0] = i % 2;
		group[i].process[1] = 1 - i % 2;
	}
}

/* --- the model ----------------------------------------------------------------------- */

const unsigned model_labels = 3, model_invariants = 2, model_cpus = CPUS;
const uint64_t model_regions = MARKS, model_exempt[] = {0, INSIDE};
const long model_longest_step = 100;

/* In which way it tells objects apart. */
static enum strange {
	ALIKE, NOSY, WRITES_MORE, FAILS, FAILS_TOO, WAITS, HAS_NO_MEANING,
	HAS_NO_MEANING_TOO, CHOOSES_MORE, PASSES, PASSES_IN_VAIN, DOES_ONE_TWICE, NUMBERS,
	NUMBERS_A_LOCAL, TELLS_PROCESSES
} strange;

static unsigned cpu_of(unsigned agent)
{
	return (agent + 1) % CPUS;
}

static unsigned agent_on(unsigned cpu)
{
	return (cpu + CPUS - 1) % CPUS;
}

static int is_process(uint64_t pointer)
{
	return pointer >= DIRTY && pointer < DIRTY + PROCESSES;
}

static enum ending begin_step(struct machine *m, uint64_t b, uint64_t c)
{
	int other = c == 1;
	uint64_t choices = PROCESSES + (strange == HAS_NO_MEANING_TOO || strange == PASSES_IN_VAIN ||
	    (other && (strange == CHOOSES_MORE || strange == FAILS_TOO)));
	uint64_t process = choose_unsigned(m, 0, 0, choices - 1), count = load(m, 0, COUNT + c) + 1;

	if (strange == NOSY && c != 0)
		(void)load(m, 0, c == 1 ? TURN : COUNT);
	if (other && (strange == FAILS || (strange == FAILS_TOO && process == PROCESSES)))
		failed(m, 0);
	if (other && (strange == WAITS || strange == HAS_NO_MEANING))
		leave(m, 0, strange == WAITS ? DISABLED : NO_MEANING);
	if (strange == PASSES_IN_VAIN && process == PROCESSES) {
		if (other)
			passed(m, 2);
		leave(m, 0, DISABLED);
	}
	if (strange == HAS_NO_MEANING_TOO && process == PROCESSES)
		leave(m, 0, other ? NO_MEANING : DISABLED);
	if (other && strange == PASSES)
		passed(m, 2);
	if (strange == WRITES_MORE)
		count += c == 0;
	if (strange == NUMBERS)
		count = c;
	if (strange == TELLS_PROCESSES)
		count += process;
	if (strange == DOES_ONE_TWICE) {
		uint64_t third = choose_unsigned(m, 0, 0, 2);

		count += c == 0 ? third / 2 : (third + 1) / 2;
	}
	store(m, 0, COUNT + c, count);
	store(m, 0, RUNNING + c, DIRTY + process % PROCESSES);
	m->s[b + TURN_LOCAL] = c;
	m->s[b + POINTER_LOCAL] = DIRTY + process % PROCESSES;
	m->s[b + POINT] = CALLER;
	if (strange == NUMBERS_A_LOCAL)
		m->s[b + PAIRS_LOCAL] = c;
	passed(m, 0);
	return TAKEN;
}

enum ending model_step(struct machine *m, uint64_t b, uint64_t c)
{
	uint64_t pointer = m->s[b + POINTER_LOCAL];

	if (m->s[b + POINT] == BEGIN)
		return begin_step(m, b, c);
	if (m->s[b + POINT] == CALLER) {
		if (!is_process(pointer))
			failed(m, 0);
		store(m, 0, pointer, load(m, 0, pointer) + 1);
		store(m, 0, ACTIVE, load(m, 0, ACTIVE) | 1u << m->s[b + TURN_LOCAL] % 4);
		m->s[b + PAIRS_LOCAL] = (uint64_t)2 << 2 * c;
		m->s[b + CR3_LOCAL] = ROOT(pointer - DIRTY) | 5;
		m->s[b + RETURN] = CALLER;
		m->s[b + POINT] = CALLEE;
		return TAKEN;
	}
	if (load(m, 0, TURN) % 4 == c)
		leave(m, 0, DISABLED);
	passed(m, 1);
	store(m, 0, TURN, c);
	store(m, 0, PAIRS, load(m, 0, PAIRS) ^ m->s[b + PAIRS_LOCAL]);
	store(m, 0, CR3, m->s[b + CR3_LOCAL]);
	m->s[b + POINT] = strange == WRITES_MORE && c == 1 ? BEGIN : m->s[b + RETURN];
	/* Nobody reads them any more. */
	m->s[b + RETURN] = m->s[b + PAIRS_LOCAL] = m->s[b + CR3_LOCAL] = 0;
	return TAKEN;
}

void model_check(struct machine *m, unsigned invariant, uint64_t c)
{
	if (invariant == 0) {
		uint64_t pointer = load(m, 0, RUNNING + c);

		if (strange == NOSY && c != 0)
			(void)load(m, 0, c == 1 ? TURN : COUNT);
		if (strange == PASSES && c == 1)
			passed(m, 2);
		if (strange == HAS_NO_MEANING && c == 1)
			leave(m, 0, NO_MEANING);
		if (is_process(pointer) && load(m, 0, pointer + USERS - DIRTY) >> c & 1)
			failed(m, 0);
		return;
	}
	if (load(m, 0, COUNT + c) > (strange == FAILS && c == 1) || strange == WAITS)
		failed(m, 0);
}

uint64_t model_active(struct machine *m, uint64_t c, uint64_t inside)
{
	(void)m;
	return strange == WAITS && c == 1 ? 0 : inside;
}

/* --- images by what cells mean -------------------------------------------------------- */

static uint64_t moved_cell(const struct places_of *g, uint64_t cell)
{
	static const uint64_t by_cpu[] = {RUNNING, COUNT, MARKS, UNUSED};
	static const uint64_t by_process[] = {DIRTY, USERS};

	for (unsigned i = 0; i < 4; i++) {
		if (cell >= by_cpu[i] && cell < by_cpu[i] + CPUS)
			return by_cpu[i] + g->cpu[cell - by_cpu[i]];
	}
	for (unsigned i = 0; i < 2; i++) {
		if (cell >= by_process[i] && cell < by_process[i] + PROCESSES)
			return by_process[i] + g->process[cell - by_process[i]];
	}
	return cell;
}

static uint64_t moved_pointer(const struct places_of *g, uint64_t value)
{
	return value < MEMORY ? moved_cell(g, value) : value;
}

static uint64_t moved_turn(const struct places_of *g, uint64_t value)
{
	return value % 4 == 3 ? value : value / 4 * 4 + g->cpu[value % 4];
}

static uint64_t moved_set(const struct places_of *g, uint64_t value, unsigned bits)
{
	uint64_t result = value >> CPUS * bits << CPUS * bits;

	for (unsigned i = 0; i < CPUS; i++)
		result |= (value >> i * bits & low_bits(bits)) << g->cpu[i] * bits;
	return result;
}

static uint64_t moved_cr3(const struct places_of *g, uint64_t value)
{
	for (unsigned i = 0; i < PROCESSES; i++) {
		if (value >> 12 == i + 1)
			return ROOT(g->process[i]) | value % 4096;
	}
	return value;
}

static uint64_t first_mark(unsigned cpu)
{
	return cpu == 0 ? BOOT : cpu == 2 ? LAST : 0;
}

static void moved_part(const struct places_of *g, const uint64_t *part, uint64_t *image)
{
	memcpy(image, part, PART_CELLS * sizeof(*image));
	if (part[POINT] == CALLEE) {
		image[PAIRS_LOCAL] = moved_set(g, part[PAIRS_LOCAL], 2);
		image[CR3_LOCAL] = moved_cr3(g, part[CR3_LOCAL]);
	}
	if (part[POINT] == CALLER || (part[POINT] == CALLEE && part[RETURN] == CALLER)) {
		image[TURN_LOCAL] = moved_turn(g, part[TURN_LOCAL]);
		image[POINTER_LOCAL] = moved_pointer(g, part[POINTER_LOCAL]);
	}
}

static unsigned moved_agent(const struct places_of *g, unsigned agent)
{
	return agent_on(g->cpu[cpu_of(agent)]);
}

static void moved_cells(const struct places_of *g, const uint64_t *cells, uint64_t *image)
{
	memcpy(image, cells, CELLS * sizeof(*image));
	for (unsigned i = 0; i < CPUS; i++) {
		unsigned to = g->cpu[i];

		image[RUNNING + to] = moved_pointer(g, cells[RUNNING + i]);
		image[COUNT + to] = cells[COUNT + i];
		image[MARKS + to] = (cells[MARKS + i] & INSIDE) | first_mark(to);
	}
	for (unsigned i = 0; i < PROCESSES; i++) {
		image[DIRTY + g->process[i]] = cells[DIRTY + i];
		image[USERS + g->process[i]] = moved_set(g, cells[USERS + i], 1);
	}
	image[TURN] = moved_turn(g, cells[TURN]);
	image[ACTIVE] = moved_set(g, cells[ACTIVE], 1);
	image[PAIRS] = moved_set(g, cells[PAIRS], 2);
	image[CR3] = moved_cr3(g, cells[CR3]);
	for (unsigned i = 0; i < CPUS; i++)
		moved_part(g, &cells[MEMORY + i * PART_CELLS],
		    &image[MEMORY + moved_agent(g, i) * PART_CELLS]);
}

/* --- a search of it ------------------------------------------------------------------- */

static uint64_t *copied(const uint64_t *values, uint64_t count)
{
	uint64_t *all = calloc(count + 1, sizeof(*all));

	CHECK(all != NULL);
	return values == NULL ? all : memcpy(all, values, count * sizeof(*all));
}

static struct value_map table(uint64_t word, uint64_t count)
{
	return (struct value_map){0, count, word, copied(NULL, count), copied(NULL, count)};
}

static struct value_map turned(uint64_t word, uint64_t count)
{
	return (struct value_map){1, count, word, NULL, copied(NULL, count)};
}

static void make_permutation(const struct places_of *g, struct permutation *p)
{
	struct value_map *map = calloc(MAPS - MAPS_DECLARED, sizeof(*map));

	CHECK(map != NULL);
	p->cell = copied(NULL, MEMORY);
	p->agent = copied(NULL, CPUS);
	p->cpu = copied(NULL, CPUS);
	p->map = map;
	for (unsigned i = 0; i < MEMORY; i++)
		p->cell[i] = moved_cell(g, i);
	map[TURN_MAP - MAPS_DECLARED] = table(3, CPUS);
	map[SET_MAP - MAPS_DECLARED] = turned(0, CPUS);
	map[PAIRS_MAP - MAPS_DECLARED] = turned(0, 2 * CPUS);
	map[CR3_MAP - MAPS_DECLARED] = table(~(uint64_t)4095, PROCESSES);
	for (unsigned i = 0; i < CPUS; i++) {
		p->agent[i] = moved_agent(g, i);
		p->cpu[i] = g->cpu[i];
		map[TURN_MAP - MAPS_DECLARED].from[i] = i;
		map[TURN_MAP - MAPS_DECLARED].to[i] = g->cpu[i];
		map[SET_MAP - MAPS_DECLARED].to[i] = g->cpu[i];
		map[PAIRS_MAP - MAPS_DECLARED].to[2 * i] = 2 * g->cpu[i];
		map[PAIRS_MAP - MAPS_DECLARED].to[2 * i + 1] = 2 * g->cpu[i] + 1;
		map[MARK_MAP - MAPS_DECLARED + i] = turned(first_mark(i) ^ first_mark(g->cpu[i]), 0);
	}
	for (unsigned i = 0; i < PROCESSES; i++) {
		map[CR3_MAP - MAPS_DECLARED].from[i] = ROOT(i);
		map[CR3_MAP - MAPS_DECLARED].to[i] = ROOT(g->process[i]);
	}
}

static struct symmetry *make_symmetry(void)
{
	static const uint64_t caller_slots[] = {TURN_LOCAL, POINTER_LOCAL};
	static const uint64_t caller_maps[] = {TURN_MAP, MAP_POINTER};
	static const uint64_t callee_slots[] = {PAIRS_LOCAL, CR3_LOCAL};
	static const uint64_t callee_maps[] = {PAIRS_MAP, CR3_MAP};
	struct symmetry *y = calloc(1, sizeof(*y));

	CHECK(y != NULL);
	y->count = ORDER - 1;
	y->maps = MAPS - MAPS_DECLARED;
	y->points = POINTS;
	y->permutation = calloc(y->count, sizeof(*y->permutation));
	y->point = calloc(y->points, sizeof(*y->point));
	CHECK(y->permutation != NULL && y->point != NULL);
	y->point[CALLER] = (struct point){0, 2, copied(caller_slots, 2), copied(caller_maps, 2)};
	y->point[CALLEE] = (struct point){RETURN, 2, copied(callee_slots, 2), copied(callee_maps, 2)};
	y->map_of = copied(NULL, MEMORY);
	y->map_of[0] = MAP_STAYS;
	for (unsigned i = 0; i < CPUS; i++) {
		y->map_of[RUNNING + i] = MAP_POINTER;
		y->map_of[MARKS + i] = MARK_MAP + i;
		y->map_of[UNUSED + i] = MAP_STAYS;
	}
	for (unsigned i = 0; i < PROCESSES; i++)
		y->map_of[USERS + i] = SET_MAP;
	y->map_of[TURN] = TURN_MAP;
	y->map_of[ACTIVE] = SET_MAP;
	y->map_of[PAIRS] = PAIRS_MAP;
	y->map_of[CR3] = CR3_MAP;
	for (unsigned i = 0; i < y->count; i++)
		make_permutation(&group[i + 1], &y->permutation[i]);
	return y;
}

/* In the first state all are alike. */
static void first_cells(uint64_t *cells)
{
	memset(cells, 0, CELLS * sizeof(*cells));
	cells[TURN] = 3;
	for (unsigned i = 0; i < CPUS; i++) {
		cells[MARKS + i] = first_mark(i);
		cells[UNUSED + i] = 70 + i;
	}
}

static void add_component(struct search *s, const int *cells, unsigned count, unsigned width)
{
	struct component *c = &s->component[s->components];
	uint64_t row[PART_CELLS];
	uint32_t number;

	CHECK(component_open(c, count, width) == 0);
	for (unsigned i = 0; i < count; i++) {
		c->cell[i] = (uint32_t)cells[i];
		s->component_of[cells[i]] = (uint8_t)s->components;
	}
	c->field.lane = s->components / 4;
	c->field.shift = 12 * (s->components % 4);
	s->components++;
	component_gather(c, s->start, row);
	CHECK(component_number(c, row, &number) == 0 && number == 0);
}

/* What searches have goes with the process. */
struct search *searches[32];

static struct search *add_search(void)
{
	static unsigned count;
	struct search *s = calloc(1, sizeof(*s));

	CHECK(s != NULL && count < 32);
	searches[count++] = s;
	s->memory = MEMORY;
	s->cells = CELLS;
	s->threads = 1;
	s->start = copied(NULL, CELLS);
	first_cells(s->start);
	s->component_of = malloc(CELLS);
	CHECK(s->component_of != NULL);
	memset(s->component_of, CONSTANT_COMPONENT, CELLS);
	s->agents = CPUS;
	s->symmetry = make_symmetry();
	return s;
}

static void add_agents(struct search *s, unsigned width)
{
	for (unsigned i = 0; i < CPUS; i++) {
		int cells[PART_CELLS];

		for (unsigned n = 0; n < PART_CELLS; n++)
			cells[n] = (int)(MEMORY + i * PART_CELLS + n);
		s->agent[i] = (struct agent){.base = MEMORY + i * PART_CELLS, .cpu = cpu_of(i),
		    .component = s->components, .works = 1};
		add_component(s, cells, PART_CELLS, width);
	}
}

/* Fields of some width: contents beyond it have no room yet. */
static struct search *make_search(unsigned width)
{
	struct search *s = add_search();

	for (unsigned i = 0; i < SHARED; i++) {
		unsigned cells = 0;

		while (cells < 4 && component_cells[i][cells])
			cells++;
		add_component(s, component_cells[i], cells, width);
	}
	add_agents(s, width);
	CHECK(search_open(s) == 0);
	return s;
}

/* Room for what somebody has asked for. */
static unsigned widen(struct search *s)
{
	unsigned wider = 0;

	for (unsigned i = 0; i < s->components; i++) {
		struct component *c = &s->component[i];

		if (c->wanted <= c->field.width)
			continue;
		CHECK(component_widen(c, c->wanted) == 0);
		wider++;
	}
	CHECK(symmetry_fit(s) == 0);
	return wider;
}

static struct wide state_of(struct search *s, const uint64_t *cells)
{
	struct wide state = {{0}};

	for (unsigned i = 0; i < s->components; i++) {
		struct component *c = &s->component[i];
		uint64_t row[PART_CELLS];
		uint32_t number;

		component_gather(c, cells, row);
		while (component_number(c, row, &number))
			CHECK(widen(s) == 1);
		field_xor(c, &state, number);
	}
	return state;
}

static struct wide state_moved(struct search *s, unsigned by, const uint64_t *cells)
{
	uint64_t image[CELLS];

	moved_cells(&group[by], cells, image);
	return state_of(s, image);
}

static uint64_t below(uint64_t count)
{
	static uint64_t seed = 1;

	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % count;
}

static void random_cells(uint64_t *cells)
{
	static const uint64_t pointers[] = {0, DIRTY, DIRTY + 1, USERS, COUNT, COUNT + 1, COUNT + 2,
	    TURN, UNUSED + 1, MEMORY, MEMORY + 5};

	first_cells(cells);
	cells[CLOCK] = below(4);
	for (unsigned i = 0; i < CPUS; i++) {
		uint64_t *part = &cells[MEMORY + i * PART_CELLS];

		cells[RUNNING + i] = pointers[below(11)];
		cells[COUNT + i] = below(3);
		cells[MARKS + i] |= below(2);
		part[POINT] = below(POINTS);
		part[TURN_LOCAL] = below(8);
		part[POINTER_LOCAL] = pointers[below(11)];
		part[RETURN] = below(POINTS);
		part[PAIRS_LOCAL] = below(256);
		part[CR3_LOCAL] = ROOT(below(3)) | below(2);
	}
	for (unsigned i = 0; i < PROCESSES; i++) {
		cells[DIRTY + i] = below(3);
		cells[USERS + i] = below(16);
	}
	cells[TURN] = below(8);
	cells[ACTIVE] = below(16);
	cells[PAIRS] = below(256);
	cells[CR3] = below(4) << 12 | below(2);
}

#endif
