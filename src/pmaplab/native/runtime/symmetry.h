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

#endif
