/* Every construct that the C front end takes, each with what C makes of it. */
#include <sys/param.h>
struct thread;
#include <sys/systm.h>
#include <sys/proc.h>
#include <vm/vm.h>
#include <sys/pcpu.h>
#include <machine/cpufunc.h>
#include <machine/ifunc.h>

static int one = 1, minus_two = -2, five = 5;
static u_int big = 0xfffffff0;
static uint64_t wide = 0x123456789abcdef0;
static uint8_t small = 0xff;
static int64_t negative = -7;
static u_int word;
static u_long set;

enum colour { RED, GREEN = 4, BLUE };

/* Set by what must not be evaluated. */
static int touched;

static int
touch(int value)
{

	touched++;
	return (value);
}

static void
integers(void)
{
	u_int u;
	int i;
	uint8_t byte;

	/* Promotions and conversions. */
	KASSERT(small + one == 256, ("u_char is promoted to int"));
	byte = small + one;
	KASSERT(byte == 0, ("and loses its upper bits again"));
	KASSERT((signed char)small == -1, ("a cast to a signed type"));
	KASSERT(minus_two + big > 100, ("int is converted to unsigned"));
	KASSERT(minus_two < one, ("signed comparison"));
	KASSERT((u_int)minus_two > (u_int)one, ("unsigned comparison"));
	KASSERT((uint64_t)minus_two == 0xfffffffffffffffeUL, ("sign extension"));
	KASSERT((uint64_t)big == 0xfffffff0UL, ("zero extension"));
	KASSERT((u_int)wide == 0x9abcdef0, ("truncation"));
	KASSERT((bool)256 == 1, ("_Bool is not a truncation"));
	KASSERT(sizeof(struct pmap_pcids) == 8, ("sizeof"));
	KASSERT('A' == 65, ("a character"));
	KASSERT(GREEN + one == BLUE, ("an enumerator"));

	/* Arithmetic. */
	KASSERT(negative / 2 == -3 && negative % 2 == -1, ("division is towards 0"));
	KASSERT(-five == -5 && ~five == -6 && !five == 0 && !!five == 1, ("unary"));
	KASSERT(+small == 255, ("unary plus promotes"));
	KASSERT((five ^ 3) == 6 && (five | 8) == 13 && (five & 4) == 4, ("bits"));
	KASSERT((big << 4) == 0xffffff00, ("shift to the left"));
	KASSERT(wide >> 60 == 1 && (minus_two >> 1) == -1, ("shift to the right"));
	KASSERT(1UL << (five + 35) == 0x10000000000UL, ("a wide shift"));
	u = big + 0x20;
	KASSERT(u == 0x10, ("unsigned wraps"));

	/* Assignments. */
	i = five;
	i += 2; i -= 1; i *= 3; i /= 2; i %= 5;
	KASSERT(i == 4, ("compound: %d", i));
	i <<= 3; i >>= 1; i |= 1; i &= ~16; i ^= 3;
	KASSERT(i == 2, ("compound: %d", i));
	byte = 250;
	byte += 10;
	KASSERT(byte == 4, ("compound on a narrow type: %d", byte));
	KASSERT(i++ == 2 && i == 3 && ++i == 4 && i-- == 4 && --i == 2, ("++, --"));
	u = i = 7;
	KASSERT(u == 7 && i == 7, ("a chain"));
	KASSERT((i = 3) == 3, ("an assignment as a condition"));
	KASSERT((touch(1), five) == 5, ("the comma"));
}

static void
order(void)
{
	int i;

	touched = 0;
	KASSERT(!(touched != 0 && touch(1)), ("&&"));
	KASSERT(touched == 0 || touch(0), ("||"));
	KASSERT(touched == 0, ("the right side is not evaluated"));
	i = one ? five : touch(2);
	KASSERT(i == 5 && touched == 0, ("?:"));
	i = touched ? touch(3) : wide > 3 ? 9 : 8;
	KASSERT(i == 9 && touched == 0, ("?: in ?:"));
	if (touch(1) && touch(0) && touch(1))
		panic("unreachable");
	else if (touch(0) || touch(1))
		i = 1;
	KASSERT(touched == 4 && i == 1, ("touched %d", touched));
}

static int
loops(int limit)
{
	int i, j, sum;

	sum = 0;
	for (i = 0; i < limit; i++) {
		if (i == 2)
			continue;
		if (i == 5)
			break;
		sum += i;
	}
	KASSERT(sum == 0 + 1 + 3 + 4, ("for: %d", sum));
	i = 0;
	while (i < 3)
		i++;
	do {
		i += 2;
		if (i == 7)
			continue;
	} while (i < 9);
	KASSERT(i == 9, ("while, do: %d", i));
	for (i = 0, sum = 0; i < 2; i++)
		for (j = 0; j <= i; j++)
			sum += 10 * i + j;
	KASSERT(sum == 0 + 10 + 11, ("nested: %d", sum));
	for (;;) {
		if (--sum == 0)
			break;
	}
	for (i = 1; i < 100;)
		i *= 2;
	return (i);
}

static int
jumps(int which)
{
	int result;

	result = 0;
	switch (which) {
	case 1:
		result += 1;
		/* FALLTHROUGH */
	case 2:
		result += 2;
		break;
	case BLUE: {
		int which = 40;

		result += which;
		break;
	}
	default:
		goto out;
	}
	result += 100;
again:
	if (result < 200) {
		result += 100;
		goto again;
	}
out:
	return (result);
}

static inline int
maximum(const int a, const int b)
{

	return (a > b ? a : b);
}

static void
functions(void)
{
	struct invpcid_descr d;
	int x;

	KASSERT(loops(9) == 128, ("loops"));
	KASSERT(jumps(1) == 203 && jumps(2) == 202, ("a switch"));
	KASSERT(jumps(BLUE) == 240 && jumps(77) == 0, ("a switch"));
	KASSERT(maximum(one, five) == 5, ("an inline function"));
	x = ({ int y; y = five; y + 1; });
	KASSERT(x == 6, ("a statement expression"));
	d.pcid = 0x12345;
	d.addr = wide;
	KASSERT(d.pcid == 0x345 && d.addr == wide, ("a bit field"));
	KASSERT(__predict_true(x == 6), ("__predict_true"));
}

static void
atomics(void)
{
	cpuset_t copy, other;
	u_int old;

	word = 1;
	atomic_add_int(&word, 4);
	old = atomic_fetchadd_int(&word, 2);
	KASSERT(old == 5 && word == 7, ("fetchadd"));
	KASSERT(atomic_swap_int(&word, 9) == 7, ("swap"));
	KASSERT(atomic_cmpset_int(&word, 9, 3) && word == 3, ("cmpset"));
	KASSERT(!atomic_cmpset_int(&word, 9, 4) && word == 3, ("cmpset"));
	atomic_set_long(&set, 0x30);
	atomic_clear_long(&set, 0x10);
	KASSERT(set == 0x20, ("set and clear"));
	atomic_store_rel_int(&word, 8);
	KASSERT(atomic_load_acq_int(&word) == 8, ("load and store"));
	atomic_thread_fence_seq_cst();
	atomic_thread_fence_rel();

	CPU_ZERO(&copy);
	CPU_SET(one, &copy);
	other = copy;
	CPU_CLR(one, &copy);
	KASSERT(CPU_EMPTY(&copy) && CPU_ISSET(one, &other), ("a set by value"));
}

static void
objects(void)
{
	struct pmap *pm;
	struct pcpu *pc;
	u_int i, seen;

	pm = kernel_pmap;
	pm->pm_pcids[one].pm_gen = 77;
	KASSERT(kernel_pmap_store.pm_pcids[1].pm_gen == 77, ("one object"));
	kernel_pmap_store.pm_pcids[1] = pm->pm_pcids[0];
	KASSERT(pm->pm_pcids[1].pm_gen == pm->pm_pcids[0].pm_gen, ("a copy"));
	pc = &__pcpu[0];
	KASSERT(pc->pc_cpuid == PCPU_GET(cpuid), ("the own CPU"));
	KASSERT(pc->pc_curthread == curthread && curthread != NULL, ("curthread"));
	PCPU_SET(rsp0, 12);
	KASSERT(__pcpu[0].pc_rsp0 == 12, ("PCPU_SET"));
	PCPU_INC(pm_save_cnt);
	PCPU_GET(tssp)->tss_rsp0 = 16;
	seen = 0;
	CPU_FOREACH(i)
		seen |= 1 << i;
	KASSERT(seen == (1 << mp_ncpus) - 1, ("CPU_FOREACH: %#x", seen));
}

static int	first(int x) { return (x + 1); }
static int	second(int x) { return (x + 2); }

DEFINE_IFUNC(static, int, chosen, (int), static)
{

	if (pmap_pcid_enabled && !pti)
		return (first);
	return (second);
}

typedef int (*step_t)(int);

static int
through(step_t step, int x)
{

	return (step(x));
}

static uint32_t *table;

static uint32_t *
row(u_int n)
{

	return (table + n * 2);
}

/* Over the bits of a word: a macro that says in a variable how it ended. */
#define	NEXT_BIT(i) __extension__ ({					\
	int __found;							\
	for (;;) {							\
		if (__left == 0) {					\
			__found = 0;					\
			break;						\
		}							\
		(i) = ffsl(__left) - 1;					\
		__left &= __left - 1;					\
		__found = 1;						\
		break;							\
	}								\
	__found != 0;							\
})
#define	FOREACH_BIT(i, word)						\
	for (u_long __left = (word); NEXT_BIT(i); )

static void
pointers(void)
{
	uint32_t *mine, sum;
	step_t step;
	int i;

	step = &second;
	KASSERT(through(first, 10) == 11 && through(step, 10) == 12, ("callbacks"));
	table[1] = 3;
	mine = row(1);
	mine[1] = 40;
	*row(1) = 500;
	KASSERT(table[3] == 40 && *(row(0) + 1) == 3, ("elements"));
	sum = 0;
	for (i = 0; i < 4; i++)
		sum += mine[i - 2];
	KASSERT(sum == 543, ("the sum is %d", sum));
	sum = 0;
	FOREACH_BIT(i, 0x8421)
		sum = sum * 16 + i;
	KASSERT(sum == 0x5af, ("the bits are %#x", sum));
	KASSERT(__builtin_constant_p(sum) == 0, ("no constant"));
}

void
constructs(void)
{

	integers();
	pointers();
	order();
	functions();
	atomics();
	objects();
	KASSERT(chosen(1) == (pmap_pcid_enabled && !pti ? 2 : 3), ("an ifunc"));
}
