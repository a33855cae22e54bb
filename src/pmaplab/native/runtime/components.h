/*
 * Components: the state is split into groups of cells, and what a group holds
 * is kept once, under a number (collapse compression).  A state is the numbers
 * of its components, each in its field of a lane.
 */
#ifndef PMAPLAB_COMPONENTS_H
#define PMAPLAB_COMPONENTS_H

#include <pthread.h>
#include <stdint.h>

#include "lanes.h"

enum { MOST_COMPONENTS = 62 };

/* Where the number of what a component holds is in a state. */
struct field {
	uint64_t mask;		/* of the bits in its own lane, the lowest ones */
	unsigned lane, shift, width;
	/* So many of its upper bits are in another lane, since its own one is full. */
	unsigned over, over_lane, over_shift;
};

static inline uint64_t low_bits(unsigned count)
{
	return ((uint64_t)1 << count) - 1;
}

static inline void field_resize(struct field *f, unsigned width, unsigned over)
{
	f->width = width;
	f->over = over;
	f->mask = low_bits(width - over);
}

struct component {
	unsigned cells;
	uint32_t *cell;		/* which cells of the state */
	struct field field;
	unsigned wanted;	/* a width that some thread has asked for */
	uint32_t count;		/* how many contents are known */
	uint64_t *rows;		/* them, one after the other */
	uint64_t *hashes;	/* by number: depends on cells and values only */
	uint32_t *index;	/* open addressing: number + 1, or 0 */
	pthread_mutex_t lock;
};

/* Of a field in two lanes, which is rare. */
uint32_t field_joined(const struct field *f, const struct wide *state);

/* Of one that is in its own lane as a whole. */
static inline uint32_t field_own(const struct field *f, const struct wide *state)
{
	return (uint32_t)(state->lane[f->lane] >> f->shift & f->mask);
}

static inline uint32_t field_get(const struct field *f, const struct wide *state)
{
	return __builtin_expect(f->over != 0, 0) ? field_joined(f, state) : field_own(f, state);
}

static inline uint32_t field_of(const struct component *c, const struct wide *state)
{
	return field_get(&c->field, state);
}

/* Exclusive-or some bits onto a field. */
static inline void field_xor(const struct component *c, struct wide *state, uint64_t bits)
{
	const struct field *f = &c->field;

	state->lane[f->lane] ^= (bits & f->mask) << f->shift;
	if (f->over)
		state->lane[f->over_lane] ^= bits >> (f->width - f->over) << f->over_shift;
}

/* Room for 2^width contents; 0, or -1 without memory. */
int component_open(struct component *c, unsigned cells, unsigned width);
void component_close(struct component *c);
/* Move everything known to room for 2^width contents. */
int component_widen(struct component *c, unsigned width);
/* What it takes, in bytes. */
uint64_t component_bytes(const struct component *c);

/* The number of a content; -1 when its field has no room for a new one. */
int component_number(struct component *c, const uint64_t *row, uint32_t *number);
/* The same for what its cells hold in a state now, where they held `from` before;
 * `row` is scratch. */
int component_renumber(struct component *c, uint32_t from, const uint64_t *s, uint64_t *row,
    uint32_t *number);
/* Write a content into the cells of a state. */
void component_unpack(const struct component *c, uint32_t number, uint64_t *s);
/* The content of the cells of a state, gathered into `row`. */
void component_gather(const struct component *c, const uint64_t *s, uint64_t *row);

#endif
