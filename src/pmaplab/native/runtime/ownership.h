/*
 * Whose memory is whose: taken for granted by the partial-order reduction, and
 * checked where a step is run.  search/ownership.py does the same.
 */
#ifndef PMAPLAB_OWNERSHIP_H
#define PMAPLAB_OWNERSHIP_H

#include <stdint.h>

/* Of a cell, the bits of a mask are, or are not, a value. */
struct atom {
	uint64_t cell, mask, value, equal;
	uint64_t writers;	/* agents that may change it */
	uint32_t rule;
};

/* While its atoms hold, the keepers alone touch its cells (or write them, if they are
 * shared), and the enders alone make an atom false. */
struct rule {
	uint64_t name, shared, keepers, enders;
	uint64_t changers;	/* who may change whether it holds */
	uint64_t concerned;	/* they, and who may break it or one of its name */
	uint64_t cell;		/* its first one */
	uint32_t atoms, first_atom;
};

/* Something by cell: what is at first[cell] .. first[cell + 1]. */
struct by_cell {
	uint32_t *first, *at;
};

/* A rule that a step may establish, or end. */
struct rule_change {
	uint32_t rule;
	int ends;
};

enum how_wrong { TOUCHED, WRITTEN, ENDED, TWICE };

/* A step that does not keep to a fact: the least one is kept. */
struct wrong {
	int found;
	uint64_t point, agent, cell, how;
};

struct ownership {
	uint32_t rules, names;
	struct rule *rule;
	struct atom *atom;
	struct by_cell rules_of, atoms_of;
	struct wrong *wrong;	/* by name */
};

#endif
