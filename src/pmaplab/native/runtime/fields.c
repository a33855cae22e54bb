/* Fields of components: how wide they are, and what is in another lane. */
#include <string.h>

#include "search.h"

enum {
	SPARE = 3	/* bits that a field gets at most on top of what it needs */
};

unsigned needed(const struct component *c)
{
	unsigned bits = bits_for(c->count);

	return bits < c->wanted ? c->wanted : bits;
}

/* The lane in which a field can grow. */
static unsigned growing_lane(const struct places *p, unsigned component)
{
	return p->over[component] ? p->over_lane[component] : p->lane[component];
}

/* Let the bits that a field, one of a lane that is full, needs now be in the lane with most
 * room: it is 0 there in all states; 0, or -1 where that is no help. */
static int spill(const struct search *s, struct places *p, unsigned lane)
{
	unsigned best = 0, grows = s->components, more;

	for (unsigned i = 1; i < LANES; i++) {
		if (room_of(s, i) + p->total[best] > room_of(s, best) + p->total[i])
			best = i;
	}
	for (unsigned i = 0; i < s->components; i++) {
		if (p->lane[i] == lane && !p->over[i] && p->width[i] > s->component[i].field.width)
			grows = i;
	}
	if (grows == s->components)
		return -1;
	more = p->width[grows] - s->component[grows].field.width;
	if (p->total[best] + more > room_of(s, best))
		return -1;
	p->over[grows] = more;
	p->over_lane[grows] = best;
	p->total[lane] -= more;
	p->total[best] += more;
	return 0;
}

int fields_fit(const struct search *s, struct places *p, int anew)
{
	memset(p->total, 0, sizeof(p->total));
	for (unsigned i = 0; i < s->components; i++) {
		const struct component *c = &s->component[i];
		unsigned own = c->field.width - c->field.over, need = needed(c);

		/* What was spilled once keeps the bits that it has in its own lane. */
		p->over[i] = anew || !c->field.over ? 0 : need > own ? need - own : 1;
		p->over_lane[i] = c->field.over_lane;
		p->width[i] = p->over[i] ? own + p->over[i] : need;
		p->total[p->lane[i]] += p->width[i] - p->over[i];
		if (p->over[i])
			p->total[p->over_lane[i]] += p->over[i];
	}
	for (unsigned n = 0; n < LANES; n++) {
		while (p->total[n] > room_of(s, n)) {
			if (anew || spill(s, p, n))
				return -1;
		}
	}
	for (unsigned n = 0; n < LANES; n++) {
		while (p->total[n] < room_of(s, n)) {
			unsigned fullest = s->components;
			double most = 0.12;

			for (unsigned i = 0; i < s->components; i++) {
				const struct component *c = &s->component[i];
				double full = c->count / (double)((uint64_t)1 << p->width[i]);

				/* One that has never changed may never do so. */
				if (c->count == 1)
					full /= 5;
				if (growing_lane(p, i) == n && full >= most &&
				    p->width[i] < needed(c) + SPARE) {
					most = full;
					fullest = i;
				}
			}
			if (fullest == s->components)
				break;
			p->width[fullest]++;
			p->over[fullest] += p->over[fullest] > 0;
			p->total[n]++;
		}
	}
	return 0;
}
