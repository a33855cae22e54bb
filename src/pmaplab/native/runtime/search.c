/* The levels, the threads, and the limits. */
#include "search.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "memory.h"

enum {
	BLOCK = 512,		/* states that a thread takes at once */
	AHEAD_STATES = 8,	/* whose memory is asked for before they are expanded */
	FIRST_LAYOUT = 4096,	/* states at which lanes are chosen; again at 16 times as many, twice */
	LAST_LAYOUT = 1 << 21
};

double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

void request(struct search *s, enum pause what)
{
	__atomic_fetch_or(&s->pause, (int)what, __ATOMIC_RELEASE);
}

void stop(struct search *s, enum stop why)
{
	int none = NOT_STOPPED;

	/* A search with a fact that does not hold is done again without it, whatever else has
	 * stopped it before. */
	if (why == STOPPED_FACT)
		__atomic_store_n((int *)&s->stopped, (int)why, __ATOMIC_RELEASE);
	else
		__atomic_compare_exchange_n((int *)&s->stopped, &none, (int)why, 0,
		    __ATOMIC_RELEASE, __ATOMIC_RELAXED);
	request(s, STOP);
}

/* Set by a signal. */
volatile sig_atomic_t interrupted;

int machine_open(const struct search *s, struct machine *m)
{
	m->read = calloc(s->cells / 64 + 1, sizeof(uint64_t));
	m->wrote = calloc(s->cells / 64 + 1, sizeof(uint64_t));
	m->labels = calloc(model_labels / 64 + 1, sizeof(uint64_t));
	m->s = calloc(s->cells, sizeof(uint64_t));
	m->component_of = s->component_of;
	m->memory = s->memory;
	return m->read && m->wrote && m->labels && m->s ? 0 : -1;
}

static int thread_open(struct search *s, struct thread *t)
{
	unsigned words = model_labels / 64 + 1;

	t->search = s;
	t->base = calloc(s->cells, sizeof(uint64_t));
	t->row = calloc(s->cells, sizeof(uint64_t));
	t->labels = calloc(words, sizeof(uint64_t));
	t->marked = calloc(model_cpus, sizeof(*t->marked));
	t->changed = calloc(s->ownership == NULL ? 1 : s->ownership->rules + 1, sizeof(*t->changed));
	t->found_room = 64;
	t->found = calloc(t->found_room, sizeof(*t->found));
	if (batch_open(t) || !t->base || !t->row || !t->labels || !t->found || !t->changed ||
	    !t->marked)
		return -1;
	return machine_open(s, &t->machine);
}

/* --- one thread ------------------------------------------------------------------ */

static void put_back(struct search *s, uint64_t from, uint64_t to)
{
	if (from == to)
		return;
	pthread_mutex_lock(&s->lock);
	s->again[s->again_count++] = (struct range){from, to};
	pthread_mutex_unlock(&s->lock);
}

static int take(struct search *s, struct range *range)
{
	if (__atomic_load_n(&s->again_count, __ATOMIC_ACQUIRE)) {
		int found = 0;

		pthread_mutex_lock(&s->lock);
		if (s->again_count) {
			*range = s->again[--s->again_count];
			found = 1;
		}
		pthread_mutex_unlock(&s->lock);
		if (found)
			return 1;
	}
	range->from = __atomic_fetch_add(&s->cursor, BLOCK, __ATOMIC_RELAXED);
	range->to = range->from + BLOCK < s->end ? range->from + BLOCK : s->end;
	return range->from < s->end;
}

uint64_t memory_used(const struct search *s)
{
	uint64_t sum = store_bytes(s->store.buckets) + pages_spare();

	sum += history_bytes(&s->history);
	for (unsigned i = 0; i < LANES; i++)
		sum += lane_bytes(&s->lane[i]);
	for (unsigned i = 0; i < s->components; i++)
		sum += component_bytes(&s->component[i]);
	for (unsigned i = 0; i < s->agents; i++)
		sum += (s->agent[i].steps->last + 1) * sizeof(struct kept_step);
	for (unsigned i = 0; i < s->units; i++)
		sum += (s->unit[i].memo.entries->last + 1) * sizeof(struct entry);
	if (s->symmetry != NULL)
		sum += symmetry_bytes(s);
	return sum;
}

static void watch(struct thread *t)
{
	struct search *s = t->search;
	uint64_t states = __atomic_load_n(&s->states, __ATOMIC_RELAXED);
	uint64_t slots = store_slots(&s->store);

	if (states > slots / 100 * LOAD_PERCENT)
		request(s, MAKE_ROOM);
	if (s->most_states && states > s->most_states)
		stop(s, STOPPED_STATES);
	if (interrupted)
		stop(s, STOPPED_SIGNAL);
	if (t != s->thread)
		return;
	if (s->most_seconds && now() - s->started > s->most_seconds)
		stop(s, STOPPED_TIME);
	if (now() - s->reported > 0.2) {
		uint64_t transitions = 0;

		s->reported = now();
		for (unsigned i = 0; i < s->threads; i++)
			transitions += __atomic_load_n(&s->thread[i].transitions, __ATOMIC_RELAXED);
		if (printf("{\"progress\": [%llu, %llu, %llu]}\n", (unsigned long long)states,
		    (unsigned long long)transitions, (unsigned long long)s->level) < 0 ||
		    fflush(stdout))
			stop(s, STOPPED_PARENT);
		if (s->most_memory && memory_used(s) > s->most_memory)
			stop(s, STOPPED_MEMORY);
	}
}

/* A few states of a range, whose memory was asked for. */
struct ahead {
	struct wide state[AHEAD_STATES];
	word key[AHEAD_STATES];
	struct foreseen foreseen[AHEAD_STATES][MOST_AGENTS];
	uint64_t next;		/* the next one to read */
};

static void look_ahead(struct search *s, struct ahead *ahead, uint64_t at, uint64_t to)
{
	for (; ahead->next < to && ahead->next < at + AHEAD_STATES; ahead->next++) {
		unsigned place = (unsigned)(ahead->next % AHEAD_STATES);

		ahead->key[place] = plain_key(history_get(&s->history, ahead->next));
		ahead->state[place] = state_of_key(s, ahead->key[place]);
		foresee(s, &ahead->state[place], all_agents(s), ahead->foreseen[place]);
		if (ahead->next + AHEAD_STATES < to) {
			word key = plain_key(history_get(&s->history, ahead->next + AHEAD_STATES));

			for (unsigned i = 0; i < LANES; i++)
				__builtin_prefetch(&s->lane[i].content[lane_part(s, key, i)]);
		}
	}
}

static void *work(void *argument)
{
	struct thread *t = argument;
	struct search *s = t->search;
	struct range range;

	if (batch_drain(t))
		goto out;
	while (!__atomic_load_n(&s->pause, __ATOMIC_ACQUIRE) && take(s, &range)) {
		struct ahead ahead;

		ahead.next = range.from;
		for (uint64_t at = range.from; at < range.to; at++) {
			const struct wide *state = &ahead.state[at % AHEAD_STATES];
			enum expanded how;
			uint64_t moved;
			int failed;

			look_ahead(s, &ahead, at, range.to);
			t->key = ahead.key[at % AHEAD_STATES];
			how = expand(t, state, ahead.foreseen[at % AHEAD_STATES], &moved, &failed);
			if (how == NO_ROOM || how == BROKEN || batch_emit(t, state, t->key)) {
				put_back(s, at, range.to);
				goto out;
			}
			__atomic_store_n(&t->transitions,
			    t->transitions + t->found_count + t->failures, __ATOMIC_RELAXED);
			if (failed >= 0)
				note(s, &s->failure, state, t->key, s->level, (unsigned)failed);
			if (how == WAITING)
				history_set(&s->history, at, t->key | (word)1 << FLAG_BIT);
			if (t->batch_count >= BATCH && batch_drain(t)) {
				put_back(s, at + 1, range.to);
				goto out;
			}
		}
		watch(t);
	}
out:
	(void)batch_drain(t);
	(void)batch_flush(t);
	return NULL;
}

/* --- all threads -------------------------------------------------------------------- */

unsigned on_threads(struct search *s, unsigned count, void *(*task)(void *thread))
{
	unsigned started = 1;

	for (; started < count; started++) {
		if (pthread_create(&s->thread[started].id, NULL, task, &s->thread[started]))
			break;
	}
	task(&s->thread[0]);
	for (unsigned i = 1; i < started; i++)
		pthread_join(s->thread[i].id, NULL);
	return started;
}

static void run_threads(struct search *s)
{
	unsigned started = on_threads(s, s->end - s->cursor > ALONE ? s->threads : 1, work);

	/* What those left that did not run this time. */
	for (unsigned i = started; i < s->threads; i++) {
		if (s->thread[i].batch_count)
			work(&s->thread[i]);
	}
}

struct share {
	struct search *search;
	void (*work)(struct search *s, void *what, uint64_t from, uint64_t to);
	void *what;
	uint64_t from, to;
	pthread_t id;
	int started;
};

static void *do_share(void *argument)
{
	struct share *share = argument;

	share->work(share->search, share->what, share->from, share->to);
	return NULL;
}

void in_parallel(struct search *s,
    void (*work)(struct search *s, void *what, uint64_t from, uint64_t to), void *what,
    uint64_t count)
{
	unsigned threads = count > ALONE ? s->threads : 1;
	struct share *share = calloc(threads, sizeof(*share));

	if (share == NULL) {
		work(s, what, 0, count);
		return;
	}
	for (unsigned i = threads; i-- > 0;) {
		share[i] = (struct share){s, work, what, count * i / threads,
		    count * (i + 1) / threads, 0, 0};
		share[i].started = i > 0 &&
		    pthread_create(&share[i].id, NULL, do_share, &share[i]) == 0;
		if (!share[i].started)
			do_share(&share[i]);
	}
	for (unsigned i = 1; i < threads; i++) {
		if (share[i].started)
			pthread_join(share[i].id, NULL);
	}
	free(share);
}

static int batches_left(const struct search *s)
{
	for (unsigned i = 0; i < s->threads; i++) {
		if (s->thread[i].batch_count)
			return 1;
	}
	return 0;
}

/* Give back what nobody can look at any more. */
static void tidy(struct search *s)
{
	for (unsigned i = 0; i < s->agents; i++)
		kept_tidy(s->agent[i].steps);
	for (unsigned i = 0; i < s->units; i++) {
		entries_free(s->unit[i].memo.entries->older);
		s->unit[i].memo.entries->older = NULL;
	}
}

/* See the cells that invariants have read since. */
static int watch_more(struct search *s)
{
	steps_renew(s);
	return invariants_renew(s);
}

/* Expand the states of one level; 0, or -1 when the search is over. */
static int run_level(struct search *s, uint64_t from, uint64_t to)
{
	s->cursor = from;
	s->end = to;
	for (;;) {
		int pause, anew;

		s->pause = RUN;
		run_threads(s);
		if (s->cursor > s->end)
			s->cursor = s->end;
		pause = s->pause;
		anew = s->states >= s->next_layout && s->next_layout <= LAST_LAYOUT;

		if (!(pause & STOP) && (pause & REPACK || anew)) {
			enum laid_out how = repack(s, anew);

			if (anew)
				s->next_layout *= 16;
			if (how != LAID_OUT)
				stop(s, how == TOO_WIDE ? STOPPED_WIDE : STOPPED_MEMORY);
		}
		if (pause & STOP || s->stopped)
			return -1;
		if ((pause & FORGET && watch_more(s)) ||
		    (pause & GROW_LANES && grow_lanes(s)) ||
		    (pause & MAKE_ROOM && make_room(s))) {
			stop(s, STOPPED_MEMORY);
			return -1;
		}
		tidy(s);
		if (s->cursor >= s->end && !s->again_count && !batches_left(s))
			return 0;
	}
}

int search_open(struct search *s)
{
	pthread_mutex_init(&s->lock, NULL);
	s->labels = calloc(model_labels / 64 + 1, sizeof(uint64_t));
	s->units = model_invariants * model_cpus;
	s->unit = calloc(s->units + 1, sizeof(*s->unit));
	s->violation = calloc(model_invariants + 1, sizeof(*s->violation));
	s->again = calloc(2 * s->threads + 2, sizeof(*s->again));
	s->thread = calloc(s->threads, sizeof(*s->thread));
	if (!s->labels || !s->unit || !s->violation || !s->again || !s->thread)
		return -1;
	for (unsigned i = 0; i < s->units; i++) {
		s->unit[i].invariant = i / model_cpus;
		s->unit[i].cpu = i % model_cpus;
	}
	for (unsigned i = 0; i < s->threads; i++) {
		if (thread_open(s, &s->thread[i]))
			return -1;
	}
	s->store.buckets = 1 << FIRST_STORE_BITS;
	if (history_open(&s->history))
		return -1;
	s->next_layout = FIRST_LAYOUT;
	if (invariants_open(s) || steps_open(s))
		return -1;
	return s->symmetry == NULL ? 0 : symmetry_open(s);
}

/* The first state: number 0 of every component. */
static int begin(struct search *s)
{
	struct thread *t = &s->thread[0];
	struct wide state = {{0}};
	word key = 0;

	for (unsigned i = 0; i < LANES; i++) {
		if (lane_open(&s->lane[i], FIRST_SLOT_BITS, FIRST_SLOT_BITS)) {
			stop(s, STOPPED_MEMORY);
			return -1;
		}
	}
	if (set_key_widths(s) || key_of_state(s, &state, ALL_LANES, 1, &key)) {
		stop(s, STOPPED_MEMORY);
		return -1;
	}
	t->out[t->out_count++] = narrow(key);
	if (rebuild_store(s) || store_put(&s->store, stored(s, key), store_home(&s->store,
	    stored(s, key))) != STORED_NEW || batch_flush(t) ||
	    history_level(&s->history, 0) || history_level(&s->history, 1)) {
		stop(s, STOPPED_MEMORY);
		return -1;
	}
	return judge_later(t, &state, key, ~(uint64_t)0, 0) || judge_asked(t, 0) ? -1 : 0;
}

static uint64_t transitions(const struct search *s)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < s->threads; i++)
		sum += s->thread[i].transitions;
	return sum;
}

/* The first level, or that of a checkpoint; 0, or -1 when the search is over. */
static int begin_or_resume(struct search *s)
{
	int found = s->checkpoint[0] ? checkpoint_read(s) : 0;

	if (found < 0) {
		fprintf(stderr, "the checkpoint is damaged, or there is no memory for it\n");
		exit(3);
	}
	if (!found && begin(s))
		return -1;
	if (invariants_renew(s)) {
		stop(s, STOPPED_MEMORY);
		return -1;
	}
	return 0;
}

/* Whether it is to be searched in another way. */
static int gives_up(const struct search *s)
{
	return s->stopped == STOPPED_FOUND || s->stopped == STOPPED_FACT ||
	    s->stopped == STOPPED_BEYOND || s->stopped == STOPPED_APART;
}

void search_run(struct search *s)
{
	double kept = s->started = s->reported = now();

	if (begin_or_resume(s))
		return;
	for (;; s->level++) {
		uint64_t from = s->history.level[s->level], to = s->history.level[s->level + 1];
		uint64_t before = transitions(s);
		int found = s->failure.found;

		s->images = s->passed = 0;
		for (unsigned i = 0; i < s->threads; i++) {
			s->images += s->thread[i].images;
			s->passed += s->thread[i].passed;
		}
		if (s->checkpoint[0] && now() - kept > s->checkpoint_seconds) {
			checkpoint_write(s, to, before);
			kept = now();
		}
		if (run_level(s, from, to)) {
			if (s->checkpoint[0] && s->stopped != STOPPED_ERROR &&
			    s->stopped != STOPPED_WIDE && s->torn != STATES_TORN && !gives_up(s))
				checkpoint_write(s, to, before);
			break;
		}
		if (history_level(&s->history, s->history.count)) {
			stop(s, STOPPED_MEMORY);
			break;
		}
		history_file(&s->history, to, s->checkpoint[0] ? "." : NULL);
		s->depth = s->level;
		for (unsigned i = 0; i < model_invariants; i++)
			found |= s->violation[i].found;
		if (s->stop_at_first && (found || s->failure.found)) {
			stop(s, STOPPED_FIRST);
			break;
		}
		if (s->history.count == to) {
			s->complete = 1;
			break;
		}
	}
	s->transitions = transitions(s);
	if (s->complete && judge_progress(s)) {
		s->complete = 0;
		stop(s, STOPPED_MEMORY);
	}
	if (gives_up(s))
		s->complete = 0;
	if (s->checkpoint[0] && (s->complete || gives_up(s)))
		checkpoint_remove();
}
