/*
 * Breadth-first search over every interleaving, by levels.
 *
 * What an agent's step does depends on a few components of the state only:
 * those that it touched when it ran.  So each step is run once for what these
 * hold and kept; afterwards it is one look-up, and the successor is the state
 * exclusive-or a difference.  What an invariant says is kept by the values of
 * the cells that it reads.
 */
#ifndef PMAPLAB_SEARCH_H
#define PMAPLAB_SEARCH_H

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>

#include "components.h"
#include "kept.h"
#include "history.h"
#include "lanes.h"
#include "layout.h"
#include "memo.h"
#include "model.h"
#include "ownership.h"
#include "reduce.h"
#include "store.h"
#include "symmetry.h"

enum {
	TOP_SHIFT = LANE_BITS - FIRST_LANE_LESS,	/* of a first lane: other than fields */
	MOST_MASKS = 1 << FIRST_LANE_LESS,
	MOST_AGENTS = 60,
	FINGERPRINT_BITS = 64,
	MOST_UNITS = 64,
	MOST_CONCERNS = 1 << 13,
	FIRST_STORE_BITS = 12,
	LOAD_PERCENT = 80,	/* of the store: then it grows */
	FIRST_SLOT_BITS = 14,	/* of a lane */
	ALONE = 4096		/* states that are not worth a second thread */
};

#define KEY_BIT		((word)1 << 127)

/* What comes out of a step, in the top bits of the first lane of what is kept. */
enum { OUT_ONE, OUT_NONE, OUT_DONE, OUT_MANY };
#define OUT_SHIFT	62
/* Below that, the number of the set of invariants that may say something else. */
#define CONCERNS_SHIFT	TOP_SHIFT

/* Several successors, or a failure. */
struct outcomes {
	struct outcomes *next;
	uint32_t count, transitions;
	int failed;
	struct wide value[];	/* each as if it were the only one */
};

struct mask {
	struct wide bits;
	uint64_t components;
};

/* Masks by the number of what a component holds, perhaps with OFF. */
struct masks {
	unsigned component;
	unsigned bits;
	uint16_t *number;
};

struct agent {
	uint64_t base, cpu;
	unsigned component;
	int works;		/* it counts for progress */
	struct kept_steps *steps;
	struct masks own;	/* by its own part */
	struct masks idle;	/* by what it looks at first, while its part is the first one */
};

/* What an invariant sees of a component: the values of the cells that it reads. */
struct view {
	struct field field;	/* of the component, as it is now */
	unsigned component;
	struct component values;
	uint64_t *part;		/* by the number of a content: what it makes of the half */
	unsigned bits;		/* room for 2^bits contents */
	unsigned shift;		/* in the half of a key of the memo */
};

/* An invariant, asked for one CPU.  In a set, those beyond MOST_UNITS share the
 * last bit. */
struct unit {
	unsigned invariant;
	uint64_t cpu;
	struct memo memo;
	uint64_t *reads;	/* cells that it has ever read, one bit each */
	struct view *view;	/* of all that are known of these */
	unsigned views;
	unsigned low;		/* so many of them, the first ones, are in the lower half */
	int stale;		/* not all cells are in the views, or these are too narrow */
	int never;		/* too much to be kept */
	int joined;		/* some of its views show fields in two lanes */
};

/* A counterexample to come: its last state, at its level. */
struct target {
	int found;
	uint64_t level;
	word key;
	uint64_t hash;
	unsigned agent;		/* which fails, or never moves again */
};

struct range {
	uint64_t from, to;
};

/* Why all threads pause, one bit each: a store or a lane is nearly full, an
 * invariant has read more cells, a field is full, the search is over. */
enum pause { RUN, MAKE_ROOM = 1, GROW_LANES = 2, FORGET = 4, REPACK = 8, STOP = 16 };

enum stop {
	NOT_STOPPED, STOPPED_STATES, STOPPED_TIME, STOPPED_MEMORY, STOPPED_FIRST, STOPPED_ERROR,
	STOPPED_PARENT, STOPPED_WIDE, STOPPED_SIGNAL, STOPPED_FOUND, STOPPED_FACT,
	STOPPED_BEYOND, STOPPED_APART
};

enum expanded { EXPANDED, WAITING, NO_ROOM, BROKEN };

/* What is no longer right, since memory ran out while it was changed: what is kept of steps, and
 * the states as well. */
enum torn { WHOLE, STEPS_TORN, STATES_TORN };

/* By what a step is kept that an agent can take in a state. */
struct foreseen {
	struct wide key;	/* its first lane is 0 where the agent is off */
	uint64_t hash;
};

/* What agents can do in a state, looked up when it is asked for. */
struct around {
	struct wide value[MOST_AGENTS];
	struct foreseen foreseen[MOST_AGENTS];
	unsigned mask[MOST_AGENTS];
	uint64_t known, off, done;
};

/* A state whose steps that are alone are taken. */
struct running {
	struct around around;
	struct wide first;	/* the state that was expanded */
	struct wide begun;	/* that which its step came to */
	struct wide from;	/* the state before the last step */
	unsigned agent;		/* who took it */
	uint64_t steps;
};

struct pending {
	struct wide to;
	word key;		/* right but for the lanes in `changed` */
	uint64_t concerns;	/* units, one bit each */
	uint64_t home;		/* its place in the store */
	unsigned changed;
	unsigned images;	/* other images of the state */
	int runs;		/* steps that are alone may be left */
	int known;		/* it is stored, or will be for another one of the batch */
};

/* Of a mask: whatever else holds, the agent does nothing, and nobody minds. */
enum { OFF = 1 << 15 };

enum {
	ALL_LANES = (1 << LANES) - 1,
	MOST_ASKED = 128,
	BATCH = 64,		/* successors whose slots are fetched together */
	RECENT_BITS = 12
};

/* A question to a unit, whose kept answer is asked for. */
struct asked {
	const struct wide *state;
	word key, seen;
	unsigned unit;
};

/* The different contents of some cells: how many, and a sum of their hashes. */
struct projected {
	uint64_t states, low, high;
};

/* At rest is where every CPU's mark, from the cell `first` on, has these bits and not
 * those. */
struct marks {
	uint64_t first, must, must_not;
};

/* Cells, by two salts for each, 0 for those that are left out. */
struct projection {
	int wanted;
	uint64_t *salt;
	struct projected all, at_rest;
};

struct thread {
	struct search *search;
	struct machine machine;
	uint64_t *base, *row, *labels;
	struct wide unpacked;	/* the state in `base`, and in the machine */
	int is_unpacked;
	uint64_t dirty;		/* components that the machine may have changed since */
	word key;		/* of the state that is expanded */
	struct pending *batch;
	struct running *running;	/* of the batch; NULL without a reduction */
	unsigned *left;			/* of the batch, while it is put into the store */
	unsigned batch_count, batch_room;
	struct wide recent[1 << RECENT_BITS];	/* states that are stored, or in the batch */
	struct asked asked[MOST_ASKED];
	unsigned asked_count;
	struct packed *out;
	unsigned out_count;
	struct wide *found;	/* of one expansion: differences, and more, as above */
	unsigned found_count, found_room;
	unsigned failures;	/* transitions of one expansion that fail */
	unsigned by;		/* mask of what an agent was last found to do */
	uint64_t transitions, added;
	uint64_t passed;	/* states that were not kept */
	uint64_t *marked;	/* by CPU: regions that the step which was just run changes */
	struct rule_change *changed;	/* rules that the step which was just run changes */
	unsigned changed_count;
	struct mirror *mirror;	/* where images of states are run */
	uint64_t images;	/* of new states, these not included */
	pthread_t id;
};

/* What is asked of the states in which every CPU is at rest; nothing without cells. */
struct rest_question {
	uint64_t cells, *cell, *mask;
	uint64_t *wanted;		/* the way to such a state is wanted */
	struct target target;
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
	struct lane lane[LANES];
	struct store store;
	struct history history;
	uint64_t states, transitions, depth;
	struct target *violation;	/* by invariant */
	struct target failure, stuck;
	struct rest *resting;		/* while progress is judged */
	struct marks marks;
	struct rest_question rest;
	uint64_t *labels;
	uint64_t exempt;
	int error;			/* an enum ending */
	struct target error_at;
	int error_agent, error_invariant;
	int complete;
	enum stop stopped;

	/* the search */
	uint64_t *watchers;		/* by cell: the units that ever read it */
	uint64_t *watchers_known;	/* the same, as far as what is kept of steps knows */
	uint64_t *concerns;		/* sets of units that differ */
	uint64_t *conflicts;		/* by the number of such a set: agents */
	unsigned concerns_count;
	struct reduction *reduction;	/* NULL for none */
	struct ownership *ownership;	/* NULL for none */
	struct symmetry *symmetry;	/* NULL for none */
	uint64_t images, passed;	/* of states that are kept, and not kept, when the level began */
	struct mask *mask;
	unsigned masks;
	struct outcomes *many;
	pthread_mutex_t lock;
	struct thread *thread;
	unsigned threads;
	uint64_t cursor, end, level;
	struct range *again;
	unsigned again_count;
	int pause;			/* of enum pause */
	uint64_t next_layout;		/* states at which lanes are chosen again */
	uint64_t repacks;
	enum torn torn;

	unsigned lane_bits;		/* of a lane that are fields */
	int fingerprints;		/* the store holds hashes of states */

	/* limits; 0 stands for none */
	uint64_t most_states, most_memory;
	double most_seconds, started, reported;
	int stop_at_first;
	struct projection projection;
	char checkpoint[96];	/* what stands in the first line of one, or nothing */
	double checkpoint_seconds;
};

/* --- search.c: the parts in order of use ----------------------------------- */

double now(void);
extern volatile sig_atomic_t interrupted;
/* What the store holds of a state. */
static inline word stored(const struct search *s, word state)
{
	uint64_t low = (uint64_t)state, high = (uint64_t)(state >> 64);

	if (!s->fingerprints)
		return state;
	low = (low ^ low >> 32) * 0xd6e8feb86659fd93u;
	high = (high ^ high >> 29) * 0xff51afd7ed558ccdu + 0x9e3779b97f4a7c15u;
	low = (low ^ low >> 31 ^ high) * 0xbf58476d1ce4e5b9u;
	low = (low ^ low >> 29 ^ high >> 32) * 0x94d049bb133111ebu;
	return low ^ low >> 32;
}
int search_open(struct search *s);
/* A machine for the cells of a state. */
int machine_open(const struct search *s, struct machine *m);
void search_run(struct search *s);
void request(struct search *s, enum pause what);
void stop(struct search *s, enum stop why);
/* In bytes. */
uint64_t memory_used(const struct search *s);

/* Let all threads do `work` on parts of 0 .. count. */
void in_parallel(struct search *s,
    void (*work)(struct search *s, void *what, uint64_t from, uint64_t to), void *what,
    uint64_t count);

/* Let so many threads, the first ones, do their work at the same time; how many did. */
unsigned on_threads(struct search *s, unsigned count, void *(*work)(void *thread));

/* --- batch.c ---------------------------------------------------------------- */

int batch_open(struct thread *t);
/* Forget which states were met, since the same ones look otherwise now. */
void batch_forget(struct thread *t);
/* Add the successors in thread->found of a state, which has this key; -1 where fields must
 * grow or the search is over. */
int batch_emit(struct thread *t, const struct wide *state, word key);
/* Put the successors of the batch into the store; 0, or -1 when it or a lane is full
 * (what is left stays in the batch) or the search is over. */
int batch_drain(struct thread *t);
/* Append new states to the history; -1 without memory. */
int batch_flush(struct thread *t);

/* --- states.c --------------------------------------------------------------- */

uint64_t state_hash(const struct search *s, const struct wide *state);
void unpack(const struct search *s, const struct wide *state, uint64_t *cells);
/* Fill the machine's cells. */
void load_state(struct thread *t, const struct wide *state);
int is_done(struct search *s, const struct wide *state, unsigned agent);
void merge_labels(struct search *s, const uint64_t *labels);
int broken(struct thread *t, word key, uint64_t level, enum ending how, int agent, int invariant);
void note(struct search *s, struct target *target, const struct wide *state, word key,
    uint64_t level, unsigned agent);

/* --- steps.c ---------------------------------------------------------------- */

/*
 * All successors of a state, in thread->found.  WAITING if somebody who works
 * cannot move, NO_ROOM if a field must grow first, BROKEN when there was an
 * error.  `moved` receives who can move, and `failed` the first who fails.
 */
enum expanded expand(struct thread *t, const struct wide *state, const struct foreseen *foreseen,
    uint64_t *moved, int *failed);
/* Ask early for the memory that expand() looks at for some agents; where that is, by
 * agent, is told to it. */
void foresee(struct search *s, const struct wide *state, uint64_t agents,
    struct foreseen *foreseen);

static inline uint64_t all_agents(const struct search *s)
{
	return ((uint64_t)1 << s->agents) - 1;
}

static inline uint64_t concerns_of(const struct search *s, const struct wide *value)
{
	return s->concerns[value->lane[0] >> CONCERNS_SHIFT & (MOST_CONCERNS - 1)];
}

static inline uint64_t conflicts_of(const struct search *s, const struct wide *value)
{
	return s->conflicts[value->lane[0] >> CONCERNS_SHIFT & (MOST_CONCERNS - 1)];
}

/* The number of the mask in a key. */
static inline unsigned mask_of_key(const struct wide *key)
{
	return (unsigned)(key->lane[0] >> TOP_SHIFT & (MOST_MASKS - 1));
}

/* What an agent can do in a state: one difference, or what else there is to say.  If it
 * was foreseen, that is of this agent, else NULL.  The number of the mask by which it is
 * kept is in thread->by. */
enum expanded agent_value(struct thread *t, const struct wide *state,
    const struct foreseen *foreseen, unsigned agent, struct wide *value);

/* The state that `value`, one of thread->found, makes of a state. */
static inline struct wide successor(const struct wide *state, const struct wide *value)
{
	struct wide result;

	for (unsigned i = 0; i < LANES; i++)
		result.lane[i] = state->lane[i] ^ value->lane[i];
	result.lane[0] &= ((uint64_t)1 << TOP_SHIFT) - 1;
	return result;
}

static inline int same_state(const struct wide *a, const struct wide *b)
{
	return a->lane[0] == b->lane[0] && a->lane[1] == b->lane[1] &&
	    a->lane[2] == b->lane[2] && a->lane[3] == b->lane[3];
}

static inline uint64_t lane_part(const struct search *s, word key, unsigned lane)
{
	return (uint64_t)(key >> s->lane[lane].shift) & (((uint64_t)1 << s->lane[lane].width) - 1);
}

/* The state of a key. */
static inline struct wide state_of_key(const struct search *s, word key)
{
	struct wide result;

	for (unsigned i = 0; i < LANES; i++)
		result.lane[i] = s->lane[i].content[lane_part(s, key, i)];
	return result;
}

/* The key of a state that differs in some lanes from that of `*key`; -1 where one
 * of them is not known (and has no room, if `add` says that new ones have numbers). */
static inline int key_of_state(struct search *s, const struct wide *state, unsigned changed,
    int add, word *key)
{
	word result = *key;

	for (; changed; changed &= changed - 1) {
		unsigned i = (unsigned)__builtin_ctz(changed);
		struct lane *lane = &s->lane[i];
		uint64_t number;

		if (lane_number(lane, state->lane[i], add, &number))
			return -1;
		result &= ~((((word)1 << lane->width) - 1) << lane->shift);
		result |= (word)number << lane->shift;
	}
	*key = result;
	return 0;
}

int steps_open(struct search *s);

/* --- renewal.c -------------------------------------------------------------- */

/* Find anew whom the steps that are kept concern. */
void steps_renew(struct search *s);
/* Keep it, with all fields moved to where they are now. */
int steps_move(struct search *s, struct wide (*moved)(const void *how, const struct wide *value),
    const void *how);
/* Room for the masks of as many contents as there can be now. */
int steps_fit(struct search *s);

/* --- ownership.c --------------------------------------------------------------- */

/* Check what a step that was just run has come to, and note which rules it changes.
 * Whatever depends on more of the state than the step adds that to `touched`. */
void ownership_outcome(struct thread *t, unsigned agent, uint64_t *touched);
/* Check what an attempt of a step has touched. */
void ownership_attempt(struct thread *t, unsigned agent, uint64_t *touched);
/* Of those who may write or touch a cell, who may while the agent does not move. */
uint64_t ownership_narrowed(const struct thread *t, unsigned agent, uint64_t cell, int written,
    uint64_t by_tables, uint64_t *touched);
/* Who conflicts with what the step does to a cell, and may do so by the tables. */
uint64_t ownership_touchers(const struct thread *t, unsigned agent, uint64_t cell, int written,
    uint64_t by_tables, uint64_t *touched);
/* Who may break a rule that the step may end, or one of its name. */
uint64_t ownership_disturbed(const struct thread *t);

/* --- reduce.c ------------------------------------------------------------------- */

/* Begin to note what a step does. */
void forget_access(const struct search *s, struct machine *m);
/* Note what a step that was just run has come to. */
void note_outcome(struct thread *t);
/* Whether the agent may do what was noted. */
int is_within(const struct thread *t, unsigned agent);
/* End the search where it did something else: where images of states are searched, these need
 * not be reachable, and what agents may do is known of states that are. */
void beyond(struct thread *t, unsigned agent);
/* What was noted of a step conflicts with these agents; -1 for an error.  What else
 * that depends on is added to `touched`. */
int step_conflicts(struct thread *t, const struct wide *state, unsigned agent, uint64_t *touched,
    uint64_t *conflicts);
/* Who may change that a step is disabled. */
uint64_t step_waits(const struct thread *t);
/* Take the next step that is alone: EXPANDED, and `concerns` are the units that may say
 * something else of the state; WAITING if there is none.  What it looks at is asked for
 * by the time before, or by run_afresh(), which is needed when fields have moved, too. */
enum expanded run_once(struct thread *t, struct running *r, struct wide *state, uint64_t *concerns);
void run_afresh(struct thread *t, struct running *r, const struct wide *state);
/* Whether so many were taken that there may be no end of them: none counts then. */
static inline int is_endless(const struct search *s, const struct running *r)
{
	return r->steps == s->reduction->most;
}
/* Take steps that are alone as long as there are any; `moved` receives who moves. */
enum expanded run_on(struct thread *t, struct wide *state, uint64_t *moved);

/* --- invariants.c ------------------------------------------------------------- */

int invariants_open(struct search *s);
/* Of a unit, in a set of units. */
uint64_t unit_bit(unsigned unit);
/* Ask the units in a set about a state at a level, which stays where it is until
 * judge_asked() has answered; 0, or -1 for an error. */
int judge_later(struct thread *t, const struct wide *state, word key, uint64_t units,
    uint64_t level);
int judge_asked(struct thread *t, uint64_t level);
/* See all cells that were read. */
int invariants_renew(struct search *s);
/* Room for as many contents as there can be now. */
int invariants_fit(struct search *s);

/* --- checkpoint.c --------------------------------------------------------------- */

/* Keep the search as it was when this level began, with so many states; ends the
 * process where that fails. */
void checkpoint_write(struct search *s, uint64_t states, uint64_t transitions);
/* 1 when there was one, 0 when not, -1 for one that is damaged, or no memory. */
int checkpoint_read(struct search *s);
void checkpoint_remove(void);

/* --- paths.c -------------------------------------------------------------------- */

/* The states on a shortest way to a target, the first one first. */
struct path {
	const struct target *target;
	struct wide *state;	/* target->level + 1 of them */
};

/* Find the ways to some targets at once; 0, or -1 when one is not found. */
int paths_find(struct search *s, struct path *paths, unsigned count);

/* Whether what a cell holds is that of a CPU at rest, or of no CPU. */
static inline int rests(const struct marks *marks, uint64_t cell, uint64_t value)
{
	return cell < marks->first || cell >= marks->first + model_cpus ||
	    ((value & marks->must) == marks->must && !(value & marks->must_not));
}

/* --- projection.c ---------------------------------------------------------------- */

/* Of all states of the history; 0, or -1 without memory. */
int project(struct search *s);

/* --- progress.c ------------------------------------------------------------------ */

/* Look for an agent that can never move again, in the finished graph; -1 without
 * memory. */
int judge_progress(struct search *s);

/* --- rest.c --------------------------------------------------------------------- */

/* Print what is asked of the states at rest, each once, from the first level on. */
int rest_print(struct search *s);
/* Note the first state with what is wanted as the target. */
int rest_find(struct search *s);

#endif
