/* Successors on their way into the store: some at a time, so that memory is asked for
 * before it is looked at. */
#include <stdlib.h>
#include <string.h>

#include "search.h"

enum {
	OUT = 1024	/* new states that a thread hands over at once */
};

/* Room for so many states in the batch. */
static int batch_fit(struct thread *t, unsigned room)
{
	void *batch = realloc(t->batch, room * sizeof(*t->batch)), *running = NULL;
	void *left = realloc(t->left, room * sizeof(*t->left));

	if (batch != NULL)
		t->batch = batch;
	if (left != NULL)
		t->left = left;
	if (t->search->reduction != NULL) {
		running = realloc(t->running, room * sizeof(*t->running));
		if (running != NULL)
			t->running = running;
	}
	if (batch == NULL || left == NULL || (t->search->reduction != NULL && running == NULL))
		return -1;
	t->batch_room = room;
	return 0;
}

void batch_forget(struct thread *t)
{
	/* No state is all ones. */
	memset(t->recent, 0xff, sizeof(t->recent));
}

int batch_open(struct thread *t)
{
	t->out = calloc(OUT, sizeof(*t->out));
	batch_forget(t);
	return t->out == NULL ? -1 : batch_fit(t, 4 * BATCH);
}

int batch_flush(struct thread *t)
{
	struct search *s = t->search;

	if (history_append(&s->history, t->out, t->out_count)) {
		stop(s, STOPPED_MEMORY);
		return -1;
	}
	__atomic_fetch_add(&s->states, t->out_count, __ATOMIC_RELAXED);
	t->out_count = 0;
	return 0;
}

/* Whether the thread has met a state a short while ago: two of five successors are such,
 * since those who move in another order get to the same state. */
static int is_recent(struct thread *t, const struct wide *state)
{
	struct wide *recent = &t->recent[kept_hash(state) >> (64 - RECENT_BITS)];

	if (same_state(recent, state))
		return 1;
	*recent = *state;
	return 0;
}

/* Keep the least image of a state of the batch; -1 where a field must grow first. */
static int keep_least(struct thread *t, struct pending *p)
{
	unsigned by;

	if (representative(t, &p->to, &by, &p->images))
		return -1;
	p->concerns = image_of_units(t->search, by, p->concerns);
	return 0;
}

/* A state of the batch is what it will be: whether it may be new.  Then the lanes in which
 * it differs from that which was expanded are asked for. */
static int settle(struct thread *t, struct pending *p, const struct wide *from)
{
	struct search *s = t->search;

	if (is_recent(t, &p->to))
		return 0;
	for (unsigned n = 0; n < LANES; n++) {
		if (p->to.lane[n] != from->lane[n]) {
			p->changed |= 1u << n;
			lane_prefetch(&s->lane[n], p->to.lane[n]);
		}
	}
	return 1;
}

/* The steps of a state that are alone are taken: what is kept of it is now certain; 0, or -1
 * where fields must grow or the search is over. */
static int arrive(struct thread *t, struct pending *p, struct running *r)
{
	struct search *s = t->search;

	if (is_endless(s, r)) {
		r->from = p->to;
		p->to = r->begun;
		if (p->concerns && judge_later(t, &r->from, 0, p->concerns, s->level + 1))
			return -1;
		/* That is judged. */
		p->concerns = 0;
	}
	if (s->symmetry != NULL && keep_least(t, p))
		return -1;
	p->runs = 0;
	p->known = !settle(t, p, &r->first);
	return 0;
}

/* Judge the states that are left behind.  Where an invariant has read more cells, what is kept
 * of steps does not know it yet: then all are asked about the states behind these. */
static int judge_passed(struct thread *t)
{
	struct search *s = t->search;

	if (judge_asked(t, s->level + 1))
		return -1;
	if (__atomic_load_n(&s->pause, __ATOMIC_ACQUIRE) & FORGET) {
		for (unsigned i = 0; i < t->batch_count; i++)
			t->batch[i].concerns = ~(uint64_t)0;
	}
	return 0;
}

/* Take a step that is alone of each state of the batch; of how many, or -1 where fields must
 * grow or the search is over. */
static int run_each(struct thread *t)
{
	struct search *s = t->search;
	int taken = 0;

	for (unsigned i = 0; i < t->batch_count; i++) {
		struct pending *p = &t->batch[i];
		struct running *r = &t->running[i];
		uint64_t units = p->concerns;
		enum expanded how;

		if (!p->runs)
			continue;
		how = run_once(t, r, &p->to, &p->concerns);
		if (how == WAITING) {
			if (arrive(t, p, r))
				return -1;
			continue;
		}
		if (how != EXPANDED)
			return -1;
		taken++;
		t->passed++;
		/* The state is left behind, but it was there. */
		if (units && judge_later(t, &r->from, 0, units, s->level + 1))
			return -1;
	}
	return taken;
}

/* Take the steps of the batch that are alone: one of each state in turn, so that memory
 * is asked for early; 0, or -1 where fields must grow or the search is over. */
static int run_batch(struct thread *t)
{
	int taken;

	for (unsigned i = 0; i < t->batch_count; i++) {
		if (t->batch[i].runs)
			run_afresh(t, &t->running[i], &t->batch[i].to);
	}
	do {
		taken = run_each(t);
		if (judge_passed(t) || taken < 0)
			return -1;
	} while (taken);
	return 0;
}

/* Complete the keys of the batch, from the first state on, and ask for their slots; how
 * many: not all where fields or lanes must grow or the search is over. */
static unsigned complete(struct thread *t)
{
	struct search *s = t->search;
	unsigned count = 0, bits = key_bits(s);

	if (s->reduction != NULL && run_batch(t))
		return 0;
	for (; count < t->batch_count; count++) {
		struct pending *p = &t->batch[count];

		if (p->known)
			continue;
		if (key_of_state(s, &p->to, p->changed, 1, &p->key)) {
			request(s, GROW_LANES);
			break;
		}
		if (p->key >> bits) {
			/* Once keys are longer, it would be another state's. */
			fprintf(stderr, "a key has bits of no lane\n");
			exit(3);
		}
		p->changed = 0;
		p->home = store_home(&s->store, stored(s, p->key));
	}
	/* One right after the other, since a processor that has to walk page tables for one
	 * looks but a few instructions ahead. */
	for (unsigned i = 0; i < count; i++) {
		if (!t->batch[i].known)
			store_prefetch(&s->store, t->batch[i].home);
	}
	return count;
}

/* Put the first ones of the batch, whose slots were asked for, into the store; 0, or -1
 * when it is full or the search is over. */
static int put(struct thread *t, unsigned ready)
{
	struct search *s = t->search;
	unsigned left = 0, kept = 0;
	int status = 0;

	for (unsigned i = 0; i < ready; i++) {
		if (!t->batch[i].known)
			t->left[left++] = i;
	}
	/* Every fourth or so needs a second try, when its line has come. */
	for (unsigned distance = 0; left && status == 0; distance++) {
		unsigned count = left;

		if (distance == FARTHEST) {
			request(s, MAKE_ROOM);
			status = -1;
		}
		left = 0;
		for (unsigned i = 0; i < count && status == 0; i++) {
			struct pending *p = &t->batch[t->left[i]];
			enum stored how = store_try(&s->store, stored(s, p->key), p->home, distance);

			if (how == STORE_FULL) {
				t->left[left++] = t->left[i];
				continue;
			}
			p->known = 1;
			if (how == STORED_BEFORE)
				continue;
			t->images += p->images;
			t->out[t->out_count++] = narrow(p->key);
			if ((p->concerns &&
			    judge_later(t, &p->to, p->key, p->concerns, s->level + 1)) ||
			    (t->out_count == OUT && batch_flush(t)))
				status = -1;
		}
	}
	if (judge_asked(t, s->level + 1))
		status = -1;
	for (unsigned i = 0; i < t->batch_count; i++) {
		if (i < ready && t->batch[i].known)
			continue;
		t->batch[kept] = t->batch[i];
		if (t->running != NULL)
			t->running[kept] = t->running[i];
		kept++;
	}
	t->batch_count = kept;
	return status;
}

int batch_drain(struct thread *t)
{
	unsigned count = t->batch_count, ready = complete(t);

	return put(t, ready) || ready < count ? -1 : 0;
}

int batch_emit(struct thread *t, const struct wide *state, word key)
{
	struct search *s = t->search;

	if (t->batch_count + t->found_count > t->batch_room &&
	    batch_fit(t, 2 * (t->batch_count + t->found_count))) {
		stop(s, STOPPED_MEMORY);
		return -1;
	}
	for (unsigned i = 0; i < t->found_count; i++) {
		struct pending *p = &t->batch[t->batch_count];

		p->to = successor(state, &t->found[i]);
		p->key = key;
		p->concerns = concerns_of(s, &t->found[i]);
		p->changed = 0;
		p->images = 0;
		p->known = 0;
		p->runs = s->reduction != NULL;
		if (p->runs) {
			struct running *r = &t->running[t->batch_count];

			r->first = *state;
			r->begun = p->to;
			r->agent = 0;
			r->steps = 0;
		}
		if (s->symmetry != NULL && !p->runs && keep_least(t, p))
			return -1;
		if (p->runs || settle(t, p, state))
			t->batch_count++;
	}
	return 0;
}
