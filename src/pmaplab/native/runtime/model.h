/*
 * What the generated code of a model and the runtime know of each other.
 *
 * The generated code runs one step of one agent, or one invariant, on a flat
 * row of cells.  It notes which components of the state it touches, so that
 * what it did can be kept and used again wherever these components are equal.
 * Every value is the 64 bits of a cell; signed ones are extended to 64 bits.
 */
#ifndef PMAPLAB_MODEL_H
#define PMAPLAB_MODEL_H

#include <setjmp.h>
#include <stdint.h>

/* The program counter of an agent that has come to its end. */
enum { DONE = 1 };

/* The component of cells that nobody writes. */
enum { CONSTANT_COMPONENT = 63 };

/* More choices than these in one step are refused. */
enum { MOST_CHOICES = 256 };

/* How a piece of generated code ends. */
enum ending {
	TAKEN,		/* the step was taken, the invariant holds */
	DISABLED,	/* an assumption does not hold */
	FAILED,		/* a failed assertion, or a fault */
	NO_MEANING,	/* a value outside its range, a step without an end */
	NOT_MODELLED	/* the engine does not do this: no verdict */
};

struct machine {
	uint64_t *s;			/* the cells */
	const uint8_t *component_of;	/* the component of each cell of the memory */
	uint64_t memory;		/* how many cells the memory has */
	uint64_t touched;		/* components read or written, one bit each */
	uint64_t written;
	uint64_t *read, *wrote;		/* cells, one bit each */
	uint64_t *labels;		/* labels passed, one bit each */
	long budget;			/* points that the step may still go through */
	unsigned site;			/* the instruction that failed */
	/* Choices: which were asked for, which were made, and how many there are. */
	unsigned given_count, taken_count;
	uint64_t given[MOST_CHOICES], taken[MOST_CHOICES], limit[MOST_CHOICES];
	jmp_buf out;
};

/* --- what the generated code defines ------------------------------------- */

extern const unsigned model_labels;
extern const unsigned model_invariants;
extern const unsigned model_cpus;
extern const uint64_t model_regions;		/* the first CPU's region mask */
extern const long model_longest_step;
extern const uint64_t model_exempt[];		/* regions, by invariant */

/* One step of the agent whose part begins at cell b, on CPU c. */
enum ending model_step(struct machine *m, uint64_t b, uint64_t c);
/* Ask one invariant for one CPU; leaves through m->out where it fails. */
void model_check(struct machine *m, unsigned invariant, uint64_t c);
/* `inside` without the regions whose extra condition does not hold. */
uint64_t model_active(struct machine *m, uint64_t c, uint64_t inside);

/* --- what it uses --------------------------------------------------------- */

static inline _Noreturn void leave(struct machine *m, unsigned site, enum ending how)
{
	m->site = site;
	longjmp(m->out, (int)how);
}

static inline _Noreturn void failed(struct machine *m, unsigned site)
{
	leave(m, site, FAILED);
}

static inline uint64_t load(struct machine *m, unsigned site, uint64_t address)
{
	if (address >= m->memory)
		leave(m, site, NOT_MODELLED);
	m->touched |= 1ull << m->component_of[address];
	m->read[address / 64] |= 1ull << address % 64;
	return m->s[address];
}

static inline void store(struct machine *m, unsigned site, uint64_t address, uint64_t value)
{
	if (address >= m->memory || m->component_of[address] == CONSTANT_COMPONENT)
		leave(m, site, NOT_MODELLED);
	m->touched |= 1ull << m->component_of[address];
	m->written |= 1ull << m->component_of[address];
	m->wrote[address / 64] |= 1ull << address % 64;
	m->s[address] = value;
}

static inline uint64_t not_null(struct machine *m, unsigned site, uint64_t pointer)
{
	if (pointer == 0)
		failed(m, site);
	return pointer;
}

static inline uint64_t in_array(struct machine *m, unsigned site, uint64_t index, uint64_t length)
{
	if (index >= length)
		failed(m, site);
	return index;
}

/* Arithmetic: `most` is the largest value of an unsigned type, `bits` the width
 * of a signed one. */

static inline uint64_t fit_signed(struct machine *m, unsigned site, __int128 value, unsigned bits)
{
	__int128 half = (__int128)1 << (bits - 1);

	if (value < -half || value >= half)
		failed(m, site);
	return (uint64_t)(int64_t)value;
}

static inline uint64_t add_signed(struct machine *m, unsigned site, uint64_t a, uint64_t b,
    unsigned bits)
{
	return fit_signed(m, site, (__int128)(int64_t)a + (int64_t)b, bits);
}

static inline uint64_t sub_signed(struct machine *m, unsigned site, uint64_t a, uint64_t b,
    unsigned bits)
{
	return fit_signed(m, site, (__int128)(int64_t)a - (int64_t)b, bits);
}

static inline uint64_t mul_signed(struct machine *m, unsigned site, uint64_t a, uint64_t b,
    unsigned bits)
{
	return fit_signed(m, site, (__int128)(int64_t)a * (int64_t)b, bits);
}

static inline uint64_t shl_signed(struct machine *m, unsigned site, uint64_t a, uint64_t count,
    unsigned bits)
{
	return fit_signed(m, site, (__int128)(int64_t)a * ((__int128)1 << count), bits);
}

static inline uint64_t div_unsigned(struct machine *m, unsigned site, uint64_t a, uint64_t b)
{
	if (b == 0)
		failed(m, site);
	return a / b;
}

static inline uint64_t mod_unsigned(struct machine *m, unsigned site, uint64_t a, uint64_t b)
{
	if (b == 0)
		failed(m, site);
	return a % b;
}

static inline uint64_t div_signed(struct machine *m, unsigned site, uint64_t a, uint64_t b,
    unsigned bits)
{
	if (b == 0)
		failed(m, site);
	return fit_signed(m, site, (__int128)(int64_t)a / (int64_t)b, bits);
}

static inline uint64_t mod_signed(struct machine *m, unsigned site, uint64_t a, uint64_t b,
    unsigned bits)
{
	/* The quotient must fit as well. */
	(void)div_signed(m, site, a, b, bits);
	return (uint64_t)(int64_t)((__int128)(int64_t)a % (int64_t)b);
}

static inline uint64_t shift_count(struct machine *m, unsigned site, uint64_t count, unsigned bits)
{
	if (count >= bits)
		failed(m, site);
	return count;
}

static inline uint64_t sign_extended(uint64_t value, unsigned bits)
{
	return (uint64_t)((int64_t)(value << (64 - bits)) >> (64 - bits));
}

static inline uint64_t lowest_set(uint64_t value)
{
	return value ? (uint64_t)__builtin_ctzll(value) + 1 : 0;
}

static inline uint64_t in_range_unsigned(struct machine *m, unsigned site, uint64_t value,
    uint64_t lo, uint64_t hi)
{
	if (value < lo || value > hi)
		leave(m, site, NO_MEANING);
	return value;
}

static inline uint64_t in_range_signed(struct machine *m, unsigned site, uint64_t value,
    int64_t lo, int64_t hi)
{
	if ((int64_t)value < lo || (int64_t)value > hi)
		leave(m, site, NO_MEANING);
	return value;
}

static inline void passed(struct machine *m, unsigned label)
{
	m->labels[label / 64] |= 1ull << label % 64;
}

/* The choice number `taken_count` from `count` + 1 values. */
static inline uint64_t choose(struct machine *m, unsigned site, uint64_t count)
{
	uint64_t choice = 0;

	if (m->taken_count == MOST_CHOICES)
		leave(m, site, NOT_MODELLED);
	if (m->taken_count < m->given_count)
		choice = m->given[m->taken_count];
	if (choice > count)
		leave(m, site, DISABLED);
	m->taken[m->taken_count] = choice;
	m->limit[m->taken_count++] = count;
	return choice;
}

static inline uint64_t choose_unsigned(struct machine *m, unsigned site, uint64_t lo, uint64_t hi)
{
	if (hi < lo)
		leave(m, site, DISABLED);
	return lo + choose(m, site, hi - lo);
}

static inline uint64_t choose_signed(struct machine *m, unsigned site, uint64_t lo, uint64_t hi)
{
	if ((int64_t)hi < (int64_t)lo)
		leave(m, site, DISABLED);
	return lo + choose(m, site, hi - lo);
}

#endif
