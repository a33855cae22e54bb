/*
 * Checkpoints: the search as it was at the begin of a level, in one file in the
 * current folder.  A new one takes the place of the old one when it is whole.
 * What is kept of steps and invariants is found again, and not in it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "search.h"

#define FILE_NAME	"search"
#define NEW_NAME	"search.new"

struct stream {
	FILE *file;
	int reads, bad;
	uint64_t sum;		/* of everything so far */
};

/* Read or write; -1 where it cannot be done. */
static int pass(struct stream *f, void *data, size_t bytes)
{
	const unsigned char *byte = data;

	if (f->bad || (f->reads ? fread(data, 1, bytes, f->file) :
	    fwrite(data, 1, bytes, f->file)) != bytes) {
		f->bad = 1;
		return -1;
	}
	for (; bytes >= sizeof(uint64_t); bytes -= sizeof(uint64_t), byte += sizeof(uint64_t)) {
		uint64_t value;

		memcpy(&value, byte, sizeof(value));
		f->sum = (f->sum ^ value) * 0x9e3779b97f4a7c15u;
		f->sum ^= f->sum >> 32;
	}
	for (; bytes; bytes--)
		f->sum = (f->sum ^ *byte++) * 0xd6e8feb86659fd93u;
	return 0;
}

#define PASS(f, value)	pass(f, &(value), sizeof(value))

static int pass_component(struct stream *f, struct component *c)
{
	uint32_t count = c->count, number;
	struct field field = c->field;

	if (PASS(f, count) || PASS(f, field) || PASS(f, c->wanted))
		return -1;
	if (!f->reads)
		return pass(f, c->rows, (size_t)count * c->cells * sizeof(*c->rows));
	if (field.width > 32 || count > (uint64_t)1 << field.width || field.lane >= LANES ||
	    field.over > field.width || field.over_lane >= LANES ||
	    component_widen(c, field.width))
		return -1;
	c->field = field;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t row[c->cells];

		/* The first one is there. */
		if (pass(f, row, sizeof(row)) || component_number(c, row, &number) || number != i)
			return -1;
	}
	return 0;
}

static int pass_lane(struct stream *f, struct lane *lane)
{
	uint64_t count = lane->count, number;
	unsigned bits = lane->bits, width = lane->width, shift = lane->shift;

	if (PASS(f, count) || PASS(f, bits) || PASS(f, width) || PASS(f, shift))
		return -1;
	if (!f->reads)
		return pass(f, lane->content, count * sizeof(*lane->content));
	if (bits > 40 || width > 40 || count > (uint64_t)1 << bits || lane_open(lane, bits, width))
		return -1;
	lane->shift = shift;
	lane->most = count;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t content;

		if (PASS(f, content) || lane_number(lane, content, 1, &number) || number != i)
			return -1;
	}
	lane_limit(lane);
	return 0;
}

static int pass_history(struct stream *f, struct search *s, uint64_t states)
{
	uint64_t level = s->level;

	if (PASS(f, states) || PASS(f, level))
		return -1;
	s->level = level;
	for (uint64_t i = 0; i <= level + 1; i++) {
		uint64_t from = f->reads ? 0 : s->history.level[i];

		if (PASS(f, from) || (f->reads && history_level(&s->history, from)))
			return -1;
	}
	for (uint64_t at = 0; at < states; at++) {
		struct packed state = {{0}};

		if (!f->reads)
			state = narrow(history_get(&s->history, at));
		if (PASS(f, state) || (f->reads && history_append(&s->history, &state, 1)))
			return -1;
	}
	return 0;
}

/* What was found at deeper levels is found again. */
static int pass_target(struct stream *f, struct target *target, uint64_t levels)
{
	struct target kept = *target;

	if (!f->reads && kept.level >= levels)
		memset(&kept, 0, sizeof(kept));
	if (PASS(f, kept))
		return -1;
	if (f->reads)
		*target = kept;
	return 0;
}

static int pass_all(struct stream *f, struct search *s, uint64_t states, uint64_t *transitions)
{
	uint64_t sum, end;

	for (unsigned i = 0; i < s->components; i++) {
		if (pass_component(f, &s->component[i]))
			return -1;
	}
	for (unsigned i = 0; i < LANES; i++) {
		if (pass_lane(f, &s->lane[i]))
			return -1;
	}
	for (unsigned i = 0; i < s->units; i++) {
		if (pass(f, s->unit[i].reads, (s->memory / 64 + 1) * sizeof(uint64_t)))
			return -1;
	}
	if (PASS(f, *transitions) || PASS(f, s->depth) || PASS(f, s->exempt) || PASS(f, s->images) ||
	    PASS(f, s->passed) ||
	    PASS(f, s->next_layout) || pass_target(f, &s->failure, s->level) ||
	    pass(f, s->labels, (model_labels / 64 + 1) * sizeof(uint64_t)) ||
	    pass_history(f, s, states))
		return -1;
	for (unsigned i = 0; i < model_invariants; i++) {
		if (pass_target(f, &s->violation[i], s->level + 1))
			return -1;
	}
	if (s->ownership != NULL && pass(f, s->ownership->wrong,
	    s->ownership->names * sizeof(*s->ownership->wrong)))
		return -1;
	sum = end = f->sum;
	return PASS(f, end) || end != sum ? -1 : 0;
}

void checkpoint_write(struct search *s, uint64_t states, uint64_t transitions)
{
	struct stream f = {fopen(NEW_NAME, "wb"), 0, 0, 0};

	if (f.file == NULL || fprintf(f.file, "%s\n", s->checkpoint) < 0 ||
	    pass_all(&f, s, states, &transitions) || fflush(f.file) || fsync(fileno(f.file)) ||
	    fclose(f.file) || rename(NEW_NAME, FILE_NAME)) {
		fprintf(stderr, "the checkpoint cannot be written: %s\n", strerror(errno));
		exit(3);
	}
}

void checkpoint_remove(void)
{
	(void)unlink(FILE_NAME);
}

/* Set cells that invariants have read, as if they had just read them. */
static void watch_again(struct search *s)
{
	for (unsigned i = 0; i < s->units; i++) {
		s->unit[i].stale = 1;
		for (uint64_t cell = 0; cell < s->memory; cell++) {
			if (s->unit[i].reads[cell / 64] >> cell % 64 & 1)
				s->watchers[cell] |= unit_bit(i);
		}
	}
}

int checkpoint_read(struct search *s)
{
	struct stream f = {fopen(FILE_NAME, "rb"), 1, 0, 0};
	uint64_t transitions = 0;
	char line[128] = "";

	if (f.file == NULL)
		return errno == ENOENT ? 0 : -1;
	if (fgets(line, sizeof(line), f.file) == NULL ||
	    strncmp(line, s->checkpoint, strlen(s->checkpoint)) != 0 ||
	    pass_all(&f, s, 0, &transitions) || fgetc(f.file) != EOF) {
		fclose(f.file);
		return -1;
	}
	fclose(f.file);
	s->states = s->history.count;
	s->thread[0].transitions = transitions;
	s->thread[0].images = s->images;
	s->thread[0].passed = s->passed;
	watch_again(s);
	return steps_fit(s) || invariants_renew(s) || rebuild_store(s) ? -1 : 1;
}
