"""Small systems with two CPUs that run the same code, up to what they tell apart: what
searches with both reductions must not miss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pmaplab.search.symmetry import Kind
from pmaplab.system import System
from search.small import function, system

# The first one to come has the lock, and goes on at `holder`, the other one at `other`.
ALIKE = """
cpus 2
region inside
global @own: [2 x u32]
global @flag: [2 x u32]
global @word: u32
global @lock: *u32
agent cpu0 cpu 0 context thread entry @main
agent cpu1 cpu 1 context thread entry @main
"""
CPUS = Kind("CPUs", 2, ("own", "flag"), cpus=True)
OWN, FLAG = "index(@own:*[2 x u32], {})", "index(@flag:*[2 x u32], {})"


def facts(cell: str, *when: str) -> str:
    """A fact of each CPU: its number is # in the text, and that of the other one ~."""
    return "".join(fact_of(n, cell, *when) for n in (0, 1))


def fact_of(cpu: int, cell: str, *when: str) -> str:
    lines = "\n".join((f'owned "f" cpu {cpu} shared {{', f"cell {cell}", *when, "}\n"))
    return lines.replace("#", str(cpu)).replace("~", str(1 - cpu))


def alike_cpus(holder: Sequence[str], other: Sequence[str], more: str = "") -> System:
    lines = [
        f"%q = cmpxchg @lock:**u32, null:*u32, {OWN.format('cpu')}",
        "branch eq(%q, null:*u32), holder, other\nholder:",
        *holder,
        "jump e\nother:",
        *other,
        "jump e\ne:",
        "return",
    ]
    text = ALIKE + more + function("main", *lines, more="var %x: u32\nvar %q: *u32")
    return replace(system(text), symmetries=(CPUS,))


# After these, a state is kept in which CPU 0 has come first.
FIRST, SECOND = "store @word:*u32, 1:u32", "%x = load @word:*u32"
AFTER = SECOND, "assume eq(%x, 1:u32)"
PASSED = [f"store {OWN.format('cpu')}, {n}:u32" for n in (1, 2, 3)]

ASKS = """
invariant "apart" @apart
atomic function @apart(%cpu: u32) {
  var %x: u32
b:
  %x = load index(@flag:*[2 x u32], %cpu)
  branch eq(%x, 1:u32), one, out
one:
  %x = load index(@own:*[2 x u32], 0:u32)
  assert ne(%x, 1:u32), KASSERT, "one"
  jump out
out:
  return
}
"""


def _passed_step(cpu: int) -> System:
    one = [f"branch eq(cpu, {cpu}:u32), k, l", 'k:\nsometimes "one"', "jump l\nl:", *PASSED]
    return alike_cpus([*PASSED, *one], PASSED)


def _image_of_a_step_reads(cpu: int) -> System:
    """A CPU reads its own word, or that of the other one; what that may see is not missed where
    the first one has come first."""
    look = f"%x = load {OWN.format(f'{cpu}:u32')}", "branch eq(%x, 1:u32), k, l"
    seen = 'k:\nsometimes "seen"', "jump l\nl:", FIRST
    return alike_cpus([FIRST, *look, *seen], [*AFTER, *PASSED])


def _image_of_a_step_touches() -> System:
    """CPU 0 looks at what the one that has the lock owns, and CPU 1 beside it."""
    said = facts('@mine "[0]"', 'when @lock "" is @own "[#]"').replace(" shared", "")
    mine = "index(@mine:*[2 x u32], {})"
    holder = FIRST, *[f"store {mine.format('0:u32')}, 1:u32"] * 2
    look = SECOND, f"%x = load {mine.format('cpu')}"
    return alike_cpus(holder, look, more="global @mine: [2 x u32]\n" + said)


def _image_of_an_invariant_reads(cpu: int) -> System:
    flags = [f"store {FLAG.format('cpu')}, {n}:u32" for n in (1, 0)]
    return alike_cpus(
        [FIRST, *flags, FIRST], [*AFTER, *PASSED], more=ASKS.replace("0:u32", f"{cpu}:u32")
    )


def _wait(cpu: int) -> System:
    waits = SECOND, f"assume or(eq(cpu, {cpu}:u32), eq(%x, 5:u32))", "branch eq(%x, 5:u32), e, k"
    early = 'k:\nsometimes "early"'
    return alike_cpus([SECOND, *waits, early], ["store @word:*u32, 5:u32"])


def _endless(*other: str) -> System:
    again = "branch ne(cpu, 5:u32), c, d\nd:"
    return alike_cpus(["jump c\nc:", *PASSED, again], [*PASSED, *other])


def fact_of_some(*cpus: int) -> System:
    """What the one that has the lock owns, as is said, is touched by the other one."""
    said = "".join(fact_of(n, '@mine ""', 'when @lock "" is @own "[#]"') for n in cpus)
    said = said.replace(" shared", "") + "global @mine: u32\n"
    holder = "%x = load @mine:*u32", "branch eq(%x, 1:u32), k, l"
    seen = 'k:\nsometimes "seen"', "jump l\nl:", SECOND
    return alike_cpus([*holder, *seen], [FIRST, "store @mine:*u32, 1:u32"], more=said)


FAILS = """
invariant "first" @first
atomic function @first(%cpu: u32) {
  var %x: u32
  var %q: *u32
b:
  %q = load @lock:**u32
  branch eq(%q, index(@own:*[2 x u32], %cpu)), first, out
first:
  %x = load @word:*u32
  assert ne(%x, 1:u32), KASSERT, "one"
  jump out
out:
  return
}
"""


SMALL = {
    "alike": alike_cpus([*PASSED, FIRST], [*PASSED, SECOND]),
    "step of 0": _passed_step(0),
    "step of 1": _passed_step(1),
    "image of a step reads 0": _image_of_a_step_reads(0),
    "image of a step reads 1": _image_of_a_step_reads(1),
    "image of a step touches": _image_of_a_step_touches(),
    "image of an invariant reads 0": _image_of_an_invariant_reads(0),
    "image of an invariant reads 1": _image_of_an_invariant_reads(1),
    "wait of 0": _wait(0),
    "wait of 1": _wait(1),
    "endless": _endless(),
    "endless, and stuck": _endless(*AFTER),
    "fact of 0": fact_of_some(0),
    "fact of 1": fact_of_some(1),
    "fails": alike_cpus([SECOND, FIRST, SECOND], [*PASSED, SECOND, FIRST, *PASSED], more=FAILS),
}
# What tells the CPUs apart.
TOLD_BY = {
    **dict.fromkeys(("step of 0", "step of 1", "wait of 0", "wait of 1"), "main"),
    **dict.fromkeys(("image of a step reads 0", "image of a step reads 1"), "main"),
    **dict.fromkeys(("image of an invariant reads 0", "image of an invariant reads 1"), "apart"),
}
