"""Reduced searches against unreduced ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings

import test_broken_kernels as broken
from ir.runnable import concurrent_programs, placed, quick
from pmaplab.errors import UsageError
from pmaplab.ir.nodes import PROGRAM_REDUCTIONS, Program
from pmaplab.machine.modes import find_mode
from pmaplab.reviews.registry import proposal_files
from pmaplab.search import reduced
from pmaplab.search.begun import BegunSearch
from pmaplab.search.bfs import search
from pmaplab.search.reduced import DisagreementError, search_reduced
from pmaplab.search.reductions import (
    NO_REDUCTIONS,
    PARTIAL_ORDER,
    SEARCH_REDUCTIONS,
    SYMMETRY,
    WORTH,
    Chosen,
    FailureFoundError,
    Reductions,
    parse_reductions,
)
from pmaplab.search.result import Limits, Result
from pmaplab.system import Bounds, System, build_system
from search.reducible import reducible_systems
from search.small import HEAD, function, system

ALWAYS = Reductions(frozenset({PARTIAL_ORDER}))
ALL = Reductions(frozenset(SEARCH_REDUCTIONS))


def summary(result: Result) -> dict[str, Any]:
    """What must not depend on reductions."""
    return {
        "verdict": result.verdict(),
        "violations": {name: found.steps for name, found in sorted(result.violations.items())},
        "exemptions": sorted(result.exemptions_used),
        "reached": sorted(result.reached),
        "unreached": result.unreached,
    }


@contextmanager
def known(names: set[str]) -> Iterator[None]:
    """No walk before the search, which would find what it is to find; the exemptions
    of which it is known that they are used."""

    def walk(begun: BegunSearch) -> None:
        begun.result.exemptions_used |= names

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reduced, "_walk", walk)
        yield


def same(made: System) -> None:
    found = search(made, limits=Limits(states=20_000))
    if not found.complete:
        return
    for names in (set(), set(found.exemptions_used)):
        with known(names):
            less = search_reduced(made, reductions=ALWAYS)
        assert summary(less) == summary(found)
        assert less.states <= found.states
        assert less.searched_again == bool(found.violations)


@settings(quick, max_examples=10)
@given(reducible_systems())
def test_random_systems(made: System) -> None:
    same(made)


@pytest.mark.slow
@settings(quick, max_examples=400)
@given(reducible_systems())
def test_more_random_systems(made: System) -> None:
    same(made)


@settings(quick, max_examples=6)
@given(concurrent_programs())
def test_random_programs(program: Program) -> None:
    same(System(placed(program), None, {}, {}, {}, frozenset()))


@pytest.mark.slow
@settings(quick, max_examples=200)
@given(concurrent_programs())
def test_more_random_programs(program: Program) -> None:
    same(System(placed(program), None, {}, {}, {}, frozenset()))


@pytest.mark.parametrize(
    ("scenario", "mode", "states", "passed"),
    [
        ("switch", "pcid+pti", 1273, 6543),
        pytest.param("boot", "nopcid", 2998, 9511, marks=pytest.mark.slow),
    ],
)
def test_the_kernel_that_holds(scenario: str, mode: str, states: int, passed: int) -> None:
    bounds = Bounds(operations=1)
    made = build_system(scenario, proposal_files("repaired"), find_mode(mode), bounds)
    found, less = search(made), search_reduced(made, reductions=ALWAYS)
    assert summary(less) == summary(found)
    assert less.reductions == (PARTIAL_ORDER,) and not less.searched_again
    assert (less.states, less.passed) == (states, passed)


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        pytest.param(path, mode, marks=[] if number % 12 == 0 else pytest.mark.slow)
        for number, (path, mode) in enumerate(dict(broken.VIOLATED).items())
    ],
    ids=broken.name,
)
def test_a_broken_kernel(path: Any, mode: str) -> None:
    """Found by the reduced search itself, and then as without it."""
    made = broken.built(path, find_mode(mode))
    with known(set()):
        less = search_reduced(made, reductions=ALWAYS)
    found = search(made)
    assert summary(less) == summary(found)
    assert less.first is not None and found.first is not None
    assert less.first.moves == found.first.moves
    assert (less.states, less.transitions) == (found.states, found.transitions)


# --- small systems ---------------------------------------------------------------

OWN = """
cpus 2
global @mine: [2 x u32]
global @word: u32
invariant "small" @small
agent cpu0 cpu 0 context thread entry @main
agent cpu1 cpu 1 context thread entry @main
""" + function(
    "small",
    "%x = load index(@mine:*[2 x u32], %cpu)",
    'assert ne(%x, 7:u32), KASSERT, "seven"',
    "return",
    head="(%cpu: u32)",
    more="var %x: u32",
).replace("function", "atomic function")
STORE = "store index(@mine:*[2 x u32], cpu), {}:u32"


def test_what_only_one_agent_touches_is_passed() -> None:
    steps = [STORE.format(n) for n in (1, 2, 3)]
    text = OWN + function("main", *steps, "store @word:*u32, cpu", "return")
    less = search_reduced(system(text), reductions=ALWAYS)
    assert less.passed and less.states < search(system(text)).states == 26
    assert less.verdict() == "holds"


def test_what_is_passed_is_judged() -> None:
    steps = [STORE.format(n) for n in (1, 7, 3)]
    made = system(OWN + function("main", *steps, "return"))
    with known(set()):
        less = search_reduced(made, reductions=ALWAYS)
    assert less.searched_again and not less.reductions
    assert less.violations.keys() == {"small"} and less.violations["small"].steps == 2


def test_a_loop_of_passed_steps_ends() -> None:
    text = OWN + function("main", STORE.format(1), STORE.format(2), "jump b")
    less = search_reduced(system(text), reductions=ALWAYS)
    assert less.complete and less.verdict() == search(system(text)).verdict()


def test_a_wait_for_what_nobody_writes_is_found() -> None:
    waits = ("%x = load @word:*u32", "assume eq(%x, 5:u32)", "return")
    text = (
        HEAD
        + function("first", *waits, more="var %x: u32")
        + function("second", "store @other:*u32, 1:u32", "store @other:*u32, 2:u32", "return")
    )
    with known(set()):
        less = search_reduced(system(text), reductions=ALWAYS)
    assert less.searched_again and set(less.violations) == {"progress"}


BOTH = """
cpus 2
region inside
global @own: [2 x u32]
global @word: u32
invariant "both" @both exempt inside
agent cpu0 cpu 0 context thread entry @first
agent cpu1 cpu 1 context thread entry @second
atomic function @both(%cpu: u32) {
  var %x: u32
b:
  %x = load index(@own:*[2 x u32], %cpu)
  branch eq(%x, 1:u32), one, out
one:
  %x = load @word:*u32
  assert ne(%x, 2:u32), KASSERT, "both"
  jump out
out:
  return
}
""" + function("second", *(f"store @word:*u32, {n}:u32" for n in (1, 5, 2, 0)), "return")
WORDS = [f"store index(@own:*[2 x u32], cpu), {n}:u32" for n in (1, 0, 3)]


def test_what_an_invariant_says_of_two_agents_is_not_missed() -> None:
    """Neither touches what the other does, but both are looked at."""
    made = system(BOTH + function("first", *WORDS, "return"))
    with known(set()):
        less = search_reduced(made, reductions=ALWAYS)
    assert less.searched_again and set(less.violations) == {"both"}


@pytest.mark.parametrize("names", [set(), {"inside"}])
def test_an_exemption_is_found_or_known(names: set[str]) -> None:
    made = system(BOTH + function("first", "enter inside", *WORDS, "leave inside", "return"))
    with known(names):
        less = search_reduced(made, reductions=ALWAYS)
    assert less.verdict() == "holds" and less.exemptions_used == {"inside"}
    assert less.states < search(made).states


def test_two_searches_that_disagree_are_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise FailureFoundError

    monkeypatch.setattr(reduced, "_walk", lambda _: None)
    monkeypatch.setattr(reduced._Reduced, "_find_step", fails)
    with pytest.raises(DisagreementError):
        search_reduced(system(OWN + function("main", STORE.format(1), "return")), reductions=ALWAYS)


def test_small_searches_are_not_reduced() -> None:
    made = system(OWN + function("main", STORE.format(1), "return"))
    found = search_reduced(made, reductions=parse_reductions("auto").search)
    assert found.complete and not found.reductions
    few = search_reduced(made, reductions=Reductions(ALWAYS.names, beyond=2))
    assert few.complete and few.reductions
    limited = search_reduced(
        made, limits=Limits(states=1), reductions=Reductions(ALWAYS.names, beyond=2)
    )
    assert limited.stopped == "the limit of 1 states is reached" and not limited.reductions


def test_the_names() -> None:
    assert parse_reductions("all") == Chosen((), ALL)
    assert parse_reductions("none") == Chosen(PROGRAM_REDUCTIONS, NO_REDUCTIONS, pcids=False)
    assert parse_reductions("auto") == Chosen((), Reductions(ALL.names, WORTH))
    assert parse_reductions("partial-order") == Chosen(
        PROGRAM_REDUCTIONS, Reductions(frozenset({PARTIAL_ORDER})), pcids=False
    )
    assert parse_reductions("no-fusion") == Chosen(("fusion",), Reductions(ALL.names, WORTH))
    assert parse_reductions("all,no-partial-order,no-dead-locals").without == ("dead-locals",)
    assert parse_reductions("all").but("fusion").but("partial-order") == Chosen(
        ("fusion",), Reductions(frozenset({SYMMETRY}))
    )
    assert parse_reductions("no-pcids") == Chosen((), Reductions(ALL.names, WORTH), pcids=False)
    assert parse_reductions("all").but("pcids") == Chosen((), ALL, pcids=False)
    with pytest.raises(UsageError, match="no reduction 'partial-oder'") as failed:
        parse_reductions("partial-oder")
    assert failed.value.advice == "did you mean partial-order?"
