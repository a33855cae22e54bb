/*
 * Breadth-first search over every interleaving, by levels.
 *
 * What an agent's step does depends on a few components of the state only:
 * those that it touched when it ran.  So each step is run once for what these
 * hold and kept; afterwards it is one look-up, and the successor is the state
 * exclusive-or a difference.  Invariants are kept in the same way.
 */
#ifndef PMAPLAB_SEARCH_H
#define PMAPLAB_SEARCH_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#include "components.h"
#include "memo.h"
#include "model.h"
#include "store.h"

enum {
	STATE_BITS = 111,	/* of a word that are a state's */
	FLAG_BIT = 111,		/* of a word in the history: somebody waits */
	MASK_SHIFT = 111,	/* the number of a mask, in a key of a memo */
	MOST_MASKS = 1 << 16,
	MOST_AGENTS = 60,
	MOST_UNITS = 64,
	MOST_CONCERNS = 1 << 13,
	FIRST_STORE_BITS = 12,
	CHUNK = 1 << 18		/* states in a chunk of the history */
};

#define KEY_BIT		((word)1 << 127)

/* What comes out of a step, in the top bits of a value of a memo. */
enum { OUT_ONE, OUT_NONE, OUT_DONE, OUT_MANY };
#define OUT_SHIFT	124
/* Below that, the number of the set of invariants that may say something else. */
#define CONCERNS_SHIFT	111

/* Several successors, or a failure. */
struct outcomes {
	struct outcomes *next;
	uint32_t count, transitions;
	int failed;
	word value[];		/* each as if it were the only one */
};

struct mask {
	word bits;
	uint64_t components;
};

struct agent {
	uint64_t base, cpu;
	unsigned component;
	int works;		/* it counts for progress */
	struct memo memo;
	uint16_t *mask;		/* by the number of its component */
	unsigned mask_bits;
};

/* An invariant, asked for one CPU.  In a set, those beyond MOST_UNITS share the
 * last bit. */
struct unit {
	unsigned invariant;
	uint64_t cpu;
	struct memo memo;
	uint64_t components;	/* that it has ever touched */
	uint16_t mask;
};

/* A counterexample to come: its last state, at its level. */
struct target {
	int found;
	uint64_t level;
	word state;
	uint64_t hash;
	unsigned agent;		/* which fails, or never moves again */
};

struct kept {
	uint16_t part[7];
};

struct history {
	struct kept **chunk;
	uint64_t chunks, count;
	uint64_t *level;	/* where each level begins */
	uint64_t levels;
	pthread_mutex_t lock;
};

struct range {
	uint64_t from, to;
};

enum pause { RUN, MAKE_ROOM, FORGET, REPACK, STOP };

enum stop {
	NOT_STOPPED, STOPPED_STATES, STOPPED_TIME, STOPPED_MEMORY, STOPPED_FIRST, STOPPED_ERROR,
	STOPPED_PARENT
};

struct pending {
	word to;
	uint64_t concerns;	/* units, one bit each */
};

struct thread {
	struct search *search;
	struct machine machine;
	uint64_t *base, *row, *labels;
	word unpacked;		/* the state in `base` */
	int is_unpacked;
	struct pending *batch;
	unsigned batch_count, batch_room;
	struct kept *out;
	unsigned out_count;
	word *found;		/* of one expansion: differences, and more, as above */
	unsigned found_count, found_room;
	unsigned failures;	/* transitions of one expansion that fail */
	uint64_t transitions, added;
	pthread_t id;
};

struct search {
	/* the model */
	uint64_t cells, memory;
	struct component component[MOST_COMPONENTS];
	unsigned components;
	uint8_t *component_of;	/* of every cell */
	struct agent agent[MOST_AGENTS];
	unsigned agents;
	struct unit *unit;
	unsigned units;
	uint64_t *start;	/* the first state */

	/* what was found */
	struct store store;
	struct history history;
	uint64_t states, transitions, depth;
	struct target *violation;	/* by invariant */
	struct target failure, stuck;
	uint64_t *labels;
	uint64_t exempt;
	int error;			/* an enum ending */
	struct target error_at;
	int error_agent, error_invariant;
	int complete;
	enum stop stopped;

	/* the search */
	uint64_t *watchers;		/* by cell: the units that ever read it */
	uint64_t *concerns;		/* sets of units that differ */
	unsigned concerns_count;
	struct mask *mask;
	unsigned masks;
	struct outcomes *many;
	pthread_mutex_t lock;
	struct thread *thread;
	unsigned threads;
	uint64_t cursor, end, level;
	struct range *again;
	unsigned again_count;
	int pause;			/* an enum pause */
	uint64_t repacks;

	/* limits; 0 stands for none */
	uint64_t most_states, most_memory;
	double most_seconds, started, reported;
	int stop_at_first;
};

/* --- search.c: the parts in order of use ----------------------------------- */

double now(void);
int search_open(struct search *s);
void search_run(struct search *s);
void request(struct search *s, enum pause what);
void stop(struct search *s, enum stop why);

/* Let all threads do `work` on parts of 0 .. count. */
void in_parallel(struct search *s,
    void (*work)(struct search *s, void *what, uint64_t from, uint64_t to), void *what,
    uint64_t count);

/* --- steps.c ---------------------------------------------------------------- */

enum expanded { EXPANDED, WAITING, NO_ROOM, BROKEN };

/*
 * All successors of a state, in thread->found.  WAITING if somebody who works
 * cannot move, NO_ROOM if a field must grow first, BROKEN when there was an
 * error.  `moved` receives who can move, and `failed` the first who fails.
 */
static inline uint64_t concerns_of(const struct search *s, word value)
{
	return s->concerns[(uint32_t)(value >> CONCERNS_SHIFT) & (MOST_CONCERNS - 1)];
}

enum expanded expand(struct thread *t, word state, uint64_t *moved, int *failed);
/* The state that `value`, one of thread->found, makes of a state. */
static inline word successor(word state, word value)
{
	return state ^ (value & (((word)1 << STATE_BITS) - 1));
}

/* Ask the units in a set about a state at a level; 0, or -1 for an error. */
int judge(struct thread *t, word state, uint64_t units, uint64_t level);
uint64_t state_hash(const struct search *s, word state);
void unpack(const struct search *s, word state, uint64_t *cells);
int is_done(struct search *s, word state, unsigned agent);
void note(struct search *s, struct target *target, word state, uint64_t level, unsigned agent);
int steps_open(struct search *s);
/* Forget what is kept of steps: they must be seen again by what they concern. */
int steps_renew(struct search *s);
/* Forget what is kept of steps and invariants. */
int steps_forget(struct search *s);
/* Keep it, with every word moved to where the fields are now. */
int steps_move(struct search *s, word (*moved)(const void *how, word state), const void *how);

/* --- history.c ---------------------------------------------------------------- */

int history_open(struct history *h);
int history_append(struct history *h, const struct kept *states, unsigned count);
word history_get(const struct history *h, uint64_t at);
void history_set(struct history *h, uint64_t at, word state);
struct kept narrow(word state);
int history_level(struct history *h, uint64_t from);
uint64_t history_level_of(const struct history *h, uint64_t at);

/* --- repack.c ------------------------------------------------------------------ */

/* Wider fields, or fewer components; 0, or -1 without memory. */
int repack(struct search *s);
/* A store of twice the size; 0, or -1 without memory. */
int make_room(struct search *s);
uint64_t memory_used(const struct search *s);

/* --- paths.c -------------------------------------------------------------------- */

/* The states on a shortest way to a target, the first one first. */
struct path {
	const struct target *target;
	word *state;		/* target->level + 1 of them */
};

/* Find the ways to some targets at once; 0, or -1 when one is not found. */
int paths_find(struct search *s, struct path *paths, unsigned count);

/* --- progress.c ------------------------------------------------------------------ */

/* Look for an agent that can never move again, in the finished graph; -1 without
 * memory. */
int judge_progress(struct search *s);

#endif
