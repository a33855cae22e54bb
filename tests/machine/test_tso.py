"""The pass ``tso`` on small programs in IR: what is buffered, and what drains."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pmaplab.errors import IRError, ModelError, UsageError
from pmaplab.ir.callgraph import callees
from pmaplab.ir.cut import cut
from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import Call, Program
from pmaplab.ir.parser import parse_program
from pmaplab.ir.printer import print_program
from pmaplab.ir.verify import verify
from pmaplab.machine.tso import tso
from pmaplab.search.bfs import search
from pmaplab.search.result import ASSERTIONS, PROGRESS, Result
from pmaplab.system import System

COMMON = """
cpus 2
struct thread {
  own: u32
  shared: u32
}
struct pcpu {
  seen: u32
}
struct registers {
  cr3: u64
}
global @cpus: [2 x registers]
global @pcpus: [2 x pcpu]
global @thread0: thread
global @x: u32
global @y: u32
global @small: i8{-2..1}
global @pointer: *thread
global @constant: u32 {
  "" = 5:u32
}
"""
OWN_SEEN = "field(index(@pcpus:*[2 x pcpu], cpu):*pcpu, seen):*u32"
SEEN = (("pcpus", "[0].seen"), ("pcpus", "[1].seen"))


def two(first: str, second: str = "", more: str = "") -> str:
    """Two threads; ``more`` are further declarations."""
    return f"""
{more}
function @first() {{
  var %a: u32
  var %s: i8
  var %p: *thread
entry:
{first}
  return
}}
function @second() {{
  var %a: u32
  var %s: i8
  var %p: *thread
entry:
{second}
  return
}}
agent cpu0 cpu 0 context thread entry @first
agent cpu1 cpu 1 context thread entry @second
"""


def program(text: str) -> Program:
    lines = (COMMON + text).split("\n")
    used = [line for line in lines if not _is_unused(line, text)]
    result = parse_program("\n".join(used))
    verify(result)
    return result


def _is_unused(line: str, text: str) -> bool:
    """A local that the text never mentions is left out."""
    name = line.strip().removeprefix("var ").split(":")[0]
    return line.startswith("  var %") and text.count(name) <= text.count(f"var {name}:")


def buffered(text: str, bound: int = 2, outside: tuple[str, ...] = ()) -> Program:
    result = tso(program(text), bound=bound, outside=outside)
    verify(result)
    return result


def explore(lowered: Program) -> Result:
    placed = cut(lowered)
    verify(placed)
    return search(System(placed, None, {}, {}, {}, frozenset()), finals=True)


def finals(lowered: Program, *cells: tuple[str, str]) -> set[tuple[int, ...]]:
    """The values of cells in the final states."""
    result, layout = explore(lowered), Layout(cut(lowered))
    assert result.complete and not result.violations
    return {tuple(memory[layout.address(*cell)] for cell in cells) for memory in result.finals}


def calls(lowered: Program, function: str) -> set[str]:
    """The functions that ``function`` calls itself."""
    return set(callees(lowered.functions[function]))


def sb(between: str = "", more: str = "") -> str:
    """Store buffering: what a CPU sees goes to a cell of its own."""

    def side(own: str, other: str) -> str:
        return f"""
  store {own}:*u32, 1:u32
  {between}
  %a = load {other}:*u32
  store {OWN_SEEN}, %a"""

    return two(side("@x", "@y"), side("@y", "@x"), more)


EVERYTHING = {(0, 0), (0, 1), (1, 0), (1, 1)}
NOT_BOTH_EARLY = EVERYTHING - {(0, 0)}


def test_store_buffering() -> None:
    assert finals(buffered(sb()), *SEEN) == EVERYTHING
    assert finals(program(sb()), *SEEN) == NOT_BOTH_EARLY


@pytest.mark.parametrize(
    ("between", "more", "found"),
    [
        ("fence", "", NOT_BOTH_EARLY),
        ("rmw add @constant:*u32, 0:u32", "", NOT_BOTH_EARLY),
        ("%a = cmpxchg @constant:*u32, 0:u32, 0:u32", "", NOT_BOTH_EARLY),
        ("call @event()", "fence", NOT_BOTH_EARLY),
        ("call @event()", "", EVERYTHING),
        ("call @event()", f"store {OWN_SEEN}, 9:u32", EVERYTHING),
        (
            "call @event()",
            "store field(index(@cpus:*[2 x registers], cpu):*registers, cr3):*u64, 4096:u64",
            EVERYTHING,
        ),
    ],
)
def test_what_drains(between: str, more: str, found: set[tuple[int, int]]) -> None:
    """Only fences and locked operations do, and atomic functions marked so."""
    event = f"atomic function @event() {{\nentry:\n  {more}\n  return\n}}"
    text = sb(between, event if "event" in between else "")
    assert finals(buffered(text), *SEEN) == found


def test_what_stays_outside() -> None:
    text = two(
        f"""
  store {OWN_SEEN}, 1:u32
  store field(@thread0:*thread, own):*u32, 1:u32
  store field(@thread0:*thread, shared):*u32, 1:u32
  %a = load @constant:*u32
  store @x:*u32, %a""",
        "  %a = load field(@thread0:*thread, shared):*u32\n  store @x:*u32, %a",
    )

    def stores(*outside: str) -> int:
        code = buffered(text, outside=outside).functions["first"].blocks[0].instructions
        assert not any(isinstance(i, Call) and "load" in i.function for i in code)
        return sum(isinstance(i, Call) for i in code)

    # Private and constant cells are found out; the others have to be named.
    assert stores() == 3
    assert stores("thread.own") == 2
    assert stores("thread") == 1
    assert stores("thread", "@x") == 0
    for name in ("thred", "thread.onw", "@z", "x"):
        with pytest.raises(IRError, match=f"there is no '{name}' to keep out"):
            buffered(text, outside=(name,))


def test_part_of_a_locked_operation_works_on_memory() -> None:
    """@mark is plain code alone, and direct inside of @locked."""
    more = """
atomic function @mark() {
entry:
  store @x:*u32, 1:u32
  return
}
atomic function @locked() {
entry:
  fence
  call @mark()
  return
}"""
    text = two("  call @locked()\n  call @mark()", "  call @mark()", more)
    lowered = buffered(text)
    assert calls(lowered, "mark") == {"store_buffer_store_u32"}
    assert calls(lowered, "locked") == {"store_buffer_wait_empty", "mark_at_once"}
    assert calls(lowered, "mark_at_once") == set()
    assert finals(lowered, ("x", "")) == {(1,)}


WALK = """
atomic function @entry() -> u32 {
  var %v: u32
entry:
  %v = load @x:*u32
  return %v
}
atomic function @walk() -> u32 {
  var %v: u32
entry:
  %v = call @entry()
  return %v
}
atomic function @refill() {
  var %v: u32
entry:
  %v = call @walk()
  store @y:*u32, %v
  return
}"""


def test_page_walks_and_what_follows_from_a_store() -> None:
    """@y is what a walk found last; @walk does not see the own store to @x."""
    first = f"""
  store @x:*u32, 1:u32
  %a = call @walk()
  store {OWN_SEEN}, %a"""
    text = two(first, "  %a = call @entry()\n  store @x:*u32, 2:u32", WALK)
    lowered = tso(program(text), bound=2, outside=("@y",), direct=("walk",), settle="refill")
    verify(lowered)
    assert calls(lowered, "walk") == {"entry_at_once"} and calls(lowered, "entry_at_once") == set()
    assert "refill" in calls(lowered, "store_buffer_to_memory")
    found = finals(lowered, SEEN[0], ("x", ""), ("y", ""))
    assert found == {(seen, last, last) for seen in (0, 1, 2) for last in (1, 2)}


@pytest.mark.parametrize(
    ("direct", "settle", "message"),
    [
        (("walkk",), None, "there is no function 'walkk'"),
        (("first",), None, "first cannot work on memory directly"),
        (("waits",), None, "waits cannot work on memory directly"),
        (("drains",), None, "drains is a locked operation"),
        ((), "takes", "takes cannot work on memory directly"),
    ],
)
def test_functions_that_are_not_direct(
    direct: tuple[str, ...], settle: str | None, message: str
) -> None:
    more = "".join(
        f"\natomic function @{name}({parameters}) {{\nentry:\n  {code}\n  return\n}}"
        for name, parameters, code in (
            ("waits", "", "assume 1:bool"),
            ("drains", "", "fence"),
            ("takes", "%n: u32", ""),
        )
    )
    with pytest.raises(IRError, match=message):
        tso(program(sb(more=more)), bound=1, direct=direct, settle=settle)


@pytest.mark.parametrize(
    "code",
    [
        "%a = load @x:*u32\n  store @x:*u32, %a\n  store @y:*u32, 1:u32",
        "assume eq(0:u32, 0:u32)\n  store @x:*u32, 1:u32\n  store @y:*u32, 1:u32",
        "%a = load @x:*u32\n  assume eq(%a, 0:u32)\n  store @x:*u32, 1:u32",
    ],
)
def test_unmarked_atomic_function(code: str) -> None:
    more = f"atomic function @take() {{\n  var %a: u32\nentry:\n  {code}\n  return\n}}"
    text = two("  call @take()", "  call @take()\n  store @y:*u32, 0:u32", more)
    with pytest.raises(IRError, match="take is atomic, and its stores could wait"):
        buffered(text)
    marked = text.replace("entry:\n  " + code, "entry:\n  fence\n  " + code)
    verify(buffered(marked))


def test_property_sees_what_its_cpu_sees() -> None:
    more = f"""
atomic function @own_store_is_seen(%cpu: u32) {{
  var %a: u32
  var %b: u32
entry:
  %a = load {OWN_SEEN.replace("cpu)", "%cpu)", 1)}
  %b = load @x:*u32
  assert lor(ne(%a, 1:u32), eq(%b, 7:u32)), KASSERT, "x is %d", %b
  return
}}
invariant view @own_store_is_seen"""
    first = f"  store @x:*u32, 7:u32\n  store {OWN_SEEN}, 1:u32\n  store @y:*u32, 1:u32"
    lowered = buffered(two(first, "  %a = load @x:*u32\n  store @y:*u32, %a", more))
    assert explore(lowered).violations == {}
    # Memory alone would still hold the old value.
    assert "store_buffer_load_u32" in calls(lowered, "own_store_is_seen")


INITIALIZED = """
region filled
atomic function @sees_it(%cpu: u32) {
  var %a: u32
entry:
  branch in_region(0:u32, filled), asked, done
asked:
  %a = load @x:*u32
  assert ne(%a, 0:u32), KASSERT, "x is still 0"
  jump done
done:
  return
}
invariant view @sees_it"""
OTHER = f"  %a = load @y:*u32\n  store {OWN_SEEN}, %a"


@pytest.mark.parametrize("bound", [1, 2, 3])
def test_mark_of_another_cpu_waits_for_what_was_stored_before(bound: int) -> None:
    """CPU 1 may ask for @x only when it is in memory, CPU 0 at once."""
    first = "  store @y:*u32, 1:u32\n  store @x:*u32, 7:u32\n  enter filled\n  enter filled"
    lowered = buffered(two(first, OTHER, INITIALIZED), bound)
    assert "filled in memory" in lowered.regions
    assert explore(lowered).violations == {}


@pytest.mark.parametrize("bound", [1, 2])
def test_mark_of_another_cpu_waits_for_nothing_else(bound: int) -> None:
    """@x is stored too late: both CPUs notice, and CPU 1 also where the buffer
    of CPU 0 is never empty again."""
    late = "  store @y:*u32, 1:u32\n  enter filled\n  store @x:*u32, 7:u32"
    found = explore(buffered(two(late, OTHER, INITIALIZED), bound))
    assert found.violations["view"].cpu == 0
    undone = "  store @x:*u32, 7:u32\n  enter filled\n  store @x:*u32, 0:u32"
    only_others = INITIALIZED.replace(
        "asked:", "asked:\n  branch eq(cpu, 1:u32), other, done\nother:", 1
    )
    assert explore(buffered(two(undone, OTHER, only_others), bound)).violations["view"].cpu == 1


def test_mark_in_a_locked_operation() -> None:
    more = f"""
atomic function @fill() {{
entry:
  fence
  store @x:*u32, 7:u32
  enter filled
  return
}}{INITIALIZED}"""
    text = two("  store @y:*u32, 1:u32\n  call @fill()\n  store @y:*u32, 2:u32", OTHER, more)
    lowered = buffered(text)
    assert explore(lowered).violations == {}
    assert 'enter "filled in memory"' in print_program(lowered)


def test_region_that_is_left_is_no_mark() -> None:
    text = two("  enter filled\n  store @x:*u32, 1:u32\n  leave filled", OTHER, INITIALIZED)
    assert buffered(text + "\n").regions == ("filled",)


APART = """
atomic function @inner() {
entry:
  store @x:*u32, 1:u32
  return
}
atomic function @several() {
  var %a: u32
entry:
  %a = load @constant:*u32
  call @inner()
  store @y:*u32, %a
  return
}"""


def test_stores_alone_are_taken_apart() -> None:
    """A buffer of one entry could never take both; a locked operation needs none."""
    text = two("  call @several()", f"  %a = load @y:*u32\n  store {OWN_SEEN}, %a", APART)
    lowered = buffered(text, 1)
    assert not lowered.functions["several"].atomic and lowered.functions["inner"].atomic
    assert finals(lowered, SEEN[1], ("x", ""), ("y", "")) == {(0, 1, 5), (5, 1, 5)}
    lowered = buffered(text.replace("%a = load @constant", "fence\n  %a = load @constant"), 1)
    assert lowered.functions["several"].atomic
    assert finals(lowered, SEEN[1], ("x", ""), ("y", "")) == {(0, 1, 5), (5, 1, 5)}


def test_part_of_another_atomic_function_stays_whole() -> None:
    outer = """
atomic function @outer() {
  var %a: u32
entry:
  %a = load @y:*u32
  call @several()
  return
}"""
    text = two("  call @outer()", "  %a = load @y:*u32\n  store @x:*u32, %a", APART + outer)
    with pytest.raises(IRError, match="is atomic, and its stores could wait"):
        buffered(text)


def test_loop_makes_many_stores() -> None:
    """With one store in the source, and more of them than the buffer holds."""
    more = """
atomic function @fill() {
  var %i: u32
entry:
  %i = 0:u32
  jump again
again:
  branch lt(%i, 3:u32), body, done
body:
  store @x:*u32, %i
  %i = add(%i, 1:u32)
  jump again
done:
  return
}"""
    lowered = buffered(
        two("  call @fill()", f"  %a = load @x:*u32\n  store {OWN_SEEN}, %a", more), 1
    )
    assert not lowered.functions["fill"].atomic
    assert finals(lowered, SEEN[1], ("x", "")) == {(0, 2), (1, 2), (2, 2)}


def test_pointers_signs_and_widths() -> None:
    first = """
  store @small:*i8{-2..1}, -1:i8
  store @pointer:**thread, @thread0:*thread
  store @x:*u32, 4294967295:u32"""
    second = f"""
  %s = load @small:*i8{{-2..1}}
  %p = load @pointer:**thread
  %a = load @x:*u32
  assert lor(eq(%s, 0:i8), eq(%s, -1:i8)), KASSERT, "small"
  assert lor(eq(%p, 0:*thread), eq(%p, @thread0:*thread)), KASSERT, "pointer"
  store {OWN_SEEN}, %a"""
    lowered = buffered(two(first, second), bound=3)
    layout = Layout(cut(lowered))
    cells = (("small", ""), ("pointer", ""))
    assert finals(lowered, *cells) == {(-1, layout.address("thread0"))}
    assert finals(lowered, SEEN[1]) == {(0,), (0xFFFFFFFF,)}


def test_range_is_checked_where_it_is_stored() -> None:
    first = """
  %s = load @small:*i8{-2..1}
  store @small:*i8{-2..1}, add(%s, 2:i8) ; "kernel.c":12:3"""
    with pytest.raises(ModelError, match=r"kernel.c:12:3: the value 2 does not fit"):
        explore(buffered(two(first, "  store @small:*i8{-2..1}, 0:i8")))


def test_null_pointer_is_dereferenced_where_it_is_used() -> None:
    more = """
function @through(%q: *u32) {
entry:
  store %q, 1:u32 ; "kernel.c":20:5
  return
}"""
    first = "  call @through(@x:*u32)\n  call @through(0:*u32)"
    result = explore(buffered(two(first, "  %a = load @x:*u32\n  store @y:*u32, %a", more)))
    failure = result.violations[ASSERTIONS].failure
    assert failure is not None
    assert (failure.kind, failure.message) == (
        "page fault",
        "a NULL pointer is dereferenced",
    )
    assert (failure.loc.file, failure.loc.line) == ("kernel.c", 20)


def test_pointer_in_an_initial_value() -> None:
    """What only a pointer leads to is memory like any other."""
    more = """
global @where: *u32 {
  "" = @x:*u32
}
function @put() {
  var %q: *u32
entry:
  %q = load @where:**u32
  store %q, 1:u32
  return
}"""
    text = two("  call @put()", f"  %a = load @x:*u32\n  store {OWN_SEEN}, %a", more)
    for lowered in (program(text), buffered(text)):
        assert finals(lowered, SEEN[1], ("x", "")) == {(0, 1), (1, 1)}


def test_bounds_and_names() -> None:
    for bound in (-1, 0, 256):
        with pytest.raises(UsageError, match="--store-buffer must be from 1 to 255"):
            buffered(sb(), bound=bound)
    with pytest.raises(IRError, match="needs the name 'store_buffers'"):
        buffered(sb(more="global @store_buffers: u32"))
    with pytest.raises(IRError, match="needs the name 'store_buffer_agent'"):
        buffered(sb(more="function @store_buffer_agent() {\nentry:\n  return\n}"))


def test_nothing_to_buffer() -> None:
    text = two(f"  store {OWN_SEEN}, 1:u32", "  %a = load @x:*u32\n  rmw add @y:*u32, %a")
    assert tso(program(text), bound=2) == program(text)


def test_waiting_for_room_is_no_deadlock() -> None:
    first = "\n".join(f"  store @x:*u32, {n}:u32" for n in range(1, 5))
    second = f"  %a = load @x:*u32\n  store {OWN_SEEN}, %a"
    for bound in (1, 2, 4):
        assert finals(buffered(two(first, second), bound), SEEN[1]) == {(n,) for n in range(5)}


def test_progress_is_asked_of_threads_alone() -> None:
    second = "  %a = load @y:*u32\n  assume eq(%a, 1:u32)"
    stuck = explore(buffered(two("  store @x:*u32, 1:u32", "  store @y:*u32, 2:u32\n" + second)))
    violation = stuck.violations[PROGRESS]
    assert violation.cpu == 1 and stuck.finals == ()
    served = explore(buffered(two("  store @y:*u32, 1:u32", second)))
    assert served.violations == {} and len(served.finals) == 1


def test_text_round_trip() -> None:
    lowered = cut(buffered(sb("fence")))
    text = print_program(lowered)
    assert print_program(parse_program(text)) == text


def test_bring_up_shares_the_memory() -> None:
    """Bring-up runs without buffers, in a memory that has their cells."""
    main = buffered(sb())
    plain = program(sb())
    start = program(two("  store @x:*u32, 1:u32"))
    shared = replace(start, structs=main.structs, globals=main.globals)
    assert plain.globals != main.globals
    system = System(cut(main), cut(shared), {}, {}, {}, frozenset())
    result = search(system, finals=True)
    layout = Layout(cut(main))
    seen = {memory[layout.address(*SEEN[1])] for memory in result.finals}
    assert result.complete and seen == {1}
