"""Promela for SPIN: one process per agent, one transition per step.

A step is a ``d_step`` of two statements: the first, a ``c_expr``, takes the
step in a copy of the state and is executable if the step is possible; the
second makes the copy the state.  So a step has its effects as one or not at
all.  SPIN evaluates the first statement more than once; the answer is kept for
as long as the state is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pmaplab.exports.c import HELPERS, C, number, storage
from pmaplab.exports.header import (
    PROGRESS_LEFT_OUT,
    QUIET_LEFT_OUT,
    About,
    Header,
    comment,
    reach_lines,
)
from pmaplab.exports.names import identifiers, one_line
from pmaplab.exports.nodes import shared_locals, variables
from pmaplab.exports.steps import Agent, Point, Routine, StepSystem, Variable

# A longer piece of embedded code than this is refused by SPIN 6.5.
MOST_CODE = 30_000
# As pmaplab.search.interpreter.LONGEST_STEP, translate.LONGEST_ATOMIC.
LONGEST_STEP = 200_000
LONGEST_ATOMIC = 100_000


def promela(system: StepSystem, about: About) -> str:
    """The text of a Promela file."""
    return "\n".join(_Promela(system, about).lines()) + "\n"


class _Promela:
    def __init__(self, system: StepSystem, about: About) -> None:
        self.system = system
        self.about = about
        self.c = C(system)
        self.processes = identifiers((agent.name for agent in system.agents), "agent_")
        self.shared = shared_locals(system.points)
        self.ways = [
            max((p.choices for p in system.points if p.starts), default=1) for _ in system.agents
        ]

    def lines(self) -> Iterator[str]:
        yield from comment(self._header().lines(self.system))
        yield ""
        yield from self._block("c_decl", self._types())
        yield from self._block("c_decl", self._initial())
        yield from self._block("c_decl", self._steps_as_words())
        yield 'c_state "Machine machine" "Global" "INITIAL"'
        yield ""
        for chunk in _chunks(self._functions()):
            yield from self._block("c_code", chunk)
        for at, agent in enumerate(self.system.agents):
            yield from self._process(at, agent)

    def _header(self) -> Header:
        size = self._vector()
        return Header(
            self.about,
            verify=(
                "spin -a FILE",
                f"gcc -O2 -w -DSAFETY -DNOREDUCE -DVECTORSZ={size} -DMEMLIM=4096 -o pan pan.c",
                "./pan -m1000000 -w24",
                "-m is the depth of the search and -w the binary logarithm of the table's size; "
                "add -c0 to go on after errors, -DBFS for shortest counterexamples, "
                "-DCOLLAPSE or -DMEMLIM=... for memory",
                "./pan -r shows the counterexample that was found",
            ),
            notes=(
                "The number of `states, stored' is the number of states of pmaplab's own search; "
                "that of `transitions' is the number of its transitions and one more, for the "
                "first state.  After a violation this needs -c0.",
                "`reached: LABEL' is printed when the search first passes a point that the source "
                "marks with sometimes()."
                if self.system.labels
                else "",
                *reach_lines(self.system),
                "An error that begins with `model error' is no verdict: a value left the range "
                "that this file has for it.",
            ),
            left_out=(PROGRESS_LEFT_OUT, QUIET_LEFT_OUT),
        )

    def _vector(self) -> int:
        """Enough bytes for SPIN's state vector."""
        system = self.system
        cells = 8 * len(system.memory) + 8 * len(system.slots) * len(system.agents)
        return max(1024, 1 << (cells + 64 * len(system.agents) + 64).bit_length())

    def _block(self, word: str, lines: Iterable[str]) -> Iterator[str]:
        yield f"{word} {{"
        for line in lines:
            # SPIN's own preprocessor leaves these to the C compiler's.
            yield f"\\{line}" if line.startswith("#") else line
        yield "}"
        yield ""

    # --- declarations ------------------------------------------------------

    def _types(self) -> Iterator[str]:
        system, c = self.system, self.c
        yield "#include <setjmp.h>"
        yield "#include <stdint.h>"
        yield "#include <string.h>"
        yield "typedef uint64_t U;"
        yield "typedef int64_t I;"
        yield "/* What every agent can see.  A pointer is the number of a variable, 0 is NULL. */"
        yield "typedef struct __attribute__((packed)) {"
        members = [
            (variable, f"{c.cells[variable.name]}; /* {at}: {one_line(variable.name)} */")
            for at, variable in system.memory.items()
        ]
        yield from _sorted_members(members)
        yield "} Memory;"
        yield "/* An agent's own part: where it stands, and its stack. */"
        yield "typedef struct __attribute__((packed)) {"
        yield from _sorted_members(
            [(slot, f"s{at}; /* {one_line(slot.name)} */") for at, slot in enumerate(system.slots)]
        )
        yield "} Part;"
        yield f"typedef struct {{ Memory memory; Part agents[{len(system.agents)}]; }} Machine;"

    def _initial(self) -> Iterator[str]:
        system, c = self.system, self.c
        yield "static const Machine INITIAL = {"
        yield "    .memory = {"
        for at, variable in system.memory.items():
            if system.initial[at]:
                value = number(system.initial[at], variable.kind)
                yield f"        .{c.cells[variable.name]} = {value},"
        yield "    },"
        yield "    .agents = {"
        first, size = max(system.memory) + 1, len(system.slots)
        for agent in range(len(system.agents)):
            part = system.initial[first + agent * size : first + (agent + 1) * size]
            values = ", ".join(f".s{at} = {v}" for at, v in enumerate(part) if v)
            yield f"        {{ {values} }},"
        yield "    },"
        yield "};"

    def _steps_as_words(self) -> Iterator[str]:
        """SPIN takes a call in a c_expr for a side effect."""
        yield "static int step(int agent, int given);"
        for at, agent in enumerate(self.system.agents):
            name = self.processes[agent.name].upper()
            for way in range(self.ways[at]):
                yield f"#define STEP_{name}_{way} step({at}, {way})"

    # --- functions ---------------------------------------------------------

    def _functions(self) -> Iterator[list[str]]:
        system, c = self.system, self.c
        yield list(self._variables())
        yield HELPERS.splitlines()
        yield [
            "static void turn(U *turns) {",
            f"    if (++*turns > {LONGEST_ATOMIC}) fault(RANGE, 0);",
            "}",
        ]
        yield from _by_function(c.accesses())
        for routine in system.routines.values():
            yield list(self._routine(routine))
        for point in system.points:
            yield list(self._point(point))
        yield list(self._tables())
        for table in (self._sites(), self._places()):
            yield list(table)
        yield list(self._judge())
        yield RUN.splitlines()

    def _variables(self) -> Iterator[str]:
        system, c = self.system, self.c
        words = max(1, (len(system.labels) + 63) // 64)
        yield "enum { DONE = 1 };"
        yield "enum { ASSERTION, PAGE_FAULT, RANGE, OVERFLOW, DIVIDE };"
        yield f"enum {{ MOST_CHOICES = 4096, LONGEST_STEP = {LONGEST_STEP} }};"
        yield f"enum {{ CPUS = {system.cpus}, LABELS = {len(system.labels)}, WORDS = {words} }};"
        yield "/* The step that is being taken: in the state `before', with `next' as result. */"
        yield "static Machine before, next;"
        yield "/* SPIN's own. */"
        yield "extern void (*uerror)(char *);"
        yield "static Part *me;"
        yield "static U cpu, choice, product, choices_here;"
        yield "static jmp_buf *out;"
        yield "static int fault_kind, fault_site;"
        yield "static U passed[WORDS], reached_labels[WORDS];"
        yield "/* Locals that are handed on within a step. */"
        for name, variable in system.locals.items():
            if name in self.shared:
                yield f"static {_c(variable)} {c.locals[name]}; /* {one_line(name)} */"

    def _locals(self, names: Iterable[str]) -> Iterator[str]:
        for name in names:
            variable = self.system.locals[name]
            yield f"    {_c(variable)} {self.c.locals[name]} = 0; /* {one_line(name)} */"

    def _routine(self, routine: Routine) -> Iterator[str]:
        system, c = self.system, self.c
        result = "U" if routine.result is None else _c(routine.result)
        parameters = [f"{_c(system.locals[n])} {c.locals[n]}" for n in routine.parameters]
        yield f"/* {one_line(f'{routine.loc.file}:{routine.loc.line}: {routine.name}')} */"
        head = ", ".join(parameters) or "void"
        yield f"static {result} {c.routines[routine.name]}({head}) {{"
        names = [
            name
            for part in routine.parts
            for name in variables(part)
            if name not in routine.parameters
        ]
        yield from self._locals(dict.fromkeys(names))
        yield "    U turns = 0;"
        for at, part in enumerate(routine.parts):
            yield f"part{at}: ;"
            yield from c.code(part)
        yield "}"

    def _point(self, point: Point) -> Iterator[str]:
        yield f"/* {one_line(f'{point.loc.file}:{point.loc.line}: {point.function}')} */"
        yield f"static int p{point.number}(void) {{"
        yield from self._locals(n for n in variables(point.code) if n not in self.shared)
        yield "    int back;"
        yield from self.c.code(point.code)
        yield "}"

    def _tables(self) -> Iterator[str]:
        system = self.system
        points = ", ".join(f"p{point.number}" for point in system.points)
        ways = ", ".join(str(point.choices if point.starts else 1) for point in system.points)
        cpus = ", ".join(str(agent.cpu) for agent in system.agents)
        names = ", ".join(f'"{one_line(agent.name)}"' for agent in system.agents)
        labels = ", ".join(f'"{one_line(label)}"' for label in system.labels)
        yield f"static int (*const POINTS[])(void) = {{ 0, 0, {points} }};"
        yield "/* In how many ways the step that begins at a point can go on, at most. */"
        yield f"static const int WAYS[] = {{ 0, 0, {ways} }};"
        yield f"static const int CPU_OF[] = {{ {cpus} }};"
        yield f"static const char *const NAME_OF[] = {{ {names} }};"
        yield f"static const char *const LABEL[] = {{ {labels or '0'} }};"

    def _sites(self) -> Iterator[str]:
        yield "static const char *const SITE[] = {"
        for site in self.system.sites:
            what = f"{site.kind}: {site.message}: " if site.kind else ""
            yield f'    "{one_line(f"{what}{site.function}, {site.loc.file}:{site.loc.line}")}",'
        yield "    0"
        yield "};"

    def _places(self) -> Iterator[str]:
        yield 'static const char *const PLACE[] = { "", "done",'
        for point in self.system.points:
            yield f'    "{one_line(f"{point.function}, {point.loc.file}:{point.loc.line}")}",'
        yield "};"

    def _judge(self) -> Iterator[str]:
        """What must hold after every step."""
        system, c = self.system, self.c
        first = system.first_region
        if system.judges:
            yield "static U regions_of(U n) {"
            yield "    switch (n) {"
            for at in range(system.cpus):
                yield f"    case {at}: return {c.cell(first + at)};"
            yield "    }"
            yield "    return 0;"
            yield "}"
        for at, judge in enumerate(system.judges):
            yield f"/* {one_line(judge.property or 'an observer')} */"
            yield f"static int exempt{at}(void) {{"
            for bit, when in judge.exempt:
                also = "" if when is None else f" && {c.routines[when]}(cpu)"
                yield f"    if ((regions_of(cpu) & {bit:#x}ull){also}) return 1;"
            yield "    return 0;"
            yield "}"
            yield f"static void judge{at}(void) {{ {c.routines[judge.routine]}(cpu); }}"
        exempt = ", ".join(f"exempt{at}" for at in range(len(system.judges)))
        judges = ", ".join(f"judge{at}" for at in range(len(system.judges)))
        names = ", ".join(f'"{one_line(judge.property)}"' for judge in system.judges)
        yield f"enum {{ JUDGES = {len(system.judges)} }};"
        yield f"static int (*const EXEMPT[])(void) = {{ {exempt or '0'} }};"
        yield f"static void (*const JUDGE[])(void) = {{ {judges or '0'} }};"
        yield f"static const char *const PROPERTY[] = {{ {names or '0'} }};"

    # --- processes ---------------------------------------------------------

    def _process(self, at: int, agent: Agent) -> Iterator[str]:
        name = self.processes[agent.name]
        yield f"/* {one_line(f'{agent.name}: {agent.context} on CPU {agent.cpu}')} */"
        yield f"active proctype {name}() {{"
        yield "end:"
        yield "    do"
        for way in range(self.ways[at]):
            step = f"STEP_{name.upper()}_{way}"
            take = f"take({at}, readtrail);"
            yield f"    :: d_step {{ c_expr {{ {step} }} -> c_code {{ {take} }} }}"
        yield "    od"
        yield "}"
        yield ""


def _c(variable: Variable) -> str:
    return "I" if variable.kind.signed else "U"


def _sorted_members(members: list[tuple[Variable, str]]) -> Iterator[str]:
    """Large ones first, so that none needs padding."""
    sizes = {"8": 0, "16": 1, "32": 2, "64": 3}

    def size(member: tuple[Variable, str]) -> int:
        return -sizes[storage(member[0]).strip("uint_")]

    for variable, text in sorted(members, key=size):
        yield f"    {storage(variable)} {text}"


def _by_function(lines: Iterable[str]) -> Iterator[list[str]]:
    collected: list[str] = []
    for line in lines:
        collected.append(line)
        if line == "}":
            yield collected
            collected = []


def _chunks(functions: Iterable[list[str]]) -> Iterator[list[str]]:
    """Lines together in as few blocks as SPIN takes; functions stay whole."""
    collected: list[str] = []
    size = 0
    for function in functions:
        length = sum(len(line) + 1 for line in function)
        if collected and size + length > MOST_CODE:
            yield collected
            collected, size = [], 0
        collected += function
        size += length
    yield collected


# Taking steps, and judging what they lead to.
RUN = """\
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
            printf("reached: %s\\n", LABEL[at]);
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
    if (is_replay) printf("%s: %s\\n", NAME_OF[agent], PLACE[before.agents[agent].s0]);
    if (is_failed) uerror((char *)fault_text());
    else {
        now.machine = next;
        if (memcmp(&before.memory, &next.memory, sizeof before.memory)) judge();
    }
    note_labels();
    cpu = was;
    is_asked = 0;
}
"""
