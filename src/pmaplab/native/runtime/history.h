/*
 * The states, by their keys, in the order in which they were found; those behind the
 * frontier go into a file.
 */
#ifndef PMAPLAB_HISTORY_H
#define PMAPLAB_HISTORY_H

#include <pthread.h>
#include <stdint.h>

#include "store.h"

enum {
	KEY_BITS = 94,		/* of a state's key */
	PLACED_BIT = 94,	/* of a key in the history, while lanes are filled anew */
	FLAG_BIT = 95,		/* of a key in the history: somebody waits */
	CHUNK = 1 << 16		/* states in a chunk of the history */
};

struct packed {
	uint32_t part[3];
};

struct history {
	struct packed **chunk;
	uint64_t chunks, count;
	uint64_t filed;		/* of the first chunks: they are in a file */
	int file;		/* -1: none yet, or there can be none */
	uint64_t *level;	/* where each level begins */
	uint64_t levels;
	pthread_mutex_t lock;
};

/* Without the flag. */
static inline word plain_key(word key)
{
	return key & ~((word)1 << FLAG_BIT);
}

int history_open(struct history *h);
int history_append(struct history *h, const struct packed *states, unsigned count);
word history_get(const struct history *h, uint64_t at);
void history_set(struct history *h, uint64_t at, word key);
struct packed narrow(word key);
/* Let what lies before a state go into a file; it can still be read and changed. */
void history_file(struct history *h, uint64_t before, const char *folder);
/* What of it is in memory, in bytes. */
uint64_t history_bytes(const struct history *h);
int history_level(struct history *h, uint64_t from);
uint64_t history_level_of(const struct history *h, uint64_t at);

#endif
