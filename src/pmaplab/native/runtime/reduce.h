/*
 * The partial-order reduction: steps that nothing others can do meets are run on
 * end, and the states between them not kept.  search/independence.py makes the
 * tables, search/reduced.py does the same, docs/reductions.md says why.
 */
#ifndef PMAPLAB_REDUCE_H
#define PMAPLAB_REDUCE_H

#include <stdint.h>

/* Sets of agents, units and regions, one bit each. */
struct reduction {
	uint64_t *touch, *write;	/* by cell: who may ever touch and write it */
	uint64_t *seen;			/* by cell: the units that may read it */
	uint64_t *guard;		/* by agent: a cell that does not count, or 0 */
	uint64_t *always;		/* by unit: the regions in which no failure counts */
	uint64_t *asks;			/* by unit and CPU: the regions that make a difference */
	uint64_t *leavers, *enterers;	/* by CPU and region */
	unsigned regions;
	uint64_t used;			/* exemptions that need not be found again */
	uint64_t most;			/* steps on end: where there are so many, none is taken */
};

/* What a step conflicts with that must not be run on. */
#define ANYBODY	(~(uint64_t)0)

#endif
