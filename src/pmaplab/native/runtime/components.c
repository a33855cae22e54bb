#include "components.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

static uint64_t scrambled(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15u;
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9u;
	return x ^ x >> 32;
}

static uint64_t cell_hash(const struct component *c, unsigned i, uint64_t value)
{
	return scrambled(value + scrambled(c->cell[i] + 1));
}

static uint64_t row_hash(const struct component *c, const uint64_t *row)
{
	uint64_t sum = 0;

	/* A sum over cells, so that it does not depend on how cells are grouped. */
	for (unsigned i = 0; i < c->cells; i++)
		sum += cell_hash(c, i, row[i]);
	return sum;
}

static uint64_t capacity(const struct component *c)
{
	return (uint64_t)1 << c->field.width;
}

static uint64_t row_bytes(const struct component *c)
{
	return capacity(c) * c->cells * sizeof(uint64_t);
}

static int open_rows(struct component *c)
{
	c->rows = pages_map(row_bytes(c), 0);
	c->hashes = pages_map(capacity(c) * sizeof(uint64_t), 0);
	c->index = pages_map(2 * capacity(c) * sizeof(uint32_t), 0);
	return c->rows == NULL || c->hashes == NULL || c->index == NULL ? -1 : 0;
}

static void close_rows(struct component *c)
{
	pages_unmap(c->rows, row_bytes(c));
	pages_unmap(c->hashes, capacity(c) * sizeof(uint64_t));
	pages_unmap(c->index, 2 * capacity(c) * sizeof(uint32_t));
}

int component_open(struct component *c, unsigned cells, unsigned width)
{
	memset(c, 0, sizeof(*c));
	c->cells = cells;
	field_resize(&c->field, width, 0);
	pthread_mutex_init(&c->lock, NULL);
	c->cell = calloc(cells, sizeof(uint32_t));
	return c->cell == NULL ? -1 : open_rows(c);
}

void component_close(struct component *c)
{
	close_rows(c);
	free(c->cell);
	pthread_mutex_destroy(&c->lock);
}

uint64_t component_bytes(const struct component *c)
{
	return (uint64_t)c->count * (c->cells * sizeof(uint64_t) + 16);
}

/* Where in the index a row is, or would be. */
static uint64_t place(const struct component *c, const uint64_t *row, uint64_t hash)
{
	uint64_t last = 2 * capacity(c) - 1, at = scrambled(hash) & last;
	uint32_t found;

	/* It is written last, and may be written at this moment. */
	while ((found = __atomic_load_n(&c->index[at], __ATOMIC_ACQUIRE)) != 0) {
		uint32_t number = found - 1;

		if (c->hashes[number] == hash && memcmp(&c->rows[(uint64_t)number * c->cells], row,
		    c->cells * sizeof(uint64_t)) == 0)
			break;
		at = at + 1 & last;
	}
	return at;
}

static uint32_t append(struct component *c, const uint64_t *row, uint64_t hash, uint64_t at)
{
	uint32_t number = c->count++;

	memcpy(&c->rows[(uint64_t)number * c->cells], row, c->cells * sizeof(uint64_t));
	c->hashes[number] = hash;
	__atomic_store_n(&c->index[at], number + 1, __ATOMIC_RELEASE);
	return number;
}

int component_widen(struct component *c, unsigned width)
{
	struct component old = *c;

	field_resize(&c->field, width, 0);
	c->count = 0;
	if (open_rows(c))
		return -1;
	for (uint32_t number = 0; number < old.count; number++) {
		const uint64_t *row = &old.rows[(uint64_t)number * c->cells];

		append(c, row, old.hashes[number], place(c, row, old.hashes[number]));
	}
	close_rows(&old);
	return 0;
}

__attribute__((noinline, cold)) uint32_t field_joined(const struct field *f,
    const struct wide *state)
{
	uint64_t over = state->lane[f->over_lane] >> f->over_shift & low_bits(f->over);

	return (uint32_t)(over << (f->width - f->over)) | field_own(f, state);
}

static int number_of(struct component *c, const uint64_t *row, uint64_t hash, uint32_t *number)
{
	uint32_t known = __atomic_load_n(&c->index[place(c, row, hash)], __ATOMIC_ACQUIRE);
	uint64_t at;
	int status = 0;

	if (known) {
		*number = known - 1;
		return 0;
	}
	pthread_mutex_lock(&c->lock);
	at = place(c, row, hash);
	if (c->index[at]) {
		*number = c->index[at] - 1;
	} else if (c->count < capacity(c)) {
		*number = append(c, row, hash, at);
	} else {
		c->wanted = c->field.width + 1;
		status = -1;
	}
	pthread_mutex_unlock(&c->lock);
	return status;
}

int component_number(struct component *c, const uint64_t *row, uint32_t *number)
{
	return number_of(c, row, row_hash(c, row), number);
}

int component_renumber(struct component *c, uint32_t from, const uint64_t *s, uint64_t *row,
    uint32_t *number)
{
	const uint64_t *before = &c->rows[(uint64_t)from * c->cells];
	uint64_t hash = c->hashes[from];
	int changed = 0;

	for (unsigned i = 0; i < c->cells; i++) {
		row[i] = s[c->cell[i]];
		if (row[i] != before[i]) {
			hash += cell_hash(c, i, row[i]) - cell_hash(c, i, before[i]);
			changed = 1;
		}
	}
	*number = from;
	return changed ? number_of(c, row, hash, number) : 0;
}

void component_unpack(const struct component *c, uint32_t number, uint64_t *s)
{
	const uint64_t *row = &c->rows[(uint64_t)number * c->cells];

	for (unsigned i = 0; i < c->cells; i++)
		s[c->cell[i]] = row[i];
}

void component_gather(const struct component *c, const uint64_t *s, uint64_t *row)
{
	for (unsigned i = 0; i < c->cells; i++)
		row[i] = s[c->cell[i]];
}
