/* The states in which every CPU is at rest, by what is asked of their memory. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "search.h"

static int at_rest(const struct search *s, const uint64_t *cells)
{
	for (uint64_t i = s->rest.regions; i < s->memory; i++) {
		if ((cells[i] & s->rest.active) != s->rest.active || (cells[i] & s->rest.moving))
			return 0;
	}
	return 1;
}

/* What is asked of a state; 0 where somebody is not at rest. */
static int row_of(const struct search *s, uint64_t at, uint64_t *cells, uint64_t *row)
{
	struct wide state = state_of_key(s, plain_key(history_get(&s->history, at)));

	unpack(s, &state, cells);
	if (!at_rest(s, cells))
		return 0;
	for (uint64_t i = 0; i < s->rest.cells; i++)
		row[i] = cells[s->rest.cell[i]] & s->rest.mask[i];
	return 1;
}

static uint64_t hash_of(const uint64_t *row, uint64_t count)
{
	uint64_t hash = 0x9e3779b97f4a7c15u;

	for (uint64_t i = 0; i < count; i++) {
		hash = (hash ^ row[i]) * 0xd6e8feb86659fd93u;
		hash ^= hash >> 32;
	}
	return hash;
}

static int print_row(const uint64_t *row, uint64_t count, const char *comma)
{
	if (printf("%s[", comma) < 0)
		return -1;
	for (uint64_t i = 0; i < count; i++) {
		if (printf("%s%" PRIu64, i ? ", " : "", row[i]) < 0)
			return -1;
	}
	return printf("]") < 0 ? -1 : 0;
}

/* A set of rows, as numbers from 1 on in a table of 2^bits places. */
struct rows {
	uint64_t *row, *place;
	uint64_t count, cells;
	unsigned bits;
};

static int grow(struct rows *rows)
{
	unsigned bits = rows->bits ? rows->bits + 1 : 10;
	uint64_t *place = calloc((uint64_t)1 << bits, sizeof(*place));
	uint64_t *row = realloc(rows->row, (rows->cells * sizeof(*row) << bits) / 2 + 1);

	if (row != NULL)
		rows->row = row;
	if (place == NULL || row == NULL) {
		free(place);
		return -1;
	}
	for (uint64_t n = 0; n < rows->count; n++) {
		uint64_t at = hash_of(row + n * rows->cells, rows->cells) >> (64 - bits);

		while (place[at])
			at = (at + 1) & (((uint64_t)1 << bits) - 1);
		place[at] = n + 1;
	}
	free(rows->place);
	rows->place = place;
	rows->bits = bits;
	return 0;
}

/* 1 where a row is new, 0 where it is not, -1 without memory. */
static int add(struct rows *rows, const uint64_t *row)
{
	uint64_t at, size = rows->cells * sizeof(*row);

	if ((rows->bits == 0 || rows->count * 2 >= (uint64_t)1 << rows->bits) && grow(rows))
		return -1;
	at = hash_of(row, rows->cells) >> (64 - rows->bits);
	for (; rows->place[at]; at = (at + 1) & (((uint64_t)1 << rows->bits) - 1)) {
		if (memcmp(rows->row + (rows->place[at] - 1) * rows->cells, row, size) == 0)
			return 0;
	}
	memcpy(rows->row + rows->count * rows->cells, row, size);
	rows->place[at] = ++rows->count;
	return 1;
}

int rest_print(struct search *s)
{
	uint64_t *cells = calloc(s->cells + 1, sizeof(*cells));
	uint64_t *row = calloc(s->rest.cells + 1, sizeof(*row));
	struct rows rows = {NULL, NULL, 0, s->rest.cells, 0};
	int status = cells == NULL || row == NULL ? -1 : 0;

	for (uint64_t at = 0; status == 0 && at < s->history.count; at++) {
		if (!row_of(s, at, cells, row))
			continue;
		status = add(&rows, row);
		if (status == 1)
			status = print_row(row, rows.cells, rows.count == 1 ? "" : ", ");
	}
	free(cells);
	free(row);
	free(rows.row);
	free(rows.place);
	return status;
}

int rest_find(struct search *s)
{
	uint64_t *cells = calloc(s->cells + 1, sizeof(*cells));
	uint64_t *row = calloc(s->rest.cells + 1, sizeof(*row));
	int status = cells == NULL || row == NULL ? -1 : 0;

	for (uint64_t at = 0; status == 0 && at < s->history.count; at++) {
		if (row_of(s, at, cells, row) &&
		    memcmp(row, s->rest.wanted, s->rest.cells * sizeof(*row)) == 0) {
			word key = plain_key(history_get(&s->history, at));
			uint64_t level = history_level_of(&s->history, at);
			struct wide state = state_of_key(s, key);

			note(s, &s->rest.target, &state, key, level, 0);
		}
	}
	free(cells);
	free(row);
	return status;
}
