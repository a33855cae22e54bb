/* Symmetries: the images of states, and the least of them. */
#include "symmetry.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "search.h"

/* --- images ---------------------------------------------------------------------- */

static uint64_t value_image(const struct search *s, const struct permutation *p, uint64_t map,
    uint64_t value)
{
	const struct value_map *v;
	uint64_t seen, result;

	if (map == MAP_PLAIN)
		return value;
	if (map == MAP_POINTER)
		return value < s->memory ? p->cell[value] : value;
	v = &p->map[map - MAPS_DECLARED];
	if (v->bits) {
		value ^= v->word;
		result = v->count < 64 ? value >> v->count << v->count : 0;
		for (uint64_t i = 0; i < v->count; i++)
			result |= (value >> i & 1) << v->to[i];
		return result;
	}
	seen = value & v->word;
	for (uint64_t i = 0; i < v->count; i++) {
		if (v->from[i] == seen)
			return value ^ seen ^ v->to[i];
	}
	return value;
}

static void memory_image(const struct search *s, const struct permutation *p, const uint64_t *cells,
    uint64_t *image)
{
	memcpy(image, cells, s->memory * sizeof(*image));
	for (uint64_t i = 0; i < p->changes; i++) {
		uint64_t cell = p->changed[i];

		image[p->cell[cell]] = value_image(s, p, s->symmetry->map_of[cell], cells[cell]);
	}
}

/* Of what an agent has for itself. */
static void part_image(const struct search *s, const struct permutation *p, const uint64_t *part,
    uint64_t cells, uint64_t *image)
{
	const struct symmetry *y = s->symmetry;
	uint64_t at = part[0], steps = 0;

	memcpy(image, part, cells * sizeof(*image));
	/* A frame lies behind those of its callers. */
	while (at != 0 && at < y->points && steps++ < cells) {
		const struct point *point = &y->point[at];

		for (uint64_t i = 0; i < point->count; i++)
			image[point->slot[i]] = value_image(s, p, point->map[i], part[point->slot[i]]);
		at = point->return_address ? part[point->return_address] : 0;
	}
}

static uint64_t part_cells(const struct search *s, unsigned agent)
{
	return s->component[s->agent[agent].component].cells;
}

void row_image(const struct search *s, const struct permutation *p, const uint64_t *cells,
    unsigned agent, uint64_t *image)
{
	memory_image(s, p, cells, image);
	memcpy(&image[s->memory], &cells[s->memory], (s->cells - s->memory) * sizeof(*image));
	part_image(s, p, &cells[s->agent[agent].base], part_cells(s, agent),
	    &image[s->agent[p->agent[agent]].base]);
}

void changed_image(const struct search *s, const struct permutation *p,
    const uint64_t *before, const uint64_t *image, const uint64_t *cells, unsigned agent,
    uint64_t *changed)
{
	memcpy(changed, image, s->cells * sizeof(*changed));
	for (uint64_t cell = 0; cell < s->memory; cell++) {
		if (cells[cell] != before[cell])
			changed[p->cell[cell]] = value_image(s, p, s->symmetry->map_of[cell],
			    cells[cell]);
	}
	part_image(s, p, &cells[s->agent[agent].base], part_cells(s, agent),
	    &changed[s->agent[p->agent[agent]].base]);
}

/* The number of the image of a content; -1 when its field has no room. */
static int image_number(struct thread *t, struct permutation *p, unsigned component,
    uint32_t number, uint32_t *image)
{
	struct search *s = t->search;
	const struct component *c = &s->component[component];
	const uint64_t *row = &c->rows[(uint64_t)number * c->cells];
	uint32_t known;

	if (p->same[component]) {
		*image = number;
		return 0;
	}
	known = __atomic_load_n(&p->image[component][number], __ATOMIC_ACQUIRE);
	if (known) {
		*image = known - 1;
		return 0;
	}
	if (s->symmetry->agent_of[component] >= 0) {
		part_image(s, p, row, c->cells, t->row);
	} else {
		for (unsigned i = 0; i < c->cells; i++)
			t->row[p->place[component][i]] = value_image(s, p,
			    s->symmetry->map_of[c->cell[i]], row[i]);
	}
	if (component_number(&s->component[p->to[component]], t->row, image)) {
		request(s, REPACK);
		return -1;
	}
	__atomic_store_n(&p->image[component][number], *image + 1, __ATOMIC_RELEASE);
	return 0;
}

/* What a component holds in the image of a state; 0 stands for the identity. */
static int number_in_image(struct thread *t, unsigned by, unsigned component,
    const struct wide *state, uint32_t *number)
{
	struct search *s = t->search;
	struct permutation *p;
	unsigned from;

	if (by == 0) {
		*number = field_of(&s->component[component], state);
		return 0;
	}
	p = &s->symmetry->permutation[by - 1];
	from = p->from[component];
	return image_number(t, p, from, field_of(&s->component[from], state), number);
}

/* The numbers of contents stay what they are, wherever fields go, so that the least
 * image is always the same one. */
int representative(struct thread *t, struct wide *state, unsigned *by, unsigned *images)
{
	struct search *s = t->search;
	const struct symmetry *y = s->symmetry;
	struct wide result = *state;
	unsigned alike = 1;

	*by = 0;
	for (unsigned p = 1; p <= y->count; p++) {
		uint32_t ours = 0, least = 0;

		for (unsigned i = 0; i < y->ordered && ours == least; i++) {
			if (number_in_image(t, p, y->order[i], state, &ours) ||
			    number_in_image(t, *by, y->order[i], state, &least))
				return -1;
		}
		if (ours == least) {
			alike++;
		} else if (ours < least) {
			*by = p;
			alike = 1;
		}
	}
	*images = (y->count + 1) / alike - 1;
	for (unsigned i = 0; *by && i < y->ordered; i++) {
		const struct component *c = &s->component[y->order[i]];
		uint32_t number;

		if (number_in_image(t, *by, y->order[i], state, &number))
			return -1;
		field_xor(c, &result, number ^ field_of(c, &result));
	}
	*state = result;
	return 0;
}

uint64_t image_of_units(const struct search *s, unsigned by, uint64_t units)
{
	uint64_t result = 0;

	if (by == 0)
		return units;
	if (s->units > MOST_UNITS || units == ~(uint64_t)0)
		return ~(uint64_t)0;
	for (; units; units &= units - 1) {
		const struct unit *u = &s->unit[__builtin_ctzll(units)];

		result |= unit_bit(u->invariant * model_cpus +
		    (unsigned)s->symmetry->permutation[by - 1].cpu[u->cpu]);
	}
	return result;
}

uint64_t agents_before(const struct search *s, unsigned by, uint64_t agents)
{
	uint64_t result = 0;

	if (by == 0)
		return agents;
	for (unsigned i = 0; i < s->agents; i++)
		result |= (agents >> s->symmetry->permutation[by - 1].agent[i] & 1) << i;
	return result;
}

/* --- the tables ---------------------------------------------------------------------- */

/* Whether a permutation leaves the values of a map as they are. */
static int keeps_values(const struct permutation *p, uint64_t map)
{
	const struct value_map *v;

	if (map < MAPS_DECLARED)
		return map == MAP_PLAIN;	/* no cell of a component stays */
	v = &p->map[map - MAPS_DECLARED];
	if (v->bits && v->word)
		return 0;
	for (uint64_t i = 0; i < v->count; i++) {
		if (v->to[i] != (v->bits ? i : v->from[i]))
			return 0;
	}
	return 1;
}

/* Where a component goes; -1 where it is no component any more. */
static int place_component(struct search *s, struct permutation *p, unsigned component)
{
	const struct component *c = &s->component[component], *to;
	int agent = s->symmetry->agent_of[component], same;

	p->to[component] = agent >= 0 ? s->agent[p->agent[agent]].component :
	    s->component_of[p->cell[c->cell[0]]];
	if (p->to[component] >= s->components)
		return -1;
	to = &s->component[p->to[component]];
	p->from[p->to[component]] = component;
	p->place[component] = calloc(c->cells, sizeof(uint32_t));
	if (p->place[component] == NULL || to->cells != c->cells)
		return -1;
	same = p->to[component] == component && agent < 0;
	for (unsigned i = 0; i < c->cells; i++) {
		uint64_t cell = agent >= 0 ? to->cell[i] : p->cell[c->cell[i]];
		unsigned place = 0;

		while (place < to->cells && to->cell[place] != cell)
			place++;
		if (place == to->cells || (agent >= 0 && (place != i ||
		    c->cell[i] != s->agent[agent].base + i)))
			return -1;
		p->place[component][i] = place;
		same &= place == i && (agent >= 0 ||
		    keeps_values(p, s->symmetry->map_of[c->cell[i]]));
	}
	p->same[component] = same;
	return 0;
}

static int open_permutation(struct search *s, struct permutation *p)
{
	p->back = calloc(s->memory, sizeof(*p->back));
	p->changed = calloc(s->memory, sizeof(*p->changed));
	if (p->back == NULL || p->changed == NULL)
		return -1;
	for (uint64_t i = 0; i < s->memory; i++) {
		uint64_t map = s->symmetry->map_of[i];

		p->back[p->cell[i]] = i;
		if (map != MAP_STAYS && (p->cell[i] != i || !keeps_values(p, map)))
			p->changed[p->changes++] = i;
	}
	for (unsigned i = 0; i < s->components; i++) {
		if (place_component(s, p, i))
			return -1;
	}
	return 0;
}

int symmetry_open(struct search *s)
{
	struct symmetry *y = s->symmetry;

	for (unsigned i = 0; i < s->components; i++)
		y->agent_of[i] = -1;
	for (unsigned i = 0; i < s->agents; i++)
		y->agent_of[s->agent[i].component] = (int)i;
	for (unsigned n = 0; n < y->count; n++) {
		if (open_permutation(s, &y->permutation[n]))
			return -1;
	}
	/* What moves differs most often. */
	for (int moves = 1; moves >= 0; moves--) {
		for (unsigned i = 0; i < s->components; i++) {
			int moved = 0, differs = 0;

			for (unsigned n = 0; n < y->count; n++) {
				moved |= y->permutation[n].to[i] != i;
				differs |= !y->permutation[n].same[i];
			}
			if (differs && moved == moves)
				y->order[y->ordered++] = i;
		}
	}
	for (unsigned i = 0; i < s->threads; i++) {
		if (mirror_open(s, &s->thread[i]))
			return -1;
	}
	return symmetry_fit(s);
}

int symmetry_fit(struct search *s)
{
	for (unsigned n = 0; n < s->symmetry->count; n++) {
		struct permutation *p = &s->symmetry->permutation[n];

		for (unsigned i = 0; i < s->components; i++) {
			unsigned bits = s->component[i].field.width, had = p->room[i];
			uint32_t *image;

			if (p->same[i] || (p->image[i] != NULL && bits == had))
				continue;
			image = pages_resize(p->image[i], sizeof(*image) << had, sizeof(*image) << bits);
			if (image == NULL)
				return -1;
			p->image[i] = image;
			p->room[i] = bits;
		}
	}
	return 0;
}

uint64_t symmetry_bytes(const struct search *s)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < s->components; i++)
		sum += (uint64_t)s->symmetry->count * s->component[i].count * sizeof(uint32_t);
	return sum;
}
