"""What each instruction does, and what a step is."""

from __future__ import annotations

import pytest

from pmaplab.errors import ModelError
from pmaplab.ir.nodes import Assert, Print, Store
from pmaplab.search import interpreter as module
from pmaplab.search.interpreter import Interpreter, State
from search.small import HEAD, after, function, interpreter, outcomes

DECLARATIONS = """
cpus 3
struct pair {
  a: u32
  b: u8
}
struct node {
  pair: pair
  next: *node
  list: [3 x pair]
}
region inside
region "else where"
global @result: i64
global @node: node {
  ".next" = @node:*node
  ".pair.a" = 7:u32
}
global @nil: node
global @small: u32{0..4}
global @byte: u8 {
  "" = 250:u8
}
global @signed: i32 {
  "" = -5:i32
}
global @pointer: *node
agent cpu2 cpu 2 context thread entry @main
atomic function @five() -> u32 {
b:
  return 5:u32
}
atomic function @twice(%x: u32{0..9}) -> u32 {
b:
  return add(%x, %x)
}
atomic function @never() {
b:
  sometimes "too early"
  assume false
  return
}
atomic function @for_ever() {
b:
  jump b
}
function @plain(%x: u32) -> u32 {
  var %y: u32
b:
  %y = mul(%x, 3:u32)
  step
  return %y
}
"""
VARIABLES = """var %x: u32
  var %y: u32
  var %c: bool
  var %h: u8
  var %r: u32{0..3}
  var %s: u32{2..3}
  var %i: i32
  var %p: *node
  var %q: *pair"""


def machine(*lines: str, traced: bool = False) -> Interpreter:
    body = function("main", *lines, "return", more=VARIABLES)
    return interpreter(DECLARATIONS + body, traced=traced)


def cell(made: Interpreter, state: State, place: str) -> int:
    name, _, path = place.partition("#")
    return int(state[made.layout.address(name, path)])


def finished(made: Interpreter) -> State:
    state = made.initial()
    while not made.done(state, 0):
        state = after(made, [0], state)
    return state


@pytest.mark.parametrize(
    ("lines", "place", "value"),
    [
        (["store @result:*i64, -3:i64"], "result", -3),
        (["%x = load field(field(@node:*node, pair):*pair, a):*u32", "%r = sub(%x, 4:u32)",
          "store @small:*u32{0..4}, %r"], "small", 3),
        (["%p = load field(@node:*node, next):**node",
          "store field(field(%p, pair):*pair, b):*u8, 9:u8"], "node#.pair.b", 9),
        (["%q = index(field(@node:*node, list):*[3 x pair], 2:u8)",
          "store field(%q, a):*u32, 4:u32"], "node#.list[2].a", 4),
        (["store @result:*i64, cast(cpu):i64"], "result", 2),
        (["%h = rmw add @byte:*u8, 10:u8", "store @result:*i64, cast(%h):i64"], "result", 250),
        (["rmw add @byte:*u8, 10:u8"], "byte", 4),
        (["rmw sub @byte:*u8, 251:u8"], "byte", 255),
        (["rmw and @byte:*u8, 15:u8"], "byte", 10),
        (["rmw or @byte:*u8, 5:u8"], "byte", 255),
        (["rmw xor @byte:*u8, 255:u8"], "byte", 5),
        (["rmw xchg @byte:*u8, 1:u8"], "byte", 1),
        (["rmw add @signed:*i32, -1:i32"], "signed", -6),
        (["%h = cmpxchg @byte:*u8, 250:u8, 1:u8"], "byte", 1),
        (["%h = cmpxchg @byte:*u8, 1:u8, 2:u8", "store @result:*i64, cast(%h):i64"],
         "result", 250),
        (["%h = cmpxchg @byte:*u8, 1:u8, 2:u8"], "byte", 250),
        (["%x = call @five()", "store @result:*i64, cast(%x):i64"], "result", 5),
        (["%x = call @twice(4:u32)", "store @result:*i64, cast(%x):i64"], "result", 8),
        (["%x = call @plain(4:u32)", "store @result:*i64, cast(%x):i64"], "result", 12),
        (["%x = 3:u32", "%y = call @plain(%x)", "store @result:*i64, cast(add(%x, %y)):i64"],
         "result", 12),
        (["call @plain(1:u32)", "call @five()"], "result", 0),
        (["fence", "print \"hello %d\", 1:u32", "count switches"], "result", 0),
        (["enter inside", "%c = in_region(2:u32, inside)", "store @result:*i64, cast(%c):i64"],
         "result", 1),
        (["enter inside", "leave inside", "%c = in_region(cpu, inside)",
          "store @result:*i64, cast(%c):i64"], "result", 0),
        (["enter \"else where\"", "%c = in_region(cpu, inside)",
          "store @result:*i64, cast(%c):i64"], "result", 0),
        (["enter inside", "%c = in_region(1:u32, inside)", "store @result:*i64, cast(%c):i64"],
         "result", 0),
        (["%x = popcount(-1:i32)", "store @result:*i64, cast(%x):i64"], "result", 32),
        (["%x = ffs(-8:i32)", "store @result:*i64, cast(%x):i64"], "result", 4),
        (["%x = select(false, 1:u32, 2:u32)", "store @result:*i64, cast(%x):i64"], "result", 2),
        (["store @result:*i64, cast(cast(@node:*node):u8):i64"], "result", 2),
        (["store @result:*i64, cast(cast(3:u32):i1):i64"], "result", -1),
        (["store @pointer:**node, @nil:*node", "%p = load @pointer:**node",
          "%c = eq(%p, @nil:*node)", "store @result:*i64, cast(%c):i64"], "result", 1),
    ],
)  # fmt: skip
def test_instructions(lines: list[str], place: str, value: int) -> None:
    made = machine(*lines)
    assert cell(made, finished(made), place) == value


@pytest.mark.parametrize(
    ("lines", "kind", "message"),
    [
        (["%p = null:*node", "%q = field(%p, pair):*pair"], "page fault", "NULL"),
        (["%p = load @pointer:**node", "store field(%p, next):**node, %p"], "page fault", "NULL"),
        (["%x = 3:u32", "%q = index(field(@node:*node, list):*[3 x pair], %x)"], "page fault",
         "index 3 is outside of an array of 3"),
        (["%c = in_region(3:u32, inside)"], "page fault", "index 3 is outside of an array of 3"),
        (["%x = div(1:u32, %x)"], "divide error", "division by zero"),
        (["%x = mod(1:u32, %x)"], "divide error", "division by zero"),
        (["%i = sub(-5:i32, 2147483647:i32)"], "overflow", "-2147483652"),
        (["%i = neg(-2147483648:i32)"], "overflow", "2147483648"),
        (["%i = div(-2147483648:i32, -1:i32)"], "overflow", "2147483648"),
        (["%i = shl(1:i32, 31:u8)"], "overflow", "2147483648"),
        (["%x = 32:u32", "%x = shl(1:u32, %x)"], "overflow", "a shift by 32"),
        (["rmw add @signed:*i32, -2147483647:i32"], "overflow", "-2147483652"),
        (["assert false, KASSERT, \"%d%% of %#lx\", 5:u32, 255:u8"], "KASSERT", "5% of 0xff"),
        (["assert false, panic, \"100%%\""], "panic", "100%"),
    ],
)  # fmt: skip
def test_faults_are_failures_of_the_step(lines: list[str], kind: str, message: str) -> None:
    made = machine("%x = 0:u32", *lines)
    (outcome,) = outcomes(made, made.initial())
    assert outcome.failure is not None
    assert outcome.failure.kind == kind
    assert message in outcome.failure.message
    assert outcome.failure.function == "main"


@pytest.mark.parametrize(
    "lines",
    [
        ["store @small:*u32{0..4}, 5:u32"],
        ["rmw sub @small:*u32{0..4}, 1:u32"],
        ["%x = cmpxchg @small:*u32{0..4}, 0:u32, 5:u32"],
        ["%r = 4:u32"],
        ["%r = load field(field(@node:*node, pair):*pair, a):*u32"],
        ["%r = call @five()"],
        ["%r = call @plain(2:u32)"],
        ["%r = choose 4:u32, 5:u32"],
        ["%x = call @twice(10:u32)"],
        ["%s = rmw add @small:*u32{0..4}, 1:u32"],
        ["%s = cmpxchg @small:*u32{0..4}, 1:u32, 2:u32"],
    ],
)
def test_a_value_outside_of_a_declared_range(lines: list[str]) -> None:
    made = machine(*lines)
    with pytest.raises(ModelError, match="does not fit into") as caught:
        finished(made)
    assert caught.value.location is not None


# --- steps -------------------------------------------------------------------


def test_a_step_ends_where_it_says() -> None:
    made = machine("store @byte:*u8, 1:u8", "step", "step", "store @byte:*u8, 2:u8")
    state = made.initial()
    seen = [cell(made, state, "byte")]
    while not made.done(state, 0):
        state = after(made, [0], state)
        seen.append(cell(made, state, "byte"))
    assert seen == [250, 1, 1, 2]
    assert outcomes(made, state) == []
    assert made.step(state, 0, ()) is None


def test_a_function_that_an_agent_begins_with_can_be_called() -> None:
    text = HEAD + function("first", "call @second()", "store @word:*u32, 1:u32", "return")
    made = interpreter(text + function("second", "store @other:*u32, 1:u32", "return"))
    state = made.initial()
    while not made.done(state, 0):
        state = after(made, [0], state)
    assert cell(made, state, "word") == 1
    while not made.done(state, 1):
        state = after(made, [1], state)


def test_assume_disables_the_step() -> None:
    made = machine("%h = load @byte:*u8", "assume eq(%h, 1:u8)", "store @byte:*u8, 2:u8")
    state = made.initial()
    assert outcomes(made, state) == []
    cells = list(state)
    cells[made.layout.address("byte")] = 1
    (outcome,) = outcomes(made, tuple(cells))
    (outcome,) = outcomes(made, outcome.state)
    assert cell(made, outcome.state, "byte") == 2


def test_a_disabled_step_passes_no_label() -> None:
    made = machine("call @never()")
    assert outcomes(made, made.initial()) == []
    assert made.context.marks == 0
    made = machine('sometimes "x"', "assume false")
    assert outcomes(made, made.initial()) == []
    assert made.context.marks == 0
    made = machine('sometimes "x"')
    assert len(outcomes(made, made.initial())) == 1
    assert made.context.marks == 1 << made.code.labels.index("x")


def test_choices_are_tried_in_order() -> None:
    made = machine(
        "%x = choose 0:u32, 2:u32",
        "%y = choose 1:u32, %x",
        "store @result:*i64, cast(add(mul(%x, 10:u32), %y)):i64",
    )
    found = outcomes(made, made.initial())
    # With x = 0 there is no y.
    assert [outcome.choices for outcome in found] == [(1, 1), (2, 1), (2, 2)]
    assert [cell(made, outcome.state, "result") for outcome in found] == [11, 21, 22]


def test_a_choice_that_is_not_possible() -> None:
    made = machine("%x = choose 0:u32, 2:u32", "assume ne(%x, 1:u32)")
    state = made.initial()
    assert made.step(state, 0, (2,)) is not None
    for choices in ((), (1,), (3,), (-1,), (2, 0)):
        assert made.step(state, 0, choices) is None


def test_a_failure_is_one_of_several_outcomes() -> None:
    made = machine("%x = choose 0:u32, 1:u32", 'assert eq(%x, 0:u32), MPASS, "x"')
    found = outcomes(made, made.initial())
    assert [outcome.failure is None for outcome in found] == [True, False]


def test_a_step_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_STEP", 1000)
    turn = "again:\n  %x = 1:u32\n  branch eq(%x, 1:u32), again, end"
    made = machine(f"jump again\n{turn}\nend:")
    with pytest.raises(ModelError, match="a step in main does not end"):
        outcomes(made, made.initial())


def test_an_atomic_loop_that_does_not_end() -> None:
    made = machine("call @for_ever()")
    with pytest.raises(ModelError, match="an atomic loop does not end"):
        outcomes(made, made.initial())


def test_many_branches_in_a_row() -> None:
    lines = []
    for n in range(150):
        lines += [f"branch eq(%x, {n}:u32), out{n}, go{n}\nout{n}:\n  return\ngo{n}:"]
    made = machine("%x = 500:u32", *lines, "store @byte:*u8, 1:u8")
    assert cell(made, finished(made), "byte") == 1


def test_dead_locals_are_reset() -> None:
    lines = ["%x = 5:u32", "step", "store @result:*i64, cast(%x):i64", "step", "step"]
    body = DECLARATIONS + function("main", *lines, "return", more=VARIABLES)
    found = []
    for reset in (True, False):
        made = Interpreter(interpreter(body).program, reset_dead_locals=reset)
        base = made.layout.agents[0]
        state = after(made, [0, 0])
        found.append(5 in state[base + 1 :])
    assert found == [False, True]


# --- effects -----------------------------------------------------------------


def test_effects_of_a_traced_run() -> None:
    made = machine(
        "%x = choose 0:u32, 1:u32",
        'print "x is %d of %p", %x, @node:*node',
        "count loads",
        "count loads",
        "store @byte:*u8, 1:u8",
        'assert true, KASSERT, ""',
        traced=True,
    )
    state = made.initial()
    # Trying out has no effects.
    assert len(outcomes(made, state)) == 2
    assert made.context.effects.console == []
    assert made.step(state, 0, (1,)) is not None
    effects = made.context.effects
    assert effects.console == ["x is 1 of 0x2"]
    assert effects.counters == {("loads", 2): 2}
    kinds = [type(executed.item) for executed in effects.executed]
    assert kinds.count(Store) == 1 and kinds.count(Print) == 1 and kinds.count(Assert) == 1
    assert {executed.function for executed in effects.executed} == {"main"}


def test_an_untraced_run_has_no_effects() -> None:
    made = machine('print "hello"', "count x")
    finished(made)
    assert made.context.effects.console == []
    assert made.context.effects.counters == {}


def test_both_translations_do_the_same() -> None:
    lines = ["%x = call @plain(3:u32)", "rmw add @byte:*u8, 3:u8", "store @byte:*u8, 1:u8"]
    assert finished(machine(*lines)) == finished(machine(*lines, traced=True))


def test_location() -> None:
    made = machine("store @byte:*u8, 1:u8", "step", "store @byte:*u8, 2:u8")
    function_name, item = made.location(after(made, [0]), 0)
    assert function_name == "main"
    assert isinstance(item, Store)


def test_split() -> None:
    made = interpreter(HEAD + function("first", "return") + function("second", "return"))
    state = made.initial()
    memory, parts = made.split(state)
    assert memory + parts[0] + parts[1] == state


# --- properties --------------------------------------------------------------

PROPERTIES = """
cpus 2
region inside
global @word: u32
global @link: *u32
agent cpu0 cpu 0 context thread entry @main
invariant small @is_small exempt inside
exempt_when inside @allowed
atomic function @is_small(%cpu: u32) {
  var %x: u32
b:
  %x = load @word:*u32
  assert lt(%x, 5:u32), KASSERT, "CPU %d: %d", %cpu, %x
  return
}
"""
WHEN = """
atomic function @allowed(%cpu: u32) -> bool {
  var %x: u32
  var %p: *u32
b:
  %x = load @word:*u32
  return lt(%x, 7:u32)
}
"""


@pytest.mark.parametrize(
    ("value", "broken"),
    [(4, []), (5, [(0, True), (1, False)]), (7, [(0, False), (1, False)])],
)
def test_broken_invariants(value: int, broken: list[tuple[int, bool]]) -> None:
    body = function("main", "enter inside", f"store @word:*u32, {value}:u32", "return")
    made = interpreter(PROPERTIES + WHEN + body)
    state = after(made, [0])
    found = made.broken(state)
    assert [(cpu, bool(inside)) for _, cpu, _, inside in found] == broken
    if found:
        assert found[0][2].message == f"CPU 0: {value}"


def test_a_condition_that_faults_is_no_answer() -> None:
    when = WHEN.replace("%x = load @word:*u32", "%p = load @link:**u32\n  %x = load %p")
    body = function("main", "enter inside", "store @word:*u32, 6:u32", "return")
    made = interpreter(PROPERTIES + when + body)
    with pytest.raises(ModelError, match="allowed: a NULL pointer is dereferenced"):
        made.broken(after(made, [0]))


def test_evaluate() -> None:
    made = interpreter(PROPERTIES + WHEN + function("main", "return"))
    assert made.evaluate("allowed", made.initial(), 0) == 1
    with pytest.raises(ModelError, match="is_small: CPU 1: 9"):
        state = list(made.initial())
        state[made.layout.address("word")] = 9
        made.evaluate("is_small", tuple(state), 1)
