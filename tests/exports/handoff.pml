/*
 * a test, exported by pmaplab export
 *
 * agents: cpu0, cpu1
 * properties: assertions, small
 *
 * To verify, with all reductions off:
 *     spin -a FILE
 *     gcc -O2 -w -DSAFETY -DNOREDUCE -DVECTORSZ=1024 -DMEMLIM=4096 -o pan pan.c
 *     ./pan -m1000000 -w24
 *     -m is the depth of the search and -w the binary logarithm of the table's size; add -c0 to go on after errors, -DBFS for shortest counterexamples, -DCOLLAPSE or -DMEMLIM=... for memory
 *     ./pan -r shows the counterexample that was found
 *
 * The number of `states, stored' is the number of states of pmaplab's own search; that of `transitions' is the number of its transitions and one more, for the first state.  After a violation this needs -c0.
 * `reached: LABEL' is printed when the search first passes a point that the source marks with sometimes().
 * vacuous unless all of these are reached: handed over
 * An error that begins with `model error' is no verdict: a value left the range that this file has for it.
 *
 * Not exported:
 *   - progress (a CPU with work left that no future lets move): that every state has such a future is no safety property
 *   - console output, statistics counters and the messages' arguments
 */

c_decl {
\#include <setjmp.h>
\#include <stdint.h>
\#include <string.h>
typedef uint64_t U;
typedef int64_t I;
/* What every agent can see.  A pointer is the number of a variable, 0 is NULL. */
typedef struct __attribute__((packed)) {
    uint32_t g_flag; /* 1: flag */
    uint8_t g_counts_0; /* 2: counts[0] */
    uint8_t g_counts_1; /* 3: counts[1] */
    uint8_t g_regions_0; /* 4: regions[0] */
    uint8_t g_regions_1; /* 5: regions[1] */
} Memory;
/* An agent's own part: where it stands, and its stack. */
typedef struct __attribute__((packed)) {
    uint8_t s0; /* pc */
    uint8_t s1; /* return of second, return of first */
} Part;
typedef struct { Memory memory; Part agents[2]; } Machine;
}

c_decl {
static const Machine INITIAL = {
    .memory = {
    },
    .agents = {
        { .s0 = 2 },
        { .s0 = 5 },
    },
};
}

c_decl {
static int step(int agent, int given);
\#define STEP_AGENT_CPU0_0 step(0, 0)
\#define STEP_AGENT_CPU0_1 step(0, 1)
\#define STEP_AGENT_CPU1_0 step(1, 0)
\#define STEP_AGENT_CPU1_1 step(1, 1)
}

c_state "Machine machine" "Global" "INITIAL"

c_code {
enum { DONE = 1 };
enum { ASSERTION, PAGE_FAULT, RANGE, OVERFLOW, DIVIDE };
enum { MOST_CHOICES = 4096, LONGEST_STEP = 200000 };
enum { CPUS = 2, LABELS = 1, WORDS = 1 };
/* The step that is being taken: in the state `before', with `next' as result. */
static Machine before, next;
/* SPIN's own. */
extern void (*uerror)(char *);
static Part *me;
static U cpu, choice, product, choices_here;
static jmp_buf *out;
static int fault_kind, fault_site;
static U passed[WORDS], reached_labels[WORDS];
/* Locals that are handed on within a step. */
static U v_first_givenu8; /* first.givenu8. */
static U v_first_x; /* first.x */
static void disabled(void) { longjmp(*out, 1); }
static void fault(int kind, int site) { fault_kind = kind; fault_site = site; longjmp(*out, 2); }
static U require(int holds, int site) { if (!holds) fault(0, site); return 1; }
static U inside(U x, U lo, U hi, int kind, int site) {
    if (x < lo || x > hi) fault(kind, site);
    return x;
}
static I inside_signed(I x, I lo, I hi, int kind, int site) {
    if (x < lo || x > hi) fault(kind, site);
    return x;
}
static U shift_by(U n, U bits, int site) {
    if (n >= bits) fault(OVERFLOW, site);
    return n;
}
static I exact(__int128 x, I lo, I hi, int site) {
    if (x < lo || x > hi) fault(OVERFLOW, site);
    return (I)x;
}
static I shifted(I x, U n, I lo, I hi, int site) {
    return exact((__int128)x * ((__int128)1 << n), lo, hi, site);
}
static U over(U a, U b, int site) { if (!b) fault(DIVIDE, site); return a / b; }
static U rest(U a, U b, int site) { if (!b) fault(DIVIDE, site); return a % b; }
static I over_signed(I a, I b, I lo, I hi, int site) {
    if (!b) fault(DIVIDE, site);
    return exact((__int128)a / b, lo, hi, site);
}
static I rest_signed(I a, I b, I lo, I hi, int site) {
    return (I)(a - (__int128)b * over_signed(a, b, lo, hi, site));
}
static U digit(U ways) {
    U found = choice % ways;
    choice /= ways;
    if (product > MOST_CHOICES || ways > MOST_CHOICES) fault(RANGE, 0);
    product *= ways;
    if (product > choices_here) fault(RANGE, 0);
    return found;
}
static U pick(U lo, U hi) {
    if (hi < lo) disabled();
    if (hi - lo >= MOST_CHOICES) fault(RANGE, 0);
    return lo + digit(hi - lo + 1);
}
static I pick_signed(I lo, I hi) {
    if (hi < lo) disabled();
    if ((U)hi - (U)lo >= MOST_CHOICES) fault(RANGE, 0);
    return (I)((U)lo + digit((U)hi - (U)lo + 1));
}
static void turn(U *turns) {
    if (++*turns > 100000) fault(RANGE, 0);
}
static U load0(U at, int site) {
    switch (at) {
    case 4: return (U)next.memory.g_regions_0;
    case 5: return (U)next.memory.g_regions_1;
    }
    fault(at ? RANGE : PAGE_FAULT, site);
    return 0;
}
static void store0(U at, U x, int site) {
    switch (at) {
    case 4: next.memory.g_regions_0 = inside(x, 0u, 1u, RANGE, 0); return;
    case 5: next.memory.g_regions_1 = inside(x, 0u, 1u, RANGE, 0); return;
    }
    fault(at ? RANGE : PAGE_FAULT, site);
}
static U load1(U at, int site) {
    switch (at) {
    case 2: return (U)next.memory.g_counts_0;
    case 3: return (U)next.memory.g_counts_1;
    }
    fault(at ? RANGE : PAGE_FAULT, site);
    return 0;
}
static void store1(U at, U x, int site) {
    switch (at) {
    case 2: next.memory.g_counts_0 = inside(x, 0u, 3u, RANGE, 0); return;
    case 3: next.memory.g_counts_1 = inside(x, 0u, 3u, RANGE, 0); return;
    }
    fault(at ? RANGE : PAGE_FAULT, site);
}
/* <ir>:9: bump */
static U f_bump(U v_bump_n) {
    U v_bump_x = 0; /* bump.x */
    U v_bump_stored = 0; /* bump.stored. */
    U turns = 0;
part0: ;
    /* <ir>:12: %x = load index(@counts:*[2 x u8(0..3)], %n) */
    v_bump_x = load1(((U)inside(v_bump_n, 0u, 1u, PAGE_FAULT, 12) + 2u), 12);
    /* <ir>:13: %x = add(%x, 1:u8) */
    v_bump_x = (v_bump_x + 1u);
    /* <ir>:14: store index(@counts:*[2 x u8(0..3)], %n), %x */
    v_bump_stored = inside(v_bump_x, 0u, 3u, RANGE, 14);
    store1(((U)inside(v_bump_n, 0u, 1u, PAGE_FAULT, 14) + 2u), v_bump_stored, 14);
    /* <ir>:15: return %x */
    return v_bump_x;
}
/* <ir>:17: small */
static U f_small(U v_small_cpu) {
    U v_small_x = 0; /* small.x */
    U turns = 0;
part0: ;
    /* <ir>:20: %x = load index(@counts:*[2 x u8(0..3)], %cpu) */
    v_small_x = load1(((U)inside(v_small_cpu, 0u, 1u, PAGE_FAULT, 16) + 2u), 16);
    /* <ir>:21: assert lt(%x, 2:u8), KASSERT, 'count is %d', %x */
    require((U)(v_small_x < 2u) != 0, 17);
    /* <ir>:22: return */
    return 0;
}
/* <ir>:28: first */
static int p2(void) {
    U v_first_pick0 = 0; /* first.pick0. */
    U v_first_way = 0; /* first.way */
    int back;
    /* <ir>:28: %way = choose 0:u32, 1:u32 */
    v_first_pick0 = pick(0u, 1u);
    v_first_way = v_first_pick0;
    /* <ir>:29: %x = call @bump(%way) */
    v_first_givenu8 = f_bump(v_first_way);
    v_first_x = v_first_givenu8;
    /* <ir>:30: step */
    return -3;
}
/* <ir>:30: first */
static int p3(void) {
    int back;
    /* <ir>:30: enter busy */
    store0(((U)cpu + 4u), (load0(((U)cpu + 4u), 0) | 1u), 0);
    /* <ir>:31: %x = call @bump(cpu) */
    v_first_givenu8 = f_bump((U)cpu);
    v_first_x = v_first_givenu8;
    /* <ir>:32: leave busy */
    store0(((U)cpu + 4u), (load0(((U)cpu + 4u), 0) & 18446744073709551614ull), 0);
    /* <ir>:33: step */
    return -4;
}
/* <ir>:33: first */
static int p4(void) {
    int back;
    /* <ir>:33: store @flag:*u32, 1:u32 */
    next.memory.g_flag = 1u;
    /* <ir>:34: return */
    back = me->s1; me->s1 = 0; return back ? back : -DONE;
}
/* <ir>:39: second */
static int p5(void) {
    U v_second_x = 0; /* second.x */
    int back;
    /* <ir>:39: %x = load @flag:*u32 */
    v_second_x = (U)next.memory.g_flag;
    /* <ir>:40: assume ne(%x, 0:u32) */
    if (!((U)(v_second_x != 0u))) disabled();
    /* <ir>:41: sometimes 'handed over' */
    passed[0] |= 0x1ull;
    /* <ir>:42: step */
    return -6;
}
/* <ir>:42: second */
static int p6(void) {
    U v_second_oldu32 = 0; /* second.oldu32. */
    int back;
    /* <ir>:42: rmw add @flag:*u32, 1:u32 */
    v_second_oldu32 = (U)next.memory.g_flag;
    next.memory.g_flag = ((v_second_oldu32 + 1u) & 0xffffffffull);
    /* <ir>:43: return */
    back = me->s1; me->s1 = 0; return back ? back : -DONE;
}
static int (*const POINTS[])(void) = { 0, 0, p2, p3, p4, p5, p6 };
/* In how many ways the step that begins at a point can go on, at most. */
static const int WAYS[] = { 0, 0, 2, 1, 1, 1, 1 };
static const int CPU_OF[] = { 0, 1 };
static const char *const NAME_OF[] = { "cpu0", "cpu1" };
static const char *const LABEL[] = { "handed over" };
static const char *const SITE[] = {
    "first, <ir>:28",
    "first, <ir>:29",
    "first, <ir>:30",
    "first, <ir>:31",
    "first, <ir>:32",
    "first, <ir>:33",
    "first, <ir>:34",
    "second, <ir>:39",
    "second, <ir>:40",
    "second, <ir>:41",
    "second, <ir>:42",
    "second, <ir>:43",
    "bump, <ir>:12",
    "bump, <ir>:13",
    "bump, <ir>:14",
    "bump, <ir>:15",
    "small, <ir>:20",
    "KASSERT: count is %d: small, <ir>:21",
    "small, <ir>:22",
    0
};
static const char *const PLACE[] = { "", "done",
    "first, <ir>:28",
    "first, <ir>:30",
    "first, <ir>:33",
    "second, <ir>:39",
    "second, <ir>:42",
};
static U regions_of(U n) {
    switch (n) {
    case 0: return next.memory.g_regions_0;
    case 1: return next.memory.g_regions_1;
    }
    return 0;
}
/* small */
static int exempt0(void) {
    if ((regions_of(cpu) & 0x1ull)) return 1;
    return 0;
}
static void judge0(void) { f_small(cpu); }
enum { JUDGES = 1 };
static int (*const EXEMPT[])(void) = { exempt0 };
static void (*const JUDGE[])(void) = { judge0 };
static const char *const PROPERTY[] = { "small" };
static const char *fault_text(void) {
    static char text[1024];
    static const char *const WHAT[] = {
        "assertion violated", "page fault", "model error: out of range or without end",
        "overflow", "divide error"
    };
    snprintf(text, sizeof text, "%s: %s", WHAT[fault_kind], SITE[fault_site]);
    return text;
}
static void judge(void) {
    static jmp_buf here;
    static char text[1200];
    static volatile U one;
    static volatile int each;
    static volatile int asking;
    for (each = 0; each < JUDGES; each++)
        for (one = 0; one < CPUS; one++) {
            cpu = one;
            asking = 0;
            out = &here;
            if (!setjmp(here)) {
                if (EXEMPT[each]()) {
                    /* What it would say does not count. */
                    asking = 2;
                    JUDGE[each]();
                    continue;
                }
                asking = 1;
                JUDGE[each]();
            } else if (asking != 2) {
                snprintf(text, sizeof text, "%s%s on CPU %d: %s",
                    fault_kind == RANGE || !asking ? "model error: " : "property ",
                    PROPERTY[each], (int)one, fault_text());
                uerror(text);
            }
        }
}
static void note_labels(void) {
    for (int at = 0; at < LABELS; at++)
        if (passed[at / 64] & ~reached_labels[at / 64] & (1ull << at % 64)) {
            reached_labels[at / 64] |= 1ull << at % 64;
            printf("reached: %s\n", LABEL[at]);
        }
}
static int asked_agent, asked_choice, answer, is_asked, is_failed;
/* Whether the agent's next step is possible with this choice. */
static int step(int agent, int given) {
    static int is_judged;
    static jmp_buf here;
    int point = now.machine.agents[agent].s0;
    int turns = 0;
    if (!is_judged) {
        /* The state in which everything begins: no step leads to it. */
        is_judged = 1;
        next = now.machine;
        judge();
        note_labels();
    }
    if (point == DONE || given >= WAYS[point]) return 0;
    if (is_asked && agent == asked_agent && given == asked_choice
        && !memcmp(&before, &now.machine, sizeof before)) return answer;
    before = now.machine;
    next = before;
    is_asked = 1;
    asked_agent = agent;
    asked_choice = given;
    me = &next.agents[agent];
    cpu = CPU_OF[agent];
    choice = given;
    product = 1;
    choices_here = WAYS[point];
    memset(passed, 0, sizeof passed);
    is_failed = 0;
    out = &here;
    switch (setjmp(here)) {
    case 0:
        while (point > 0) {
            if (++turns > LONGEST_STEP) fault(RANGE, 0);
            point = POINTS[point]();
        }
        me->s0 = -point;
        break;
    case 1:
        return answer = 0;
    default:
        is_failed = 1;
    }
    /* A choice that nothing asked for is one too many. */
    return answer = (choice == 0);
}
/* Make the copy the state. */
static void take(int agent, int is_replay) {
    U was = cpu;
    if (is_replay) printf("%s: %s\n", NAME_OF[agent], PLACE[before.agents[agent].s0]);
    if (is_failed) uerror((char *)fault_text());
    else {
        now.machine = next;
        if (memcmp(&before.memory, &next.memory, sizeof before.memory)) judge();
    }
    note_labels();
    cpu = was;
    is_asked = 0;
}
}

/* cpu0: thread on CPU 0 */
active proctype agent_cpu0() {
end:
    do
    :: d_step { c_expr { STEP_AGENT_CPU0_0 } -> c_code { take(0, readtrail); } }
    :: d_step { c_expr { STEP_AGENT_CPU0_1 } -> c_code { take(0, readtrail); } }
    od
}

/* cpu1: thread on CPU 1 */
active proctype agent_cpu1() {
end:
    do
    :: d_step { c_expr { STEP_AGENT_CPU1_0 } -> c_code { take(1, readtrail); } }
    :: d_step { c_expr { STEP_AGENT_CPU1_1 } -> c_code { take(1, readtrail); } }
    od
}

