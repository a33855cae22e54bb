"""What kernel Python means: small functions, compiled and run."""

from __future__ import annotations

import pytest

from frontends.kernel_python.support import compiled
from pmaplab.errors import ModelError
from pmaplab.ir.cut import cut
from pmaplab.ir.nodes import Program
from pmaplab.ir.verify import verify
from pmaplab.search.interpreter import Failure, Interpreter, State

DECLARATIONS = """
class inner:
    a: u32
    b: Annotated[list[u8], 3]


class node:
    value: u32
    next: ptr[node]
    flag: bool
    part: inner
    wide: u64
    bounded: Annotated[u32, Range(1, 5)]


first: node = static(value=7, next=second, part=static(a=3), bounded=1)
second: node = static(value=8, bounded=1)
nodes: Annotated[list[node], 3] = [static(value=10 * i, bounded=1) for i in range(3)]
table: Annotated[list[u32], 4] = [i * i + 1 for i in range(4)]
grid: Annotated[list[Annotated[list[u8], 2]], 3] = [[i * 2 + j for j in range(2)] for i in range(3)]
cells: Annotated[list[u32], 2] = static()
own_cell: u32 = own(cells)
per_cpu: Annotated[list[node], 2] = [static(value=100 + i, bounded=1) for i in range(2)]
MINE: node = own(per_cpu)
result: i64 = 0
trail: u64 = 0
signed: i32 = -5
LIMIT: Final = 3
WIDE: Final[u64] = 0xFFFFFFFF00000000


@atomic
def step(digit: u32, answer: bool) -> bool:
    global trail
    trail = trail * 10 + digit
    return answer


@atomic
def count(digit: u32) -> u32:
    global trail
    trail = trail * 10 + digit
    return digit


"""


def program(body: str, more: str = "") -> Program:
    lines = "\n".join(f"    {line}" for line in body.strip("\n").split("\n"))
    text = (
        f"{DECLARATIONS}{more}\n\n@thread_context\ndef main() -> None:\n"
        f"    global result, trail, own_cell, signed\n{lines}\n"
    )
    lowered = compiled(text, cpus=1).program
    verify(lowered)
    made = cut(lowered)
    verify(made)
    return made


def run(body: str, more: str = "") -> tuple[Interpreter, State, Failure | None]:
    """The program's one run, to its end."""
    interpreter = Interpreter(program(body, more))
    state, failure = interpreter.initial(), None
    for _ in range(10_000):
        if failure is not None or interpreter.done(state, 0):
            return interpreter, state, failure
        outcomes = list(interpreter.outcomes(state, 0))
        assert len(outcomes) == 1
        state, failure = outcomes[0].state, outcomes[0].failure
    raise AssertionError("the program does not end")


def result_of(body: str, more: str = "", cell: str = "result") -> int:
    interpreter, state, failure = run(body, more)
    assert failure is None, failure
    return int(state[interpreter.layout.address(*cell.split("#"))])


def failure_of(body: str) -> Failure:
    _, _, failure = run(body)
    assert failure is not None
    return failure


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        # widths and wrap
        ("u8(255) + u8(1)", 0),
        ("u8(0) - u8(1)", 255),
        ("u16(0x8000) * u16(2)", 0),
        ("u32(0xFFFFFFFF) + u32(2)", 1),
        ("i64(u64(0) - u64(1))", -1),
        ("u8(200) + u16(200)", 400),
        ("i64(u8(~u8(1)))", 254),
        ("i64(-u32(1))", 0xFFFFFFFF),
        ("i32(u32(0x80000000))", -(2**31)),
        ("i64(i32(u32(0xFFFFFFFE)))", -2),
        ("u8(0x1FF)", 255),
        ("u32(WIDE + 5)", 5),
        ("bool(2)", 1),
        ("bool(first.value)", 1),
        ("i64(u64(first.value) << 60)", 0x7000000000000000),
        # literals take the type of their surroundings, and are exact
        ("i64(WIDE | 1 << 31)", 0xFFFFFFFF80000000 - 2**64),
        ("i64(WIDE & ~0xFFF)", 0xFFFFFFFF00000000 - 2**64),
        ("i64(~0xFFF & WIDE)", 0xFFFFFFFF00000000 - 2**64),
        ("i64(u64(~0xFFF))", -4096),
        ("i64(~u32(0xFFF))", 0xFFFFF000),
        ("LIMIT - 5", -2),
        ("1 - 2", -1),
        ("-7 // 2", -3),
        ("-7 % 2", -1),
        ("(1 << 40) >> 38", 4),
        ("-1 if first.value == 7 else 1", -1),
        # signed division is C's
        ("signed // 2", -2),
        ("signed % 2", -1),
        ("signed >> 1", -3),
        ("signed & 3", 3),
        ("signed ^ -1", 4),
        ("+signed", -5),
        ("~signed", 4),
        ("-signed", 5),
        ("popcount(signed)", 31),
        ("ffs(signed)", 1),
        # bits
        ("popcount(u64(0xF0F0))", 8),
        ("ffs(u32(0))", 0),
        ("ffs(u32(8))", 4),
        # comparisons and logic
        ("signed < 0", 1),
        ("u32(0xFFFFFFFF) > 0", 1),
        ("not first.flag", 1),
        ("first.next == second", 1),
        ("first.next is not NULL", 1),
        ("second.next == NULL", 1),
        ("NULL == NULL", 1),
        ("not (first.value <= 7)", 0),
        ("u32(first.value == 7) + (first.value == 8) + 1", 2),
        # conditional expressions, with loads in them
        ("first.value if first.flag else second.value", 8),
        ("i64(0 if first.flag else first.wide + 3)", 3),
        ("5 if first.value == 7 else first.next.next.value", 5),
        ("(NULL if first.flag else first.next).value", 8),
        ("(first.next if not first.flag else NULL).value", 8),
        # structures, arrays, pointers
        ("first.next.value", 8),
        ("first.part.a", 3),
        ("nodes[2].value", 20),
        ("nodes[first.part.a - 1].value", 20),
        ("table[3]", 10),
        ("grid[2][1]", 5),
        ("grid[u8(1)][0]", 2),
        ("MINE.value", 100),
        ("mp_this()", 0),
    ],
)
def test_expressions(expression: str, value: int) -> None:
    more = "\n@atomic\ndef mp_this() -> u32:\n    return this_cpu()\n"
    assert result_of(f"result = {expression}", more) == value


@pytest.mark.parametrize(
    ("expression", "trail"),
    [
        ("step(1, True) and step(2, True)", 12),
        ("step(1, False) and step(2, True)", 1),
        ("step(1, True) or step(2, True)", 1),
        ("step(1, False) or step(2, True) or step(3, True)", 12),
        ("not step(1, True) or (step(2, False) and step(3, True))", 12),
        ("step(1, True) if step(2, False) else step(3, True)", 23),
        ("count(1) + count(2) * count(3) == 7", 123),
        ("True or step(1, True)", 0),
        ("False and step(1, True)", 0),
        ("True and step(1, True)", 1),
        ("pti or step(1, True)", 0),
    ],
)
def test_order_of_evaluation(expression: str, trail: int) -> None:
    more = 'pti: Final[u32] = option("pti")\n'
    body = f"if {expression}:\n    result = 1"
    assert result_of(body, more, "trail") == trail


def test_a_false_left_side_guards_the_right_one() -> None:
    body = "p = second.next\nif p != NULL and p.value == 1:\n    result = 1\nelse:\n    result = 2"
    assert result_of(body) == 2


def test_loops() -> None:
    body = """
for i in range(4):
    if i == 1:
        continue
    for j in range(i, 10):
        if j == 3:
            break
        result += 1
    result += 100
x: u32 = 0
while True:
    x += 1
    if x == 5:
        continue
    if x > 6:
        break
result += x
"""
    # i = 0: j = 0, 1, 2; i = 2: j = 2; i = 3: none
    assert result_of(body) == 3 + 1 + 300 + 7


def test_a_range_is_evaluated_once() -> None:
    body = (
        "n: u32 = 3\nfor i in range(count(1) - 1, n + count(2) - 2):\n    n += 5\n    result += 1"
    )
    assert result_of(body) == 3
    assert result_of(body, cell="trail") == 12


def test_a_loop_variable_can_be_used_again() -> None:
    body = "for i in range(2):\n    result += i\nfor i in range(5):\n    result += i"
    assert result_of(body) == 11


def test_nested_loops_without_a_variable() -> None:
    body = "for _ in range(2):\n    for _ in range(3):\n        result += 1"
    assert result_of(body) == 6


def test_an_empty_range() -> None:
    assert result_of("for i in range(5, 2):\n    result += 1") == 0


def test_cpu_foreach() -> None:
    more = "mp_ncpus: Final[u32] = 2\n"
    assert result_of("for i in CPU_FOREACH():\n    result += i + 1", more) == 3


@pytest.mark.parametrize(
    ("statement", "cell", "value"),
    [
        ("x: u32 = 5\nx <<= 3\nx -= 1\nresult = x", "result", 39),
        ("first.value += 2", "first#.value", 9),
        ("first.next.value *= first.value", "second#.value", 56),
        ("table[1] |= 0x10", "table#[1]", 0x12),
        ("first.part.b[2] += 255\nfirst.part.b[2] += 2", "first#.part.b[2]", 1),
        ("p = nodes[1]\np.wide = 0x100000000\np.wide //= 2", "nodes#[1].wide", 0x80000000),
        ("own_cell = 3\nown_cell += 1", "cells#[0]", 4),
        ("MINE.next = nodes[2]\nMINE.next.value = 1", "nodes#[2].value", 1),
        ("signed -= 3", "signed", -8),
        ("signed %= 3", "signed", -2),
        ("grid[1][1] = 9", "grid#[1][1]", 9),
    ],
)
def test_assignments(statement: str, cell: str, value: int) -> None:
    assert result_of(statement, cell=cell) == value


@pytest.mark.parametrize(
    ("call", "old", "new"),
    [
        ("atomic_fetchadd_int(first.value, 5)", 7, 12),
        ("atomic_fetchadd_int(first.value, 0xFFFFFFFF)", 7, 6),
        ("atomic_swap_int(first.value, 5)", 7, 5),
        ("atomic_cmpset_int(first.value, 7, 5)", 1, 5),
        ("atomic_cmpset_int(first.value, 8, 5)", 0, 7),
        ("atomic_load_acq_int(first.value)", 7, 7),
    ],
)
def test_atomics_with_a_result(call: str, old: int, new: int) -> None:
    assert result_of(f"result = {call}") == old
    assert result_of(f"result = {call}", cell="first#.value") == new


@pytest.mark.parametrize(
    ("call", "cell", "new"),
    [
        ("atomic_set_int(first.value, 8)", "first#.value", 15),
        ("atomic_clear_int(first.value, 2)", "first#.value", 5),
        ("atomic_add_int(first.value, 2)", "first#.value", 9),
        ("atomic_subtract_int(first.value, 8)", "first#.value", 0xFFFFFFFF),
        ("atomic_set_long(first.wide, 1 << 40)", "first#.wide", 1 << 40),
        ("atomic_clear_long(first.wide, 0)", "first#.wide", 0),
        ("atomic_store_rel_int(first.value, 3)", "first#.value", 3),
        ("atomic_store_rel_ptr(first.next, NULL)", "first#.next", 0),
        ("if atomic_cmpset_ptr(first.next, second, NULL):\n    result = 1", "result", 1),
        ("result = atomic_swap_ptr(first.next, NULL).value", "result", 8),
        ("atomic_thread_fence_seq_cst()", "first#.value", 7),
    ],
)
def test_atomics(call: str, cell: str, new: int) -> None:
    assert result_of(call, cell=cell) == new


def test_functions_pass_values_and_structures_by_address() -> None:
    more = """
def change(p: node, x: u32) -> u32:
    x += 1
    p.value = x
    return x * 2


def find(value: u32) -> node:
    for i in range(3):
        if nodes[i].value == value:
            return nodes[i]
    return NULL
"""
    body = "x: u32 = 4\nresult = change(nodes[1], x) + x\nfind(20).value = 9"
    assert result_of(body, more) == 14
    assert result_of(body, more, "nodes#[1].value") == 5
    assert result_of(body, more, "nodes#[2].value") == 9


def test_a_message_is_evaluated_only_when_it_is_needed() -> None:
    body = 'p = second.next\nKASSERT(p == NULL, "value %d", p.value)\nresult = 1'
    assert result_of(body) == 1
    assert failure_of('KASSERT(first.flag, "value %d", first.value)').message == "value 7"


@pytest.mark.parametrize(
    ("statement", "kind", "message"),
    [
        ("result = second.next.value", "page fault", "a NULL pointer is dereferenced"),
        ("second.next.part.a = 1", "page fault", "a NULL pointer is dereferenced"),
        ("result = table[first.value]", "page fault", "index 7 is outside of an array of 4"),
        ("result = table[signed]", "page fault", "index -5 is outside of an array of 4"),
        ("signed -= 0x7FFFFFFF", "overflow", "signed arithmetic overflows to -2147483652"),
        ("result = i32(u32(1) << 31) // (signed + 4)", "overflow", "overflows to 2147483648"),
        ("result = i32(u32(1) << 31) % (signed + 4)", "overflow", "overflows to 2147483648"),
        ("result = u32(1) << first.value * 5", "overflow", "a shift by 35 is not defined"),
        ("result = first.value // first.part.b[0]", "divide error", "division by zero"),
        ("result = first.value % first.part.b[0]", "divide error", "division by zero"),
        (
            'KASSERT(first.flag, "flag %#x 100%% %p", first.value, NULL)',
            "KASSERT",
            "flag 0x7 100% 0x0",
        ),
        ("MPASS(first.value == 8)", "MPASS", "Assertion first.value == 8 failed"),
        ('panic("value %04lx", first.value)', "panic", "value 0007"),
        ("result = choose(first.part.b[0])", "choose", "there is nothing to choose from"),
    ],
)
def test_undefined_behaviour_is_a_violation(statement: str, kind: str, message: str) -> None:
    failure = failure_of(statement)
    assert failure.kind == kind
    assert message in failure.message


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("first.bounded = first.value", "the value 7 does not fit into 1..5"),
        ("first.bounded -= 1", "the value 0 does not fit into 1..5"),
        ("atomic_add_int(first.bounded, 5)", "the value 6 does not fit into 1..5"),
        ("x: Annotated[u32, Range(0, 3)] = first.value\nresult = x", "does not fit into 0..3"),
        ("while True:\n    pass", "a step in main does not end"),
        ("spin()", "an atomic loop does not end"),
    ],
)
def test_what_the_model_cannot_represent(statement: str, message: str) -> None:
    more = "\n@atomic\ndef spin() -> None:\n    while True:\n        pass\n"
    with pytest.raises(ModelError, match=message) as caught:
        run(statement, more)
    assert caught.value.location is not None


def test_a_spin_loop_waits() -> None:
    interpreter = Interpreter(program("while first.value == 7:\n    ia32_pause()\nresult = 1"))
    state = interpreter.initial()
    assert list(interpreter.outcomes(state, 0)) == []
    cells = list(state)
    cells[interpreter.layout.address("first", ".value")] = 8
    assert len(list(interpreter.outcomes(tuple(cells), 0))) == 1


def test_choose_and_assume() -> None:
    more = """
@atomic
def pick() -> u32:
    a = choose(3)
    b = choose(2)
    assume(a != 1)
    return a * 10 + b
"""
    interpreter = Interpreter(program("result = pick()", more))
    ends: set[int] = set()
    work: list[State] = [interpreter.initial()]
    while work:
        state = work.pop()
        if interpreter.done(state, 0):
            ends.add(state[interpreter.layout.address("result")])
        work += [outcome.state for outcome in interpreter.outcomes(state, 0)]
    assert ends == {0, 1, 20, 21}


def test_sysinits_run_in_the_order_of_their_numbers() -> None:
    more = "".join(
        f"\ndef init{n}() -> None:\n    global trail\n    trail = trail * 10 + {n}\n"
        for n in range(1, 5)
    )
    more += '\n\nSYSINIT("a", 2, 1, init1)\nSYSINIT("b", 1, 5, init2)\n'
    more += 'SYSINIT("c", 1, 5, init3)\nSYSINIT("d", 1, 2, init4)\n'
    assert result_of("run_sysinits()", more, "trail") == 4231


BASE = """
LIMIT: Final[u32] = 5
counter_of: u32 = 1


def f() -> u32:
    return LIMIT


def early() -> None:
    global counter_of
    counter_of = f()


@thread_context
def main() -> None:
    run_sysinits()


SYSINIT("early", 1, 1, early)
"""


def _replaced(replacement: str) -> int:
    interpreter = Interpreter(cut(compiled(replacement, BASE, cpus=1).program))
    state = interpreter.initial()
    while not interpreter.done(state, 0):
        (outcome,) = interpreter.outcomes(state, 0)
        state = outcome.state
    return int(state[interpreter.layout.address("counter_of")])


@pytest.mark.parametrize(
    ("replacement", "value"),
    [
        ("", 5),
        ("LIMIT: Final[u32] = 6\n", 6),
        ("def f() -> u32:\n    return LIMIT + 4\n", 9),
        ("def nothing() -> None:\n    pass\n\n\nSYSINIT('early', 1, 1, nothing)\n", 1),
        (
            "def late() -> None:\n    global counter_of\n    counter_of += 1\n\n\n"
            "SYSINIT('late', 2, 1, late)\n",
            6,
        ),
        ("if LIMIT == 5:\n    SYSINIT('early', 1, 1, g)\n\n\ndef g() -> None:\n    pass\n", 1),
        ("if LIMIT > 5:\n    SYSINIT('early', 1, 1, g)\n\n\ndef g() -> None:\n    pass\n", 5),
    ],
)
def test_replacement_files(replacement: str, value: int) -> None:
    assert _replaced(replacement) == value


def test_constants_are_exact_and_look_only_where_it_counts() -> None:
    text = """
ZERO: Final = 0
HUGE: Final[u64] = (1 << 63 << 1) - 1 if ZERO == 0 else 1 // ZERO
SAFE: Final[bool] = ZERO != 0 and 1 // ZERO == 0
DOWN: Final[i32] = -7 // 2 - 7 % -2
WORD: Final["u32"] = not ZERO


@thread_context
def main() -> None:
    KASSERT(HUGE == 0xFFFFFFFFFFFFFFFF, "HUGE")
    KASSERT(not SAFE, "SAFE")
    KASSERT(DOWN == -4, "DOWN")
    KASSERT(WORD == 1, "WORD")
"""
    made = compiled(text, cpus=1).program
    assert [block.instructions for block in made.functions["main"].blocks] == [()]


def test_lists_of_counters_and_sysctls() -> None:
    text = """
class pcpu:
    saves: counter
    cpuid: u32


cpus: Annotated[list[pcpu], 2] = static()
PCPU: pcpu = own(cpus)


@atomic
def answer() -> u32:
    return 42


@thread_context
def main() -> None:
    PCPU.saves += 1
    PCPU.saves += 1


SYSCTL("answer", answer)
SYSCTL_COUNTER("saves", "saves")
"""
    lowered = compiled(text)
    interpreter = Interpreter(cut(lowered.program), traced=True)
    state = interpreter.initial()
    for agent in range(2):
        while not interpreter.done(state, agent):
            outcome = interpreter.step(state, agent, ())
            assert outcome is not None
            state = outcome.state
    assert interpreter.context.effects.counters == {("saves", 0): 2, ("saves", 1): 2}
    assert interpreter.evaluate("answer", state) == 42
    assert lowered.sysctls["saves"].counter == "saves"


def test_options_that_were_used_are_known() -> None:
    text = 'X: Final[u32] = option("pti")\n\n\n@thread_context\ndef main() -> None:\n    pass\n'
    assert compiled(text).options_used == {"pti"}
