"""Searches of one state of each orbit against searches of all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

import test_broken_kernels as broken
from ir.runnable import quick
from pmaplab.machine.modes import find_mode
from pmaplab.reviews.registry import proposal_files
from pmaplab.search.bfs import search
from pmaplab.search.reduced import search_reduced
from pmaplab.search.reductions import SYMMETRY, Reductions
from pmaplab.search.result import Limits, Result
from pmaplab.search.symmetry import INDEX, Kind, Values
from pmaplab.system import System, build_system, default_bounds
from search.small import function, system
from search.symmetric_systems import symmetric_systems
from search.test_reduced import summary

ALWAYS = Reductions(frozenset({SYMMETRY}))


def same(made: System) -> Result | None:
    found = search(made, limits=Limits(states=4_000))
    if not found.complete:
        return None
    less = search_reduced(made, reductions=ALWAYS)
    assert summary(less) == summary(found)
    assert less.states <= found.states
    assert bool(less.symmetries) == (less.reductions == (SYMMETRY,))
    if found.violations:
        assert not less.reductions and less.states == found.states
    else:
        assert less.states + less.images >= found.states
    return less


@settings(quick, max_examples=15)
@given(symmetric_systems(broken=False))
def test_random_systems(made: System) -> None:
    less = same(made)
    if less is not None and not less.violations:
        assert not less.told_apart
        assert less.symmetries == tuple(kind.name for kind in made.symmetries)


@pytest.mark.slow
@settings(quick, max_examples=300)
@given(symmetric_systems(broken=False))
def test_more_random_systems(made: System) -> None:
    less = same(made)
    assert less is None or less.violations or not less.told_apart


@settings(quick, max_examples=15)
@given(symmetric_systems(broken=True))
def test_random_systems_that_are_not_symmetric(made: System) -> None:
    same(made)


@pytest.mark.slow
@settings(quick, max_examples=500)
@given(symmetric_systems(broken=True))
def test_more_random_systems_that_are_not_symmetric(made: System) -> None:
    same(made)


# --- the reference kernel ------------------------------------------------------------


def kernel(scenario: str, mode: str, operations: int, processes: int) -> System:
    bounds = replace(default_bounds(scenario), operations=operations, processes=processes)
    return build_system(scenario, proposal_files("repaired"), find_mode(mode), bounds)


def only(made: System, *kinds: str) -> System:
    return replace(made, symmetries=tuple(k for k in made.symmetries if k.name in kinds))


@pytest.mark.parametrize(
    ("processes", "states", "all_states"), [(2, 2600, 2697), pytest.param(3, 2899, 4877)]
)
def test_switches_of_processes(processes: int, states: int, all_states: int) -> None:
    made = kernel("switch", "nopcid", 1, processes)
    found, less = search(made), search_reduced(made, reductions=ALWAYS)
    assert summary(less) == summary(found)
    assert less.symmetries == ("processes", "CPUs") and not less.told_apart
    assert (less.states, found.states) == (states, all_states)


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        pytest.param(path, mode, marks=[] if number % 12 == 3 else pytest.mark.slow)
        for number, (path, mode) in enumerate(dict(broken.VIOLATED).items())
    ],
    ids=broken.name,
)
def test_a_broken_kernel(path: Any, mode: str) -> None:
    made = broken.built(path, find_mode(mode))
    less, found = search_reduced(made, reductions=ALWAYS), search(made)
    assert summary(less) == summary(found)
    assert less.first is not None and found.first is not None
    assert less.first.moves == found.first.moves
    assert (less.states, less.transitions) == (found.states, found.transitions)


# --- what is no symmetry ---------------------------------------------------------------

ITEMS = """
cpus 1
struct item {
  word: u32
}
global @items: [2 x item]
global @chosen: u32
global @other: u32
agent cpu0 cpu 0 context thread entry @main
"""
CHOOSE = ("%i = choose 0:u32, 1:u32", "%p = index(@items:*[2 x item], %i)")
LOCALS = "var %i: u32\nvar %p: *item\nvar %x: u32"
KIND = Kind("items", 2, ("items",), (Values(INDEX, ("chosen",), ("main.i",)),))


def items(*lines: str, kind: Kind = KIND, more: str = "") -> System:
    text = ITEMS + more + function("main", *CHOOSE, *lines, "return", more=LOCALS)
    return replace(system(text), symmetries=(kind,))


def told(made: System) -> str:
    """By whom the objects are told apart, once the verdicts agree."""
    found, less = search(made), search_reduced(made, reductions=ALWAYS)
    assert summary(less) == summary(found)
    if not less.told_apart:
        assert less.symmetries == ("items",) and less.states < found.states
        return ""
    assert not less.symmetries and less.states == found.states
    (told,) = less.told_apart
    assert told.kind == "items"
    return told.function or told.cell


def test_one_of_two_is_kept() -> None:
    stores = "store field(%p, word):*u32, 1:u32", "store @chosen:*u32, %i"
    assert told(items(*stores)) == ""
    found = search_reduced(items(*stores), reductions=ALWAYS)
    assert (found.states, found.images, search(items(*stores)).states) == (4, 4, 5)


@pytest.mark.parametrize(
    "lines",
    [
        ("store @other:*u32, %i",),
        ("store field(index(@items:*[2 x item], 0:u32), word):*u32, 1:u32",),
        ("branch eq(%i, 0:u32), k, e", "k:", 'sometimes "the first"', "jump e", "e:"),
        ("branch eq(%i, 0:u32), k, e", "k:", "assume false", "jump e", "e:"),
        ("branch eq(%i, 0:u32), k, e", "k:", "store @other:*u32, 3:u32", "jump e", "e:"),
    ],
)
def test_a_step_that_tells_objects_apart(lines: tuple[str, ...]) -> None:
    # A step that only chooses passes the same labels for all objects.
    stores = "store field(%p, word):*u32, 1:u32", "store @other:*u32, 2:u32"
    assert told(items(*stores, *lines)) == "main"


def test_an_assertion_that_one_object_fails() -> None:
    made = items("store @chosen:*u32, %i", 'assert ne(%i, 1:u32), MPASS, "one"')
    less = search_reduced(made, reductions=ALWAYS)
    assert summary(less) == summary(search(made)) and less.verdict() == "violated"
    assert [told.function for told in less.told_apart] == ["main"]
    assert not less.searched_again


def test_an_assertion_that_both_fail() -> None:
    made = items("store field(%p, word):*u32, 1:u32", 'assert ne(%i, %i), MPASS, "no"')
    less = search_reduced(made, reductions=ALWAYS)
    assert summary(less) == summary(search(made)) and less.verdict() == "violated"
    assert not less.told_apart and less.searched_again


@pytest.mark.parametrize("what", ['assert ne(%y, 1:u32), KASSERT, "one"', 'sometimes "one"'])
def test_an_invariant_that_tells_objects_apart(what: str) -> None:
    more = """
invariant "first" @first
atomic function @first(%cpu: u32) {
  var %y: u32
e:
  %y = load field(index(@items:*[2 x item], 0:u32), word):*u32
  branch eq(%y, 1:u32), one, out
one:
  WHAT
  jump out
out:
  return
}
"""
    made = items("store field(%p, word):*u32, 1:u32", more=more.replace("WHAT", what))
    less = search_reduced(made, reductions=ALWAYS)
    assert summary(less) == summary(search(made))
    assert [told.function for told in less.told_apart] == ["first"]


def test_a_local_whose_map_is_left_out() -> None:
    kind = replace(KIND, values=(Values(INDEX, ("chosen",)),))
    assert told(items("store field(%p, word):*u32, 1:u32", "store @chosen:*u32, %i", kind=kind))


def test_a_field_whose_map_is_left_out() -> None:
    kind = replace(KIND, values=(Values(INDEX, (), ("main.i",)),))
    stores = "store field(%p, word):*u32, 1:u32", "store @chosen:*u32, %i"
    assert told(items(*stores, kind=kind)) == "main"


def test_a_map_too_many() -> None:
    kind = replace(KIND, values=(*KIND.values, Values(INDEX, ("other",))))
    assert told(items("store @other:*u32, 1:u32", kind=kind)) == "main"


def test_a_constant_that_differs() -> None:
    more = 'global @sizes: [2 x u32] {\n"[1]" = 1:u32\n}\n'
    load = "%x = load index(@sizes:*[2 x u32], %i)", "store field(%p, word):*u32, %x"
    kind = replace(KIND, objects=("items", "sizes"))
    assert told(items(*load, kind=kind, more=more)) == "sizes[0]"


def test_who_is_stuck() -> None:
    """Of agents that change places as well."""
    text = """
cpus 2
global @turn: [2 x u32]
agent cpu0 cpu 0 context thread entry @main
agent cpu1 cpu 1 context thread entry @main
""" + function(
        "main",
        "store index(@turn:*[2 x u32], cpu), 1:u32",
        "%x = load index(@turn:*[2 x u32], and(add(cpu, 1:u32), 1:u32))",
        "assume eq(%x, WHAT:u32)",
        "store index(@turn:*[2 x u32], cpu), 2:u32",
        "return",
        more="var %x: u32",
    )
    kind = Kind("CPUs", 2, ("turn",), cpus=True)
    for what, verdict in (("0", "violated"), ("1", "violated"), ("2", "violated"), ("3", "")):
        made = replace(system(text.replace("WHAT", what)), symmetries=(kind,))
        less, found = search_reduced(made, reductions=ALWAYS), search(made)
        assert summary(less) == summary(found)
        assert not less.told_apart and verdict in (found.verdict(), "")
    made = replace(system(text.replace("assume eq(%x, WHAT:u32)", "")), symmetries=(kind,))
    less, found = search_reduced(made, reductions=ALWAYS), search(made)
    assert summary(less) == summary(found) and less.verdict() == "holds"
    assert less.states < found.states


def test_small_searches_are_not_reduced() -> None:
    made = items("store @chosen:*u32, %i")
    few = search_reduced(made, reductions=Reductions(ALWAYS.names, beyond=2))
    assert few.complete and few.reductions == (SYMMETRY,)
    assert not search_reduced(made, reductions=Reductions(ALWAYS.names, beyond=99)).reductions
    limited = search_reduced(made, reductions=ALWAYS, limits=Limits(states=1))
    assert limited.stopped == "the limit of 1 states is reached"


def test_nothing_is_declared() -> None:
    made = replace(items("store @chosen:*u32, %i"), symmetries=())
    less = search_reduced(made, reductions=ALWAYS)
    assert less.complete and not less.reductions and not less.told_apart
