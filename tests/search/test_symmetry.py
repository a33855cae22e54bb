"""Permutations of rows of cells."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ir.runnable import quick
from pmaplab.ir.cut import cut
from pmaplab.ir.nodes import Program
from pmaplab.ir.parser import parse_program
from pmaplab.search.interpreter import Interpreter
from pmaplab.search.symmetry import INDEX, LIKE, SET, Kind, Symmetry, Values, symmetry_of
from search.small import function

PROGRAM = (
    """
cpus 2
region inside
region outside
struct item {
  next: *item
  place: u64
  marks: [2 x u32]
}
global @items: [3 x item] {
  "[0].place" = 4096:u64
  "[1].place" = 8192:u64
  "[2].place" = 12288:u64
}
global @spare: [3 x u32]
global @current: *item
global @number: u32
global @twice: u32
global @place: u64
global @set: u64
global @own: [2 x u32]
agent cpu0 cpu 0 context thread entry @main
agent cpu1 cpu 1 context thread entry @main
agent i0 cpu 0 context interrupt entry @handler
agent i1 cpu 1 context interrupt entry @handler
"""
    + function(
        "main",
        "enter inside",
        "%p = index(@items:*[3 x item], %i)",
        "store field(%p, next):**item, %p",
        "%l = load field(%p, place):*u64",
        "store @current:**item, %p",
        "%r = call @inner(%p, %i)",
        "store index(field(%p, marks):*[2 x u32], cpu), %i",
        "store @number:*u32, %i",
        "store @twice:*u32, %r",
        "store @place:*u64, %l",
        "store @set:*u64, %l",
        "store index(@own:*[2 x u32], cpu), %i",
        "return",
        more="var %i: u32\nvar %l: u64\nvar %r: u32\nvar %p: *item",
    ).replace("b:\n", "b:\n  %i = choose 0:u32, 2:u32\n", 1)
    + function(
        "inner",
        "%x = load @twice:*u32",
        "store @number:*u32, %j",
        "store @current:**item, %q",
        "store @number:*u32, %x",
        "return %j",
        head="(%q: *item, %j: u32) -> u32",
        more="var %x: u32",
    )
    + function("handler", "store @number:*u32, 2:u32", "return")
)

ITEMS = Kind(
    "items",
    3,
    ("items",),
    (
        Values(INDEX, ("number", "own"), ("main.i", "inner.j")),
        Values(INDEX, ("twice",), ("main.r",), blocks=2),
        Values(LIKE, ("item.place", "place"), ("*.l",), like="items.place", mask=0xFFFFF000),
        Values(SET, ("set",), bits=4),
    ),
)
CPUS = Kind("CPUs", 2, ("own", "item.marks"), (), cpus=True)


def made() -> Interpreter:
    return Interpreter(cut(parse_program(PROGRAM)))


def group(*kinds: Kind, machine: Interpreter | None = None) -> tuple[Interpreter, Symmetry]:
    machine = machine or made()
    found, _, told = symmetry_of(machine.layout, machine.code.numbers, machine.initial(), kinds)
    assert found is not None and not told
    return machine, found


def image(machine: Interpreter, all_of: Symmetry, number: int, state: list[int]) -> list[int]:
    p = all_of.permutations[number]
    memory, parts = machine.split(tuple(state))
    result: list[list[int]] = [[] for _ in parts]
    for agent, part in enumerate(parts):
        result[p.agents[agent]] = all_of.part(p, part)
    return sum(result, all_of.memory(p, memory))


@settings(quick, max_examples=40)
@given(st.data())
def test_they_are_a_group(data: st.DataObject) -> None:
    """On all rows, whatever they hold."""
    machine, both = group(ITEMS, CPUS)
    assert both.order == 12
    values = st.integers(0, 70) | st.sampled_from([4096, 8193, 12295])
    state = [data.draw(values) for _ in range(machine.layout.size)]
    for base in machine.layout.agents:
        point = data.draw(st.sampled_from(sorted(machine.code.numbers.values())))
        state[base] = point
        for frame in machine.layout.frames.values():
            state[base + frame.return_address] = 0
    images = [tuple(image(machine, both, n, state)) for n in range(len(both.permutations))]
    everything = {tuple(state), *images}
    for each in everything:
        again = {tuple(image(machine, both, n, list(each))) for n in range(len(images))}
        assert again | {each} == everything
    memory, parts = machine.split(tuple(state))
    assert both.orbit(memory, parts) == len(everything)


def test_where_things_go() -> None:
    machine, items = group(ITEMS)
    layout = machine.layout
    number = next(
        n
        for n, p in enumerate(items.permutations)
        if p.cells[layout.address("items", "[0].place")] == layout.address("items", "[2].place")
        and p.cells[layout.address("items", "[1].place")] == layout.address("items", "[1].place")
    )
    state = list(machine.initial())
    at = layout.address

    def item(number: int) -> int:
        return at("items", f"[{number}].next")

    state[at("current")], state[item(0)] = item(2), item(1)
    state[at("number")], state[at("twice")], state[at("place")] = 0, 5, 4096 + 7
    state[at("set")] = 0x31
    state[at("spare", "[0]")] = 9
    after = image(machine, items, number, state)
    assert after[at("current")] == item(0) and after[item(2)] == item(1)
    assert (after[at("number")], after[at("twice")]) == (2, 3)
    assert after[at("place")] == 12288 + 7
    assert after[at("set")] == 0x130
    assert after[at("spare", "[0]")] == 9
    # Each item keeps its place: what moves, and what it is mapped to, cancel.
    assert after[at("items", "[0].place")] == 4096


def test_locals_are_told_by_the_calls() -> None:
    machine, items = group(ITEMS)
    state, steps = machine.initial(), 0
    seen = set()
    while not machine.done(state, 0):
        before = items.orbit(*machine.split(state))
        seen.add((machine.location(state, 0)[0], before))
        outcome = list(machine.outcomes(state, 0))[-1]
        state, steps = outcome.state, steps + 1
    # At first item 0 is told, by 0; then another one, also by locals of both functions.
    assert seen == {("main", 3), ("main", 6), ("inner", 6)} and steps > 8


def test_cpus_take_their_agents_and_regions_along() -> None:
    machine, cpus = group(CPUS)
    (p,) = cpus.permutations
    assert p.agents == (1, 0, 3, 2) and p.cpus == (1, 0)
    state = list(machine.initial())
    state[machine.layout.regions] = 1
    state[machine.layout.agents[0] + 2] = 1
    after = image(machine, cpus, 0, state)
    assert after[machine.layout.regions : machine.layout.regions + 2] == [0, 1]
    assert after[machine.layout.agents[1] + 2] == 1


def test_a_region_that_nobody_enters_stays() -> None:
    machine = made()
    start = list(machine.initial())
    start[machine.layout.regions] = 2
    found, _, _ = symmetry_of(machine.layout, machine.code.numbers, start, (CPUS,))
    assert found is not None
    start[machine.layout.regions] = 3
    after = image(machine, found, 0, start)
    assert after[machine.layout.regions : machine.layout.regions + 2] == [2, 1]


def test_what_is_not_there() -> None:
    machine = made()
    for kind in (
        replace(ITEMS, count=1),
        replace(ITEMS, count=4),
        replace(ITEMS, objects=("others", "item.word", "current")),
        replace(CPUS, count=3),
    ):
        found, used, told = symmetry_of(
            machine.layout, machine.code.numbers, machine.initial(), (kind,)
        )
        assert found is None and not used and not told
    one = parse_program(PROGRAM.replace("agent i1 cpu 1 context interrupt entry @handler\n", ""))
    assert nothing(cut(one), CPUS)


def nothing(program: Program, kind: Kind) -> bool:
    machine = Interpreter(program)
    return symmetry_of(machine.layout, machine.code.numbers, machine.initial(), (kind,))[0] is None


def test_constants_tell_apart() -> None:
    machine = made()
    kind = replace(ITEMS, values=ITEMS.values[:2])
    found, used, (told,) = symmetry_of(
        machine.layout, machine.code.numbers, machine.initial(), (kind, CPUS)
    )
    assert found is not None and used == (CPUS,)
    assert (told.kind, told.function, told.cell) == ("items", "", "items[1].place")
    assert told.loc.line == PROGRAM.split("\n").index("global @items: [3 x item] {") + 1


def test_a_group_that_is_too_large() -> None:
    text = PROGRAM.replace("[3 x", "[5 x").replace("choose 0:u32, 2:u32", "choose 0:u32, 4:u32")
    for number in (3, 4):
        text = text.replace("12288:u64\n", f'12288:u64\n  "[{number}].place" = {number + 20}:u64\n')
    machine = Interpreter(cut(parse_program(text)))
    kind = replace(ITEMS, count=5)
    found, used, _ = symmetry_of(
        machine.layout, machine.code.numbers, machine.initial(), (CPUS, kind)
    )
    assert found is not None and used == (CPUS,)


@pytest.mark.parametrize(
    "values",
    [
        Values(SET, ("number",)),
        Values(INDEX, ("number",), blocks=2),
        Values(INDEX, ("place",)),
        Values(LIKE, ("number",), like="items.word"),
        Values(LIKE, ("number",), like="others.word"),
        Values(LIKE, ("number",), like="items.next"),
        Values(LIKE, ("number",), like="items.place", mask=0x1000),
    ],
)
def test_the_first_of_two_declarations_counts(values: Values) -> None:
    """Or the one that says something."""
    machine, items = group(ITEMS)
    _, others = group(replace(ITEMS, values=(*ITEMS.values, values)), machine=machine)
    state = [*machine.initial()]
    state[machine.layout.address("number")] = 2
    state[machine.layout.address("place")] = 4096
    for number in range(5):
        assert image(machine, others, number, state) == image(machine, items, number, state)


def test_paths_have_limits() -> None:
    values = Values(INDEX, ("items[2].marks[]",))
    machine, items = group(replace(ITEMS, values=(*ITEMS.values, values)))
    layout = machine.layout
    mapped = [items.maps[layout.address("items", f"[{n}].marks[1]")] != 0 for n in range(3)]
    assert mapped == [True, True, False]
