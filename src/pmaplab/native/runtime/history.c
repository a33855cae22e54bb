/* The states in the order of their levels: the frontier, and the way back. */
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "search.h"

enum { MOST_CHUNKS = 1 << 20 };

struct packed narrow(word key)
{
	struct packed result;

	memcpy(&result, &key, sizeof(result));
	return result;
}

int history_open(struct history *h)
{
	memset(h, 0, sizeof(*h));
	pthread_mutex_init(&h->lock, NULL);
	h->chunk = pages_map(MOST_CHUNKS * sizeof(*h->chunk), 0);
	return h->chunk == NULL ? -1 : 0;
}

static struct packed *at_place(const struct history *h, uint64_t at)
{
	return &__atomic_load_n(&h->chunk[at / CHUNK], __ATOMIC_ACQUIRE)[at % CHUNK];
}

word history_get(const struct history *h, uint64_t at)
{
	word key = 0;

	memcpy(&key, at_place(h, at), sizeof(struct packed));
	return key;
}

void history_set(struct history *h, uint64_t at, word key)
{
	*at_place(h, at) = narrow(key);
}

int history_append(struct history *h, const struct packed *states, unsigned count)
{
	uint64_t at = __atomic_fetch_add(&h->count, count, __ATOMIC_RELAXED);

	while (count) {
		uint64_t number = at / CHUNK, room = CHUNK - at % CHUNK;
		unsigned now = count < room ? count : (unsigned)room;

		if (number >= MOST_CHUNKS)
			return -1;
		if (__atomic_load_n(&h->chunk[number], __ATOMIC_ACQUIRE) == NULL) {
			pthread_mutex_lock(&h->lock);
			if (h->chunk[number] == NULL) {
				void *pages = pages_map(CHUNK * sizeof(struct packed), 0);

				if (pages != NULL)
					h->chunks++;
				__atomic_store_n(&h->chunk[number], pages, __ATOMIC_RELEASE);
			}
			pthread_mutex_unlock(&h->lock);
			if (h->chunk[number] == NULL)
				return -1;
		}
		memcpy(at_place(h, at), states, now * sizeof(*states));
		at += now;
		states += now;
		count -= now;
	}
	return 0;
}

int history_level(struct history *h, uint64_t from)
{
	if ((h->levels & (h->levels - 1)) == 0) {
		uint64_t *level = realloc(h->level, (2 * h->levels + 1) * sizeof(*level));

		if (level == NULL)
			return -1;
		h->level = level;
	}
	h->level[h->levels++] = from;
	return 0;
}

uint64_t history_level_of(const struct history *h, uint64_t at)
{
	uint64_t low = 0, high = h->levels;

	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;

		if (h->level[middle] <= at)
			low = middle;
		else
			high = middle;
	}
	return low;
}
