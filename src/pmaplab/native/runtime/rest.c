/* The states in which every CPU is at rest, by what is asked of their memory. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "search.h"

/* The first and the largest room for rows, as a power of 2. */
enum { FIRST_WIDTH = 10, MOST_WIDTH = 31 };

static int at_rest(const struct search *s, const uint64_t *cells)
{
	for (uint64_t i = s->marks.first; i < s->memory; i++) {
		if (!rests(&s->marks, i, cells[i]))
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

/* 1 where a row is new, 0 where it is not, -1 without memory. */
static int add(struct component *rows, const uint64_t *row)
{
	uint32_t before = rows->count, number;

	while (component_number(rows, row, &number)) {
		if (rows->field.width == MOST_WIDTH || component_widen(rows, rows->field.width + 1))
			return -1;
	}
	return rows->count != before;
}

int rest_print(struct search *s)
{
	uint64_t *cells = calloc(s->cells + 1, sizeof(*cells));
	uint64_t *row = calloc(s->rest.cells + 1, sizeof(*row));
	struct component rows;
	int status = cells == NULL || row == NULL ? -1 : 0;

	if (component_open(&rows, (unsigned)s->rest.cells, FIRST_WIDTH))
		status = -1;
	for (uint64_t i = 0; status == 0 && i < s->rest.cells; i++)
		rows.cell[i] = (uint32_t)s->rest.cell[i];
	for (uint64_t at = 0; status == 0 && at < s->history.count; at++) {
		if (!row_of(s, at, cells, row))
			continue;
		status = add(&rows, row);
		if (status == 1)
			status = print_row(row, s->rest.cells, rows.count == 1 ? "" : ", ");
	}
	free(cells);
	free(row);
	component_close(&rows);
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
