/*
 * The symmetry reduction: of states that differ by a permutation of alike objects
 * one is kept.  That the system behaves alike in all of them is asked of every step
 * that is run, and of every question to an invariant.  search/symmetry.py says what
 * permutations are, search/symmetric.py does the same, docs/reductions.md says why.
 */
#ifndef PMAPLAB_SYMMETRY_H
#define PMAPLAB_SYMMETRY_H

#include <stdint.h>

#include "components.h"

struct search;
struct thread;
struct unit;

/* Value maps that are not declared. */
enum { MAP_PLAIN, MAP_POINTER, MAP_STAYS, MAPS_DECLARED };

/* Values, of which some bits are looked at, and what becomes of them; or what becomes
 * of the lowest bits, once some bits have been turned. */
struct value_map {
	int bits;
	uint64_t count, word;		/* the bits that are looked at, or turned */
	uint64_t *from, *to;
};

struct permutation {
	uint64_t *cell, *back;		/* of the memory: where each goes, and comes from */
	uint64_t *agent, *cpu;		/* where each goes */
	struct value_map *map;		/* those that are declared */
	uint64_t *changed, changes;	/* cells that move, or whose value may */
	unsigned to[MOST_COMPONENTS], from[MOST_COMPONENTS];	/* components */
	int same[MOST_COMPONENTS];	/* it holds what it held */
	uint32_t *place[MOST_COMPONENTS];	/* of its cells, in the image */
	uint32_t *image[MOST_COMPONENTS];	/* of contents, by number, plus one */
	unsigned room[MOST_COMPONENTS];	/* for 2^room of them */
};

/* What is in an agent's part while control is at a point. */
struct point {
	uint64_t return_address;
	uint64_t count;
	uint64_t *slot, *map;
};

struct symmetry {
	struct permutation *permutation;	/* without the identity */
	unsigned count, maps, points;
	uint64_t *map_of;		/* by cell of the memory: its value map */
	struct point *point;
	int agent_of[MOST_COMPONENTS];	/* whose part it is, or -1 */
	unsigned order[MOST_COMPONENTS], ordered;	/* those in which images differ */
	/* What was found not to be alike: under this permutation, counted from 1, or 0 for
	 * any; a step at a point, or an invariant. */
	int told, told_invariant;
	unsigned told_by;
	uint64_t told_point;
};

/* --- symmetry.c ------------------------------------------------------------------ */

int symmetry_open(struct search *s);
/* Room for the images of as many contents as there can be now. */
int symmetry_fit(struct search *s);
uint64_t symmetry_bytes(const struct search *s);
/* Let the state be the least of its images: by which permutation, counted from 1, and how
 * many other images there are; -1 where a field must grow first. */
int representative(struct thread *t, struct wide *state, unsigned *by, unsigned *images);
/* A set of units, where a permutation puts them. */
uint64_t image_of_units(const struct search *s, unsigned by, uint64_t units);
/* The agents that a permutation puts where `agents` are. */
uint64_t agents_before(const struct search *s, unsigned by, uint64_t agents);
/* Of the memory and one agent's part; a step looks at nothing else. */
void row_image(const struct search *s, const struct permutation *p, const uint64_t *cells,
    unsigned agent, uint64_t *image);
/* The image of a row in which a step has changed something, by that of the row before. */
void changed_image(const struct search *s, const struct permutation *p, const uint64_t *before,
    const uint64_t *image, const uint64_t *cells, unsigned agent, uint64_t *changed);

/* --- alike.c --------------------------------------------------------------------- */

int mirror_open(struct search *s, struct thread *t);
/* End the search, since a step at a point, or an invariant, tells objects apart. */
void told_apart(struct search *s, unsigned by, uint64_t point, int invariant);
/* Whether a step does in all images of a state what it does there; what that rests on is
 * added to `touched`, and what it reads and writes in images to what the machine has noted.
 * If not, the search ends. */
int step_is_alike(struct thread *t, const struct wide *state, unsigned agent, uint64_t *touched);
/* The same of what a unit says of the state in t->base; what it reads in images is
 * added to what the machine has read. */
int unit_is_alike(struct thread *t, const struct unit *u);
/* Add what images of a unit read in images of the state that step_is_alike() was last asked
 * about to what the machine has read, and what that rests on to `touched`; -1, and the search
 * ends, for an error. */
int read_images(struct thread *t, const struct unit *u, uint64_t *touched);
/* Let the images of a unit watch the images of the cells that the machine has read. */
void watch_images(struct thread *t, const struct unit *u);

#endif
