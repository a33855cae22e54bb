#include "lanes.h"

#include <string.h>

#include "memory.h"

static int open_slots(struct lane *lane)
{
	lane->slot = pages_map(sizeof(*lane->slot) << lane->bits, 1);
	lane->content = pages_map(sizeof(*lane->content) << lane->bits, 1);
	return lane->slot == NULL || lane->content == NULL ? -1 : 0;
}

void lane_limit(struct lane *lane)
{
	uint64_t slots = ((uint64_t)1 << lane->bits) / 4 * 3, numbers = (uint64_t)1 << lane->width;

	/* So many threads may each be about to add one. */
	lane->most = (slots < numbers ? slots : numbers) - MOST_THREADS;
}

int lane_open(struct lane *lane, unsigned bits, unsigned width)
{
	memset(lane, 0, sizeof(*lane));
	lane->bits = bits;
	lane->width = width;
	lane_limit(lane);
	return open_slots(lane);
}

void lane_close(struct lane *lane)
{
	pages_unmap(lane->slot, sizeof(*lane->slot) << lane->bits);
	pages_unmap(lane->content, sizeof(*lane->content) << lane->bits);
	lane->slot = NULL;
	lane->content = NULL;
}

uint64_t lane_bytes(const struct lane *lane)
{
	return (sizeof(*lane->slot) << lane->bits) + lane->count * sizeof(*lane->content);
}

static uint64_t same(const void *how, uint64_t content)
{
	(void)how;
	return content;
}

static int rebuild(struct lane *lane, unsigned bits,
    uint64_t (*changed)(const void *how, uint64_t content), const void *how)
{
	struct lane old = *lane;
	uint64_t last = ((uint64_t)1 << bits) - 1;

	lane->bits = bits;
	if (open_slots(lane))
		return -1;
	for (uint64_t number = 0; number < old.count; number++) {
		uint64_t content = changed(how, old.content[number]), at = lane_hash(content) & last;

		while (lane->slot[at].content)
			at = at + 1 & last;
		lane->slot[at] = (struct lane_slot){content | LANE_TOP, number + 1};
		lane->content[number] = content;
	}
	lane_close(&old);
	lane_limit(lane);
	return 0;
}

int lane_grow(struct lane *lane, unsigned bits, unsigned width)
{
	lane->width = width;
	return rebuild(lane, bits, same, NULL);
}

int lane_change(struct lane *lane, uint64_t (*changed)(const void *how, uint64_t content),
    const void *how)
{
	return rebuild(lane, lane->bits, changed, how);
}
