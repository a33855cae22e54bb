"""Searches with both reductions at once against searches without any."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import test_broken_kernels as broken
from ir.runnable import quick
from pmaplab.ir.effects import bits
from pmaplab.machine.modes import find_mode
from pmaplab.search import reduced
from pmaplab.search.bfs import PART_BITS, search
from pmaplab.search.closure import facts_not_kept
from pmaplab.search.independence import Independence, independence
from pmaplab.search.interpreter import Interpreter, State
from pmaplab.search.ownership import Rule, Rules
from pmaplab.search.reduced import search_reduced
from pmaplab.search.reductions import PARTIAL_ORDER, SEARCH_REDUCTIONS, Reductions
from pmaplab.search.result import Limits, Result
from pmaplab.search.symmetric import Symmetric
from pmaplab.search.symmetry import SET, Kind, Symmetry, Values, symmetry_of
from pmaplab.system import System
from search.alike_small import (
    ASKS,
    CPUS,
    FLAG,
    PASSED,
    SMALL,
    TOLD_BY,
    alike_cpus,
    fact_of,
    fact_of_some,
    facts,
)
from search.alike_systems import CPU_KIND, ITEM_KIND, alike_systems
from search.small import function, system
from search.symmetric_systems import symmetric_systems
from search.test_reduced import known, summary
from search.test_symmetric import kernel

BOTH = Reductions(frozenset(SEARCH_REDUCTIONS))


def numbers(result: Result) -> tuple[Any, ...]:
    """What must not depend on which image of a state is kept."""
    return (
        (result.states, result.transitions, result.depth, result.passed, result.images),
        (result.reductions, result.symmetries, result.searched_again, result.verdict()),
    )


@contextmanager
def keeping(key: Callable[[Sequence[int], int], int]) -> Iterator[None]:
    """Of a state's images that with the largest key: by its memory and its number."""

    def representative(self: Symmetric, memory: int, parts: list[int]) -> tuple[int, int, int]:
        images = [self._packed(memory, parts)]
        images += [self._image(n, memory, parts) for n in range(len(self.permutations))]
        shift = PART_BITS * len(parts)
        most = max(images, key=lambda image: key(self.memory[image >> shift], image))
        return most, images.index(most), len(set(images)) - 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Symmetric, "_representative", representative)
        yield


def keeping_the_largest() -> AbstractContextManager[None]:
    return keeping(lambda _, number: number)


def same(made: System) -> Result | None:
    found = search(made, limits=Limits(states=6_000))
    if not found.complete:
        return None
    less = found
    for names in (set[str](), set(found.exemptions_used)):
        with known(names):
            less = search_reduced(made, reductions=BOTH)
            with keeping_the_largest():
                other = search_reduced(made, reductions=BOTH)
        assert summary(less) == summary(found)
        assert less.states <= found.states
        assert less.searched_again == bool(found.violations)
        if not (found.violations or less.told_apart or less.broken_facts):
            assert numbers(less) == numbers(other)
    return less


def alike(made: System) -> None:
    less = same(made)
    if less is not None:
        assert not less.told_apart
        if not less.violations:
            assert less.reductions == SEARCH_REDUCTIONS
            assert less.symmetries == tuple(kind.name for kind in made.symmetries)


@settings(quick, max_examples=10)
@given(alike_systems(broken=False))
def test_random_systems(made: System) -> None:
    alike(made)


@pytest.mark.slow
@settings(quick, max_examples=300)
@given(alike_systems(broken=False))
def test_more_random_systems(made: System) -> None:
    alike(made)


@settings(quick, max_examples=8)
@given(alike_systems(broken=True))
def test_random_systems_that_are_not_symmetric(made: System) -> None:
    same(made)


@pytest.mark.slow
@settings(quick, max_examples=300)
@given(alike_systems(broken=True))
def test_more_random_systems_that_are_not_symmetric(made: System) -> None:
    same(made)


@settings(quick, max_examples=5)
@given(symmetric_systems(broken=False))
def test_random_systems_with_more_items(made: System) -> None:
    alike(made)


@pytest.mark.slow
@settings(quick, max_examples=150)
@given(symmetric_systems(broken=True))
def test_random_systems_with_more_items_that_are_not_symmetric(made: System) -> None:
    same(made)


# --- the reference kernel ------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "mode", "processes", "states", "passed", "images"),
    [
        ("switch", "nopcid", 2, 693, 2494, 2047),
        pytest.param("switch", "nopcid", 3, 787, 2857, 6864, marks=pytest.mark.slow),
        pytest.param("switch", "pcid+pti", 2, 1272, 6543, 3812, marks=pytest.mark.slow),
        pytest.param("shootdown", "nopcid", 2, 5561, 19310, 16497, marks=pytest.mark.slow),
    ],
)
def test_the_kernel_that_holds(
    scenario: str, mode: str, processes: int, states: int, passed: int, images: int
) -> None:
    made = kernel(scenario, mode, 1, processes)
    less, found = search_reduced(made, reductions=BOTH), search(made)
    assert summary(less) == summary(found)
    assert less.symmetries == ("processes", "CPUs") and not less.searched_again
    assert (less.states, less.passed, less.images) == (states, passed, images)
    with keeping_the_largest():
        assert numbers(search_reduced(made, reductions=BOTH)) == numbers(less)


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        pytest.param(path, mode, marks=[] if number % 12 == 6 else pytest.mark.slow)
        for number, (path, mode) in enumerate(dict(broken.VIOLATED).items())
    ],
    ids=broken.name,
)
def test_a_broken_kernel(path: Any, mode: str) -> None:
    """Found by the reduced search itself, and then as without it."""
    made = broken.built(path, find_mode(mode))
    with known(set()):
        less = search_reduced(made, reductions=BOTH)
    found = search(made)
    assert summary(less) == summary(found)
    assert less.first is not None and found.first is not None
    # What fails at first is known before.
    assert less.searched_again == (len(found.first.moves) > len(found.bring_up))
    assert less.first.moves == found.first.moves
    assert (less.states, less.transitions) == (found.states, found.transitions)


# --- small systems -------------------------------------------------------------------


def told(made: System) -> str:
    """By whom CPUs are told apart, once the verdicts agree."""
    found = search(made)
    with known(set()):
        less = search_reduced(made, reductions=BOTH)
    assert summary(less) == summary(found)
    return " ".join(each.function for each in less.told_apart)


def test_both_are_used() -> None:
    made = SMALL["alike"]
    less = search_reduced(made, reductions=BOTH)
    assert less.reductions == SEARCH_REDUCTIONS and less.symmetries == ("CPUs",)
    for name in SEARCH_REDUCTIONS:
        alone = search_reduced(made, reductions=Reductions(frozenset({name})))
        assert alone.reductions == (name,) and less.states < alone.states
    assert less.passed and less.images


@pytest.mark.parametrize("name", SMALL)
def test_what_is_not_alike(name: str) -> None:
    """Once the tables, what is touched or what is asked were not closed, it was missed."""
    assert told(SMALL[name]) == TOLD_BY.get(name, "")


def test_what_only_an_image_of_a_step_touches_is_no_one_elses() -> None:
    made = SMALL["image of a step touches"]
    assert len(search_reduced(made, reductions=BOTH).broken_facts) == 1


def fewer(*of: Any) -> Independence:
    """Tables that leave out what the first agent writes, where there are symmetries."""
    tables = independence(*of)
    if of[4] is None:
        return tables
    may = (replace(tables.may[0], writes=0), *tables.may[1:])
    return replace(tables, may=may, write=tuple(agents & ~1 for agents in tables.write))


def test_what_is_beyond_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image of a state need not be reachable: without symmetries it is an error."""
    monkeypatch.setattr(reduced, "independence", fewer)
    made = alike_cpus(PASSED, PASSED)
    assert told(made) == "main"
    assert search_reduced(made, reductions=BOTH).reductions == (PARTIAL_ORDER,)


ITEMS = """
cpus 2
struct item {
  word: u32
}
global @items: [2 x item]
global @current: *item
global @word: u32
"""


INVARIANT = """
invariant "current" @look
atomic function @look(%cpu: u32) {
  var %q: *item
  var %x: u32
b:
  %q = load @current:**item
  %x = load field(%q, word):*u32
  assert ne(%x, 7:u32), KASSERT, "seven"
  return
}
"""


def test_what_only_an_image_of_a_state_can_touch() -> None:
    """The first state's image cannot be reached; what agents may do there is known."""
    current = "@current:**item"
    lines = f"%q = load {current}", "store field(%q, word):*u32, 1:u32", f"%q = load {current}"
    main = function("main", *lines, "store @word:*u32, 1:u32", "return", more="var %q: *item")
    first = f"store {current}, index(@items:*[2 x item], 0:u32)"
    start = function("start", first, "return")
    agents = (
        "agent cpu0 cpu 0 context thread entry @{}\n",
        "agent cpu1 cpu 1 context thread entry @{}\n",
    )
    both = "".join(agents).format("main", "main")
    made = system(ITEMS + both + main, ITEMS + agents[0].format("start") + start)
    made = replace(made, symmetries=(Kind("items", 2, ("items",)),))
    assert told(made) == ""
    with keeping_the_largest():
        assert told(made) == ""


@pytest.mark.parametrize("cpus", [(0,), (0, 1)])
def test_a_fact_of_one_cpu(cpus: Sequence[int]) -> None:
    """It would be right where it is asked of the states that are kept, and is not."""
    made = fact_of_some(*cpus)
    layout = Interpreter(made.program).layout
    lock, word = layout.address("lock", ""), layout.address("word", "")
    own = [layout.address("own", f"[{n}]") for n in (0, 1)]
    with keeping(lambda memory, _: memory[lock] == own[memory[word]]):
        assert told(made) == ""
        less = search_reduced(made, reductions=BOTH)
    assert less.symmetries == ("CPUs",) and len(less.broken_facts) == len(cpus) - 1


def test_a_loop_of_passed_steps_ends() -> None:
    made = SMALL["endless"]
    less = search_reduced(made, reductions=BOTH)
    assert less.complete and summary(less) == summary(search(made))
    with keeping_the_largest():
        assert numbers(search_reduced(made, reductions=BOTH)) == numbers(less)


def test_who_is_stuck() -> None:
    waits = "%x = load @word:*u32", "assume eq(%x, 5:u32)"
    made = alike_cpus(PASSED, [*PASSED, *waits])
    assert told(made) == ""
    with known(set()):
        less = search_reduced(made, reductions=BOTH)
    assert less.searched_again and set(less.violations) == {"progress"}


# --- what permutations keep -----------------------------------------------------------


def group(made: System, kinds: Sequence[Kind], start: State) -> Symmetry:
    machine = Interpreter(made.program)
    found, _, _ = symmetry_of(machine.layout, machine.code.numbers, start, kinds)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (facts('@own "[#]"'), True),
        (facts('@own "[~]"'), True),
        (facts('@own "[0]"'), False),
        (fact_of(0, '@own "[#]"'), False),
        (facts('@word ""', 'when @lock "" is @own "[#]"'), True),
        (facts('@word ""', 'when @lock "" is @own "[~]"'), True),
        (facts('@word ""', 'when @lock "" is @own "[0]"'), False),
        (facts('@word ""', 'when @flag "[#]" is 1'), True),
        (facts('@word ""', 'when @flag "[#]" is #'), False),
        (facts('@word ""', "outside inside"), True),
    ],
)
def test_facts_that_permutations_keep(said: str, kept: bool) -> None:
    flags = f"store {FLAG.format('cpu')}, 1:u32", f"%x = load {FLAG.format('cpu')}"
    lines = "enter inside", "store @word:*u32, %x", "leave inside", *PASSED
    made = alike_cpus([*flags, *lines], [*flags, *lines], more=said)
    machine = Interpreter(made.program)
    symmetry = group(made, made.symmetries, machine.initial())
    not_kept = facts_not_kept(Rules(made.program, machine.layout), symmetry)
    assert not_kept == (frozenset() if kept else {"f"})


@pytest.mark.parametrize(
    ("when", "kept"),
    [(("has 1", "has 2"), True), (("is 1", "is 2"), True), (("has 1", "has 1"), False)],
)
def test_facts_of_a_set_that_permutations_keep(when: tuple[str, str], kept: bool) -> None:
    said = "".join(
        f'owned "f" cpu {n} {{\ncell @own "[{n}]"\nwhen @word "" {each}\n}}\n'
        for n, each in enumerate(when)
    )
    lines = "%x = load @word:*u32", "rmw or @word:*u32, shl(1:u32, cpu)"
    made = alike_cpus(lines, lines, more=said)
    machine = Interpreter(made.program)
    kind = replace(CPUS, values=(Values(SET, ("word",)),))
    symmetry = group(made, [kind], machine.initial())
    not_kept = facts_not_kept(Rules(made.program, machine.layout), symmetry)
    assert not_kept == (frozenset() if kept else {"f"})


@pytest.mark.parametrize("entered", [False, True])
def test_a_region_in_which_one_cpu_is_for_ever(entered: bool) -> None:
    """Where failures do not count there, they may in an image."""
    lines = ["enter inside", *PASSED, "leave inside"] if entered else PASSED
    made = alike_cpus(lines, lines, more=ASKS.replace("@apart", "@apart exempt inside", 1))
    layout = Interpreter(made.program).layout
    cells = list(Interpreter(made.program).initial())
    cells[layout.regions] = 1
    for symmetry in (None, group(made, made.symmetries, tuple(cells))):
        tables = independence(made.program, layout, cells, None, symmetry)
        always = {unit.always for unit in tables.units}
        assert always == ({0} if symmetry is not None and not entered else {1})


def moved(numbers: int, to: Sequence[int]) -> int:
    return sum(1 << to[number] for number in bits(numbers))


def told_of(
    rule: Rule, cells: Sequence[int], agents: Sequence[int]
) -> tuple[int, list[int], list[int]]:
    """A rule where cells and agents go there."""
    sets = rule.keepers, rule.enders, rule.changers, rule.concerned
    return rule.name, sorted(cells[c] for c in rule.cells), [moved(each, agents) for each in sets]


def check_tables(tables: Independence, rules: Rules, symmetry: Symmetry, cpus: int) -> None:
    for p in symmetry.permutations:
        units = [unit.invariant * cpus + p.cpus[unit.cpu] for unit in tables.units]
        for cell, to in enumerate(p.cells):
            assert tables.touch[to] == moved(tables.touch[cell], p.agents)
            assert tables.write[to] == moved(tables.write[cell], p.agents)
            assert tables.seen[to] == moved(tables.seen[cell], units)
        for number, unit in enumerate(tables.units):
            image = tables.units[units[number]]
            assert image.always == unit.always
            assert all(image.asks[p.cpus[n]] == unit.asks[n] for n in range(cpus))
        for agent, to in enumerate(p.agents):
            assert tables.guard[to] == p.cells[tables.guard[agent]]
            assert tables.may[to].reads == moved(tables.may[agent].reads, p.cells)
            assert tables.may[to].writes == moved(tables.may[agent].writes, p.cells)
        for table in (tables.leavers, tables.enterers):
            for cpu, to in enumerate(p.cpus):
                assert table[to] == tuple(moved(agents, p.agents) for agents in table[cpu])
        told_now = [told_of(r, range(len(p.cells)), range(len(p.agents))) for r in rules.rules]
        assert sorted(told_now) == sorted(told_of(r, p.cells, p.agents) for r in rules.rules)


def test_tables_where_only_the_first_item_is_touched() -> None:
    current = "@current:**item"
    said = "".join(
        f'owned "f" cpu {n} {{\ncell @items "[{i}].word"\n}}\n' for n in (0, 1) for i in (0, 1)
    )
    text = ITEMS + "agent cpu0 cpu 0 context thread entry @main\n" + said + INVARIANT
    lines = f"%q = load {current}", "store field(%q, word):*u32, 1:u32", f"store {current}, %q"
    made = system(text + function("main", *lines, "return", more="var %q: *item"))
    layout = Interpreter(made.program).layout
    start = list(Interpreter(made.program).initial())
    start[layout.address("current", "")] = first = layout.address("items", "[0].word")
    symmetry = group(made, [Kind("items", 2, ("items",))], tuple(start))
    rules = Rules(made.program, layout)
    assert not facts_not_kept(rules, symmetry)
    tables = independence(made.program, layout, start, rules, symmetry)
    second = layout.address("items", "[1].word")
    assert tables.touch[first] == tables.touch[second] == 1 and tables.seen[second]
    check_tables(tables, rules, symmetry, 2)


@settings(quick, max_examples=15)
@given(alike_systems(broken=True), st.booleans())
def test_tables_that_permutations_keep(made: System, unlike: bool) -> None:
    """Whether agents are alike or not, and wherever the search begins."""
    machine = Interpreter(made.program)
    layout, cells = machine.layout, list(machine.initial())
    if unlike:
        cells[layout.address("pcpu", "[0].item")] = layout.address("items", "[0].word")
        cells[layout.regions] = 1
    start, cpus = tuple(cells), made.program.cpus
    symmetry, _, _ = symmetry_of(layout, machine.code.numbers, start, [ITEM_KIND, CPU_KIND])
    if symmetry is None:
        return
    dropped = facts_not_kept(Rules(made.program, layout), symmetry)
    rules = Rules(made.program, layout, dropped)
    tables = independence(made.program, layout, start, rules, symmetry)
    check_tables(tables, rules, symmetry, cpus)
