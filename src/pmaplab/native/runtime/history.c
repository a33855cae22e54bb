/* The states in the order of their levels: the frontier, and the way back. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif
#include <unistd.h>

#include "memory.h"
#include "search.h"

enum {
	MOST_CHUNKS = 1 << 20,
	KEPT_CHUNKS = 8,	/* so many stay in memory */
	IN_MEMORY = 0x01021994,	/* a file system that is (TMPFS_MAGIC) */
	CHUNK_BYTES = CHUNK * sizeof(struct packed)
};

struct packed narrow(word key)
{
	struct packed result;

	memcpy(&result, &key, sizeof(result));
	return result;
}

int history_open(struct history *h)
{
	memset(h, 0, sizeof(*h));
	h->file = -1;
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
				struct packed *chunk = pages_any(CHUNK_BYTES);

				if (chunk != NULL)
					h->chunks++;
				__atomic_store_n(&h->chunk[number], chunk, __ATOMIC_RELEASE);
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

/* A file without a name in a folder that is not itself in memory; -1 where there is none. */
static int open_file(const char *folder)
{
	const char *folders[] = {folder, getenv("TMPDIR"), "/var/tmp", "/tmp"};

	for (unsigned i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		char name[4096];
		int file;
#ifdef __linux__
		struct statfs found;

		if (folders[i] != NULL && (statfs(folders[i], &found) || found.f_type == IN_MEMORY))
			continue;
#endif
		if (folders[i] == NULL || (size_t)snprintf(name, sizeof(name), "%s/pmaplab-XXXXXX",
		    folders[i]) >= sizeof(name))
			continue;
		file = mkostemp(name, O_CLOEXEC);
		if (file >= 0) {
			(void)unlink(name);
			return file;
		}
	}
	return -1;
}

static int write_chunk(int file, const struct packed *chunk, off_t at)
{
	for (size_t done = 0; done < CHUNK_BYTES;) {
		ssize_t count = pwrite(file, (const char *)chunk + done, CHUNK_BYTES - done,
		    at + (off_t)done);

		if (count <= 0)
			return -1;
		done += (size_t)count;
	}
	return 0;
}

void history_file(struct history *h, uint64_t before, const char *folder)
{
	uint64_t full = before / CHUNK;

	if (full > h->filed && h->chunks > KEPT_CHUNKS && h->filed == 0)
		h->file = open_file(folder);
	for (; h->file >= 0 && h->filed < full && h->chunks - h->filed > KEPT_CHUNKS; h->filed++) {
		struct packed *chunk = h->chunk[h->filed];
		off_t at = (off_t)h->filed * CHUNK_BYTES;
		void *pages = MAP_FAILED;

		if (write_chunk(h->file, chunk, at) == 0)
			pages = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, h->file, at);
		if (pages == MAP_FAILED) {
			/* Where the file cannot grow, what is left stays in memory. */
			close(h->file);
			h->file = -1;
			return;
		}
		h->chunk[h->filed] = pages;
		pages_unmap(chunk, CHUNK_BYTES);
	}
}

uint64_t history_bytes(const struct history *h)
{
	return (h->chunks - h->filed) * CHUNK_BYTES;
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
