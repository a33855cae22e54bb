/*
 * Where the parts of a state are: components in fields, fields in lanes, the numbers of
 * lanes in a key, keys in the store; and how all of that grows.
 */
#ifndef PMAPLAB_LAYOUT_H
#define PMAPLAB_LAYOUT_H

#include <stdint.h>

#include "components.h"

struct search;

/* --- layout.c ------------------------------------------------------------------ */

/* The bits of a lane that are fields. */
unsigned room_of(const struct search *s, unsigned lane);
/* The lane of each component, which has so many bits; -1 where they do not fit. */
int choose_lanes(struct search *s, const unsigned *bits, unsigned *to);

/* --- fields.c ------------------------------------------------------------------- */

/* Where the fields go. */
struct places {
	unsigned lane[MOST_COMPONENTS], width[MOST_COMPONENTS];
	unsigned over[MOST_COMPONENTS], over_lane[MOST_COMPONENTS];
	unsigned total[LANES];		/* bits of fields */
};

/* The bits that a field needs at least. */
unsigned needed(const struct component *c);
/* Give every field what it needs in the lane where it is, and what is left to those that
 * are nearly full; -1 where there is not enough.  Where all states move `anew`, no field is
 * in two lanes. */
int fields_fit(const struct search *s, struct places *p, int anew);

/* --- keys.c --------------------------------------------------------------------- */

enum { MOST_NUMBER = 40 };	/* bits of a lane's number */

/* Divide a key between the lanes; 0, or -1 where it is too short. */
int set_key_widths(struct search *s);
/* The lane whose numbers are the upper end of a key. */
unsigned top_lane(const struct search *s);
/* How many bits a key has. */
unsigned key_bits(const struct search *s);
/* Let numbers of that lane have a bit more; all keys stay what they are.  0, or -1 where
 * slots of the store cannot hold that. */
int extend_top(struct search *s);
/* Put all states of the history into a store that is large enough; 0, or -1. */
int rebuild_store(struct search *s);
/* A larger store; 0, or -1 without memory. */
int make_room(struct search *s);

/* --- repack.c ------------------------------------------------------------------ */

enum laid_out { LAID_OUT, NO_MEMORY, TOO_WIDE };

/* Wider fields, in the lanes where they are if possible, or all of it anew. */
enum laid_out repack(struct search *s, int anew);
/* Larger lanes; 0, or -1 without memory. */
int grow_lanes(struct search *s);

#endif
