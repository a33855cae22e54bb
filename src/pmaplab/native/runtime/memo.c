#include "memo.h"

#include "memory.h"

enum { FEWEST = 64 };

static size_t entries_bytes(uint64_t count)
{
	return sizeof(struct entries) + count * sizeof(struct entry);
}

static struct entries *entries_make(uint64_t count)
{
	struct entries *all = pages_map(entries_bytes(count), 1);

	if (all != NULL)
		all->last = count - 1;
	return all;
}

int memo_open(struct memo *memo)
{
	memo->entries = entries_make(FEWEST);
	return memo->entries == NULL ? -1 : 0;
}

void entries_free(struct entries *all)
{
	while (all != NULL) {
		struct entries *older = all->older;

		pages_unmap(all, entries_bytes(all->last + 1));
		all = older;
	}
}

void memo_close(struct memo *memo)
{
	entries_free(memo->entries);
	memo->entries = NULL;
}

int memo_clear(struct memo *memo)
{
	struct entries *before = memo->entries;

	if (memo_open(memo)) {
		memo->entries = before;
		return -1;
	}
	entries_free(before);
	return 0;
}

static void insert(struct entries *all, word key, word value)
{
	uint64_t at = memo_hash(key) & all->last;
	uint64_t *halves;

	while (all->entry[at].key >> 64)
		at = at + 1 & all->last;
	halves = (uint64_t *)&all->entry[at].key;
	all->entry[at].value = value;
	halves[0] = (uint64_t)key;
	__atomic_store_n(&halves[1], (uint64_t)(key >> 64), __ATOMIC_RELEASE);
	all->count++;
}

int memo_put(struct memo *memo, word key, word value)
{
	struct entries *all = memo->entries;

	if (2 * all->count > all->last) {
		struct entries *larger = entries_make(4 * (all->last + 1));

		if (larger == NULL)
			return -1;
		for (uint64_t at = 0; at <= all->last; at++) {
			if (all->entry[at].key >> 64)
				insert(larger, all->entry[at].key, all->entry[at].value);
		}
		larger->older = all;
		__atomic_store_n(&memo->entries, larger, __ATOMIC_RELEASE);
		all = larger;
	}
	insert(all, key, value);
	return 0;
}
