/*
 * The worker: reads what to search from standard input, and writes one line of
 * JSON now and then, the last one with the result.  native/protocol.py is the
 * other side.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "search.h"

static _Noreturn void die(const char *why)
{
	fprintf(stderr, "%s\n", why);
	exit(3);
}

static uint64_t number(void)
{
	uint64_t value;

	if (scanf("%" SCNu64, &value) != 1)
		die("the input is not what it should be");
	return value;
}

static void keyword(const char *wanted)
{
	char word_read[32];

	if (scanf("%31s", word_read) != 1 || strcmp(word_read, wanted) != 0)
		die("the input is not what it should be");
}

static void *need(void *memory)
{
	if (memory == NULL)
		die("there is not enough memory");
	return memory;
}

/* The first content of a component is what its cells hold in the first state. */
static void read_component(struct search *s, unsigned at)
{
	struct component *c = &s->component[at];
	unsigned cells = (unsigned)number();
	uint64_t *row = need(calloc(cells + 1, sizeof(*row)));
	uint32_t first;

	if (component_open(c, cells, 0))
		die("there is not enough memory");
	for (unsigned i = 0; i < cells; i++) {
		c->cell[i] = (uint32_t)number();
		if (c->cell[i] >= s->cells)
			die("a component has a cell that does not exist");
		s->component_of[c->cell[i]] = (uint8_t)at;
	}
	component_gather(c, s->start, row);
	if (component_number(c, row, &first) || first != 0)
		die("a component has no first content");
	free(row);
}

static uint64_t *numbers(uint64_t count)
{
	uint64_t *all = need(calloc(count + 1, sizeof(*all)));

	for (uint64_t i = 0; i < count; i++)
		all[i] = number();
	return all;
}

static void read_reduction(struct search *s)
{
	struct reduction *r;
	uint64_t most;

	keyword("reduction");
	most = number();
	if (most == 0)
		return;
	s->reduction = r = need(calloc(1, sizeof(*r)));
	r->most = most;
	r->used = number();
	r->regions = (unsigned)number();
	r->touch = numbers(s->memory);
	r->write = numbers(s->memory);
	r->seen = numbers(s->memory);
	r->guard = numbers(s->agents);
	r->always = numbers(model_invariants * model_cpus);
	r->asks = numbers(model_invariants * model_cpus * model_cpus);
	r->leavers = numbers(model_cpus * r->regions);
	r->enterers = numbers(model_cpus * r->regions);
}

static uint32_t *numbers_below(uint64_t count, uint64_t most)
{
	uint32_t *all = need(calloc(count + 1, sizeof(*all)));

	for (uint64_t i = 0; i < count; i++) {
		uint64_t value = number();

		if (value >= most)
			die("a rule has a number that does not exist");
		all[i] = (uint32_t)value;
	}
	return all;
}

/* What there is by cell: numbers below `most`. */
static void read_by_cell(struct search *s, struct by_cell *by, uint32_t most)
{
	uint64_t total = number();

	by->first = numbers_below(s->memory + 1, total + 1);
	by->at = numbers_below(total, most);
}

static void read_ownership(struct search *s)
{
	struct ownership *o;
	uint32_t rules, atoms;

	keyword("ownership");
	rules = (uint32_t)number();
	if (rules == 0)
		return;
	s->ownership = o = need(calloc(1, sizeof(*o)));
	o->rules = rules;
	o->names = (uint32_t)number();
	atoms = (uint32_t)number();
	o->rule = need(calloc(rules, sizeof(*o->rule)));
	o->atom = need(calloc(atoms + 1, sizeof(*o->atom)));
	o->wrong = need(calloc(o->names + 1, sizeof(*o->wrong)));
	for (uint32_t i = 0, next = 0; i < rules; i++) {
		struct rule *r = &o->rule[i];

		r->name = number();
		r->shared = number();
		r->keepers = number();
		r->enders = number();
		r->changers = number();
		r->concerned = number();
		r->cell = number();
		r->first_atom = next;
		r->atoms = (uint32_t)number();
		if (r->name >= o->names || r->atoms > atoms - next)
			die("a rule is not what it should be");
		next += r->atoms;
		for (uint32_t n = 0; n < r->atoms; n++) {
			struct atom *a = &o->atom[r->first_atom + n];

			a->cell = number();
			a->mask = number();
			a->value = number();
			a->equal = number();
			a->writers = number();
			a->rule = i;
			if (a->cell >= s->memory)
				die("a rule asks for a cell that does not exist");
		}
	}
	read_by_cell(s, &o->rules_of, rules);
	read_by_cell(s, &o->atoms_of, atoms);
}

static void read_value_map(struct value_map *v)
{
	v->bits = (int)number();
	v->count = number();
	v->word = number();
	v->from = numbers(v->bits ? 0 : v->count);
	v->to = numbers(v->count);
}

/* Where cells, agents or CPUs go: all of them, each to a place of its own. */
static uint64_t *places(uint64_t count)
{
	uint64_t *all = numbers(count);
	char *taken = need(calloc(count + 1, 1));

	for (uint64_t i = 0; i < count; i++) {
		if (all[i] >= count || taken[all[i]]++)
			die("a permutation is not one to one");
	}
	free(taken);
	return all;
}

static void read_symmetry(struct search *s)
{
	struct symmetry *y;
	unsigned count;

	keyword("symmetry");
	count = (unsigned)number();
	if (count == 0)
		return;
	s->symmetry = y = need(calloc(1, sizeof(*y)));
	y->count = count;
	y->permutation = need(calloc(count, sizeof(*y->permutation)));
	y->maps = (unsigned)number();
	y->map_of = numbers(s->memory);
	y->points = (unsigned)number();
	y->point = need(calloc(y->points + 1, sizeof(*y->point)));
	for (unsigned i = 0; i < y->points; i++) {
		struct point *point = &y->point[i];

		point->return_address = number();
		point->count = number();
		point->slot = numbers(point->count);
		point->map = numbers(point->count);
	}
	for (unsigned i = 0; i < count; i++) {
		struct permutation *p = &y->permutation[i];

		p->cell = places(s->memory);
		p->agent = places(s->agents);
		p->cpu = places(model_cpus);
		p->map = need(calloc(y->maps + 1, sizeof(*p->map)));
		for (unsigned n = 0; n < y->maps; n++)
			read_value_map(&p->map[n]);
	}
}

static void read_projection(struct search *s)
{
	struct projection *p = &s->projection;
	uint64_t cells;

	keyword("projection");
	cells = number();
	p->wanted = cells != 0;
	p->salt = need(calloc(2 * s->cells + 1, sizeof(*p->salt)));
	while (cells--) {
		uint64_t cell = number();

		if (cell >= s->cells)
			die("a projection has a cell that does not exist");
		p->salt[2 * cell] = number();
		p->salt[2 * cell + 1] = number();
	}
}

static void read_input(struct search *s)
{
	keyword("limits");
	s->threads = (unsigned)number();
	s->most_states = number();
	s->most_seconds = (double)number() / 1000;
	s->most_memory = number();
	s->stop_at_first = (int)number();
	s->fingerprints = (int)number();
	s->lane_bits = (unsigned)number();
	if (s->lane_bits > LANE_BITS || s->lane_bits < FIRST_LANE_LESS)
		die("a lane has not so many bits");
	keyword("checkpoint");
	if (scanf("%95s", s->checkpoint) != 1)
		die("the input is not what it should be");
	if (strcmp(s->checkpoint, "-") == 0)
		s->checkpoint[0] = 0;
	s->checkpoint_seconds = (double)number() / 1000;
	keyword("start");
	s->memory = number();
	s->cells = number();
	s->start = need(calloc(s->cells + 1, sizeof(*s->start)));
	s->component_of = need(calloc(s->cells + 1, 1));
	memset(s->component_of, CONSTANT_COMPONENT, s->cells);
	for (uint64_t i = 0; i < s->cells; i++)
		s->start[i] = number();
	keyword("components");
	s->components = (unsigned)number();
	if (s->components > MOST_COMPONENTS || s->threads == 0 || s->threads > MOST_THREADS)
		die("there are too many components, or no threads");
	for (unsigned i = 0; i < s->components; i++)
		read_component(s, i);
	keyword("agents");
	s->agents = (unsigned)number();
	if (s->agents > MOST_AGENTS)
		die("there are too many agents");
	for (unsigned i = 0; i < s->agents; i++) {
		s->agent[i].base = number();
		s->agent[i].cpu = number();
		s->agent[i].works = (int)number();
		s->agent[i].component = s->component_of[s->agent[i].base];
	}
	keyword("marks");
	s->marks.first = number();
	s->marks.must = number();
	s->marks.must_not = number();
	read_reduction(s);
	read_ownership(s);
	read_symmetry(s);
	read_projection(s);
	keyword("rest");
	s->rest.cells = number();
	s->rest.cell = need(calloc(s->rest.cells + 1, sizeof(*s->rest.cell)));
	s->rest.mask = need(calloc(s->rest.cells + 1, sizeof(*s->rest.mask)));
	for (uint64_t i = 0; i < s->rest.cells; i++) {
		s->rest.cell[i] = number();
		s->rest.mask[i] = number();
		if (s->rest.cell[i] >= s->memory)
			die("what is asked of states at rest is no cell of memory");
	}
	if (number()) {
		s->rest.wanted = need(calloc(s->rest.cells + 1, sizeof(*s->rest.wanted)));
		for (uint64_t i = 0; i < s->rest.cells; i++)
			s->rest.wanted[i] = number();
	}
	keyword("go");
}

/* --- the result --------------------------------------------------------------------- */

static void print_cells(const struct search *s, const uint64_t *cells)
{
	putchar('[');
	for (uint64_t i = 0; i < s->cells; i++)
		printf("%s%" PRIu64, i ? ", " : "", cells[i]);
	putchar(']');
}

static void print_path(const struct search *s, const struct path *path)
{
	uint64_t *cells = need(calloc(s->cells + 1, sizeof(*cells)));

	printf("{\"agent\": %u, \"states\": [", path->target->agent);
	for (uint64_t i = 0; i <= path->target->level; i++) {
		if (i)
			printf(", ");
		unpack(s, &path->state[i], cells);
		print_cells(s, cells);
	}
	printf("]}");
	free(cells);
}

static void print_bits(const char *name, const uint64_t *bits, unsigned count)
{
	const char *comma = "";

	printf("\"%s\": [", name);
	for (unsigned i = 0; i < count; i++) {
		if (bits[i / 64] >> i % 64 & 1) {
			printf("%s%u", comma, i);
			comma = ", ";
		}
	}
	printf("], ");
}

static void print_projected(const char *name, const struct projected *found)
{
	printf("\"%s\": [%" PRIu64 ", %" PRIu64 ", %" PRIu64 "], ", name, found->states,
	    found->low, found->high);
}

/* Which facts do not hold. */
static void print_wrong(const struct search *s)
{
	const char *comma = "";

	printf("\"wrong\": [");
	for (uint32_t i = 0; s->ownership != NULL && i < s->ownership->names; i++) {
		const struct wrong *wrong = &s->ownership->wrong[i];

		if (!wrong->found)
			continue;
		printf("%s[%" PRIu32 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 "]", comma, i,
		    wrong->point, wrong->agent, wrong->cell, wrong->how);
		comma = ", ";
	}
	printf("], ");
}

static void print_result(struct search *s)
{
	static const char *why[] = {"", "states", "time", "memory", "first", "error", "parent",
	    "wide", "signal", "found", "fact", "beyond", "apart"};
	unsigned count = 0;
	uint64_t passed = 0, images = 0;
	struct path *paths = need(calloc(model_invariants + 4, sizeof(*paths)));
	const char *comma = "";

	for (unsigned i = 0; i < s->threads; i++) {
		passed += s->thread[i].passed;
		images += s->thread[i].images;
	}
	for (unsigned i = 0; i < model_invariants; i++) {
		if (s->violation[i].found)
			paths[count++].target = &s->violation[i];
	}
	if (s->failure.found)
		paths[count++].target = &s->failure;
	if (s->stuck.found)
		paths[count++].target = &s->stuck;
	if (s->rest.wanted != NULL && !s->error) {
		if (rest_find(s))
			die("there is not enough memory");
		if (s->rest.target.found)
			paths[count++].target = &s->rest.target;
	}
	if (s->error) {
		paths[0].target = &s->error_at;
		count = 1;
	}
	if (count && s->torn != WHOLE)
		die("there is not enough memory for a counterexample");
	if (count && paths_find(s, paths, count))
		die("a counterexample was not found again");
	printf("{\"complete\": %s, \"stopped\": \"%s\", ", s->complete ? "true" : "false",
	    why[s->stopped]);
	printf("\"states\": %" PRIu64 ", \"transitions\": %" PRIu64 ", \"depth\": %" PRIu64 ", ",
	    s->states, s->transitions, s->depth);
	print_bits("labels", s->labels, model_labels);
	print_bits("exempt", &s->exempt, 64);
	printf("\"bytes\": %" PRIu64 ", \"components\": %u, \"repacks\": %" PRIu64 ", ",
	    memory_used(s), s->components, s->repacks);
	print_wrong(s);
	if (s->projection.wanted && s->complete) {
		if (project(s))
			die("there is not enough memory");
		print_projected("all", &s->projection.all);
		print_projected("at_rest", &s->projection.at_rest);
	}
	if (s->error) {
		printf("\"error\": {\"how\": %d, \"agent\": %d, \"invariant\": %d, \"path\": ",
		    s->error, s->error_agent, s->error_invariant);
		print_path(s, &paths[0]);
		printf("}, ");
		count = 0;
	}
	if (s->rest.cells && s->rest.wanted == NULL) {
		printf("\"rest\": [");
		if (rest_print(s))
			die("there is not enough memory");
		printf("], ");
	}
	if (s->symmetry != NULL && s->symmetry->told)
		printf("\"told\": {\"by\": %u, \"point\": %" PRIu64 ", \"invariant\": %d}, ",
		    s->symmetry->told_by, s->symmetry->told_point, s->symmetry->told_invariant);
	printf("\"images\": %" PRIu64 ", \"passed\": %" PRIu64 ", \"violations\": [", images, passed);
	for (unsigned p = 0; p < count; p++) {
		const struct target *target = paths[p].target;

		printf("%s{\"kind\": ", comma);
		comma = ", ";
		if (target == &s->failure)
			printf("\"failure\", ");
		else if (target == &s->stuck)
			printf("\"stuck\", ");
		else if (target == &s->rest.target)
			printf("\"rest\", ");
		else
			printf("%u, ", (unsigned)(target - s->violation));
		printf("\"path\": ");
		print_path(s, &paths[p]);
		putchar('}');
	}
	printf("]}\n");
	if (fflush(stdout))
		exit(3);
	for (unsigned p = 0; p < count; p++)
		free(paths[p].state);
	free(paths);
}

static void on_signal(int number_of_it)
{
	(void)number_of_it;
	interrupted = 1;
}

int main(void)
{
	/* All that it has goes with the process. */
	static struct search *s;

#ifdef __linux__
	/* Without its parent nobody reads what it finds. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
	/* The parent alone reacts to Ctrl-C. */
	signal(SIGINT, SIG_IGN);
	s = need(calloc(1, sizeof(*s)));
	read_input(s);
	/* With a checkpoint, what was done is kept. */
	if (s->checkpoint[0])
		signal(SIGTERM, on_signal);
	if (search_open(s))
		die("there is not enough memory");
	search_run(s);
	print_result(s);
	return 0;
}
