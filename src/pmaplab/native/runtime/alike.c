/* Whether the system behaves alike in all images of a state. */
#include <stdlib.h>
#include <string.h>

#include "search.h"

/* What a piece of the model's code came to, in all its ways. */
struct ran {
	uint64_t *row;		/* one after the other */
	unsigned count, room;
	unsigned failed;
	int error;
	uint64_t touched, inside;
	uint64_t *labels;
};

/* Of a thread: where images are run. */
struct mirror {
	struct machine machine;
	uint64_t *base, *moved;	/* rows of cells */
	uint64_t *images;	/* of `base`, by permutation */
	uint64_t *reads;
	char *used;
	unsigned used_room;
	struct ran ours, theirs;
};

void told_apart(struct search *s, unsigned by, uint64_t point, int invariant)
{
	struct symmetry *y = s->symmetry;

	pthread_mutex_lock(&s->lock);
	if (!y->told) {
		y->told = 1;
		y->told_by = by;
		y->told_point = point;
		y->told_invariant = invariant;
	}
	pthread_mutex_unlock(&s->lock);
	stop(s, STOPPED_APART);
}

static void add_labels(const struct machine *m, struct ran *ran)
{
	for (unsigned i = 0; i < model_labels / 64 + 1; i++)
		ran->labels[i] |= m->labels[i];
}

static int add_row(struct ran *ran, const uint64_t *cells, uint64_t count)
{
	if (ran->count == ran->room) {
		uint64_t *row = realloc(ran->row, 2 * (ran->room + 1) * count * sizeof(*row));

		if (row == NULL)
			return -1;
		ran->row = row;
		ran->room = 2 * (ran->room + 1);
	}
	memcpy(&ran->row[ran->count++ * count], cells, count * sizeof(*cells));
	return 0;
}

/* Run a step in all its ways from a row of cells; -1 without memory. */
static int run_all(struct search *s, struct machine *m, const uint64_t *cells, unsigned agent,
    struct ran *ran)
{
	const struct agent *a = &s->agent[agent];
	unsigned words = model_labels / 64 + 1;

	ran->count = ran->failed = 0;
	ran->error = 0;
	ran->touched = 0;
	memset(ran->labels, 0, words * sizeof(*ran->labels));
	m->given_count = 0;
	do {
		enum ending how;

		memcpy(m->s, cells, s->cells * sizeof(*cells));
		m->touched = m->written = 0;
		m->budget = model_longest_step;
		m->taken_count = 0;
		memset(m->labels, 0, words * sizeof(*m->labels));
		how = m->s[a->base] == DONE ? DISABLED : try_step(m, a);
		ran->touched |= m->touched;
		if (how == DISABLED)
			continue;
		if (how == NO_MEANING || how == NOT_MODELLED) {
			ran->error = 1;
			return 0;
		}
		add_labels(m, ran);
		if (how == FAILED)
			ran->failed++;
		else if (add_row(ran, m->s, s->cells))
			return -1;
	} while (next_choices(m));
	return 0;
}

/* Whether `theirs`, from `image` on, are the images of `ours`; -1 without memory. */
static int are_images(struct search *s, struct mirror *mirror, const struct permutation *p,
    const uint64_t *image, unsigned agent)
{
	const struct ran *ours = &mirror->ours, *theirs = &mirror->theirs;
	uint64_t bytes = s->cells * sizeof(uint64_t);

	if (theirs->error || ours->count != theirs->count || ours->failed != theirs->failed ||
	    memcmp(ours->labels, theirs->labels, (model_labels / 64 + 1) * sizeof(uint64_t)))
		return 0;
	if (mirror->used_room < ours->count) {
		free(mirror->used);
		mirror->used_room = 2 * ours->count;
		mirror->used = malloc(mirror->used_room);
		if (mirror->used == NULL) {
			mirror->used_room = 0;
			return -1;
		}
	}
	if (ours->count)
		memset(mirror->used, 0, ours->count);
	for (unsigned i = 0; i < ours->count; i++) {
		unsigned n;

		changed_image(s, p, mirror->base, image, &ours->row[i * s->cells], agent,
		    mirror->moved);
		for (n = 0; n < theirs->count; n++) {
			if (!mirror->used[n] && memcmp(&theirs->row[n * s->cells], mirror->moved, bytes) == 0)
				break;
		}
		if (n == theirs->count)
			return 0;
		mirror->used[n] = 1;
	}
	return 1;
}

/* Add where cells go, one bit each. */
static void move_cells(const struct search *s, const uint64_t *to, const uint64_t *cells,
    uint64_t *moved)
{
	for (uint64_t at = 0; at <= s->memory / 64; at++) {
		for (uint64_t left = cells[at]; left; left &= left - 1) {
			uint64_t cell = to[64 * at + (uint64_t)__builtin_ctzll(left)];

			moved[cell / 64] |= (uint64_t)1 << cell % 64;
		}
	}
}

/* The components that a permutation puts where `components` are. */
static uint64_t components_before(const struct search *s, const struct permutation *p,
    uint64_t components)
{
	uint64_t result = 0;

	for (unsigned i = 0; i < s->components; i++) {
		if (components >> i & 1)
			result |= (uint64_t)1 << p->from[i];
	}
	return result;
}

int step_is_alike(struct thread *t, const struct wide *state, unsigned agent, uint64_t *touched)
{
	struct search *s = t->search;
	struct symmetry *y = s->symmetry;
	struct mirror *mirror = t->mirror;

	unpack(s, state, mirror->base);
	if (run_all(s, &mirror->machine, mirror->base, agent, &mirror->ours))
		goto out_of_memory;
	forget_access(s, &mirror->machine);
	for (unsigned n = 0; n < y->count; n++) {
		const struct permutation *p = &y->permutation[n];
		uint64_t *image = &mirror->images[n * s->cells];
		int alike;

		row_image(s, p, mirror->base, agent, image);
		if (run_all(s, &mirror->machine, image, (unsigned)p->agent[agent],
		    &mirror->theirs))
			goto out_of_memory;
		alike = are_images(s, mirror, p, image, agent);
		if (alike < 0)
			goto out_of_memory;
		if (!alike) {
			told_apart(s, n + 1, mirror->base[s->agent[agent].base], -1);
			return 0;
		}
		/* What it came to rests on this as well. */
		*touched |= components_before(s, p, mirror->theirs.touched);
		if (s->reduction != NULL) {
			move_cells(s, p->back, mirror->machine.read, t->machine.read);
			move_cells(s, p->back, mirror->machine.wrote, t->machine.wrote);
			forget_access(s, &mirror->machine);
		}
	}
	return 1;
out_of_memory:
	stop(s, STOPPED_MEMORY);
	return 0;
}

/* What an invariant says on a CPU of the cells in the machine. */
static void say(struct search *s, struct machine *m, const struct unit *u, struct ran *ran)
{
	enum ending how = ask_machine(s, m, u, &ran->inside);

	memset(ran->labels, 0, (model_labels / 64 + 1) * sizeof(*ran->labels));
	add_labels(m, ran);
	ran->failed = how == FAILED;
	ran->error = how != FAILED && how != TAKEN;
}

int unit_is_alike(struct thread *t, const struct unit *u)
{
	struct search *s = t->search;
	struct symmetry *y = s->symmetry;
	struct mirror *mirror = t->mirror;
	struct machine *m = &mirror->machine;
	const struct ran *ours = &mirror->ours, *theirs = &mirror->theirs;

	memcpy(m->s, t->base, s->cells * sizeof(*m->s));
	say(s, m, u, &mirror->ours);
	for (unsigned n = 0; n < y->count; n++) {
		const struct permutation *p = &y->permutation[n];

		memory_image(s, p, t->base, m->s);
		say(s, m, &s->unit[u->invariant * model_cpus + p->cpu[u->cpu]], &mirror->theirs);
		if (ours->failed != theirs->failed || ours->error != theirs->error ||
		    ours->inside != theirs->inside || memcmp(ours->labels, theirs->labels,
		    (model_labels / 64 + 1) * sizeof(uint64_t))) {
			told_apart(s, n + 1, 0, (int)u->invariant);
			return 0;
		}
		move_cells(s, p->back, m->read, t->machine.read);
	}
	return 1;
}

int read_images(struct thread *t, const struct unit *u, uint64_t *touched)
{
	struct search *s = t->search;
	struct machine *m = &t->mirror->machine;

	for (unsigned n = 0; n < s->symmetry->count; n++) {
		const struct permutation *p = &s->symmetry->permutation[n];
		uint64_t inside;
		enum ending how;

		memcpy(m->s, &t->mirror->images[n * s->cells], s->memory * sizeof(*m->s));
		how = ask_machine(s, m, &s->unit[u->invariant * model_cpus + p->cpu[u->cpu]], &inside);
		if (how != TAKEN && how != FAILED) {
			told_apart(s, n + 1, 0, (int)u->invariant);
			return -1;
		}
		*touched |= components_before(s, p, m->touched);
		move_cells(s, p->back, m->read, t->machine.read);
	}
	return 0;
}

void watch_images(struct thread *t, const struct unit *u)
{
	struct search *s = t->search;
	uint64_t words = s->memory / 64 + 1, *reads = t->mirror->reads;

	memcpy(reads, t->machine.read, words * sizeof(*reads));
	for (unsigned n = 0; n < s->symmetry->count; n++) {
		const struct permutation *p = &s->symmetry->permutation[n];
		unsigned unit = u->invariant * model_cpus + (unsigned)p->cpu[u->cpu];

		memset(t->machine.read, 0, words * sizeof(*reads));
		move_cells(s, p->cell, reads, t->machine.read);
		watch_cells(t, &s->unit[unit], unit_bit(unit));
	}
}

int mirror_open(struct search *s, struct thread *t)
{
	unsigned words = model_labels / 64 + 1;
	struct mirror *mirror = calloc(1, sizeof(*mirror));

	t->mirror = mirror;
	if (mirror == NULL)
		return -1;
	mirror->base = calloc(s->cells, sizeof(uint64_t));
	mirror->images = calloc(s->symmetry->count * s->cells, sizeof(uint64_t));
	mirror->moved = calloc(s->cells, sizeof(uint64_t));
	mirror->reads = calloc(s->memory / 64 + 1, sizeof(uint64_t));
	mirror->ours.labels = calloc(words, sizeof(uint64_t));
	mirror->theirs.labels = calloc(words, sizeof(uint64_t));
	return mirror->base && mirror->images && mirror->moved && mirror->reads &&
	    mirror->ours.labels && mirror->theirs.labels ? machine_open(s, &mirror->machine) : -1;
}
