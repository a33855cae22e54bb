"""The search with both reductions in C against that of the interpreter: all the same
numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from ir.runnable import quick
from native.compare import broken_kernels, goes_back, goes_on, same_where_it_holds, slow, summary
from pmaplab.native import reduced
from pmaplab.native.engine import search_natively
from pmaplab.search.bfs import search
from pmaplab.search.reduced import search_reduced
from pmaplab.search.reductions import PARTIAL_ORDER, SEARCH_REDUCTIONS
from pmaplab.search.result import Limits, Result
from pmaplab.system import System
from search.alike_small import SMALL, TOLD_BY
from search.alike_systems import alike_systems
from search.symmetric_systems import symmetric_systems
from search.test_both import BOTH, fewer
from search.test_reduced import known
from search.test_symmetric import kernel


def numbers(result: Result) -> tuple[Any, ...]:
    return (
        (summary(result), result.reductions, result.passed, result.images, result.symmetries),
        {told.kind for told in result.told_apart},
        {text.split('"')[1] for text in result.broken_facts},
        result.searched_again,
    )


def same(made: System) -> Result | None:
    found = search(made, limits=Limits(states=6_000))
    if not found.complete:
        return None
    with known(set(found.exemptions_used)):
        less = search_reduced(made, reductions=BOTH)
        for threads in (1, 2):
            native = search_natively(made, reductions=BOTH, threads=threads)
            if found.violations:
                # What is found first, in a search that goes back, may be another thing.
                assert summary(native) == summary(less)
                assert native.searched_again == less.searched_again
            else:
                assert numbers(native) == numbers(less)
    return less


@settings(quick, max_examples=4)
@given(alike_systems(broken=False))
def test_random_systems(made: System) -> None:
    same(made)


@pytest.mark.slow
@settings(quick, max_examples=80)
@given(alike_systems(broken=False))
def test_more_random_systems(made: System) -> None:
    same(made)


@settings(quick, max_examples=3)
@given(alike_systems(broken=True))
def test_random_systems_that_are_not_symmetric(made: System) -> None:
    same(made)


@pytest.mark.slow
@settings(quick, max_examples=80)
@given(alike_systems(broken=True))
def test_more_random_systems_that_are_not_symmetric(made: System) -> None:
    same(made)


@pytest.mark.slow
@settings(quick, max_examples=40)
@given(symmetric_systems(broken=False))
def test_random_systems_with_more_items(made: System) -> None:
    same(made)


@settings(quick, max_examples=2)
@given(alike_systems(broken=False))
def test_no_words_are_enough(made: System) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pmaplab.native.engine.LANE_BITS", 20)
        same(made)


@pytest.mark.parametrize("name", SMALL)
def test_small_systems(name: str) -> None:
    less = same(SMALL[name])
    assert less is not None
    told = TOLD_BY.get(name, "")
    assert [each.function for each in less.told_apart] == ([told] if told else [])
    assert less.reductions[:1] == (PARTIAL_ORDER,) or less.violations


def test_what_is_beyond_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduced, "independence", fewer)
    less = search_natively(SMALL["alike"], reductions=BOTH)
    assert less.reductions == (PARTIAL_ORDER,) and less.told_apart


# --- the reference kernel ------------------------------------------------------------


def test_switches_of_processes() -> None:
    found = same(kernel("switch", "nopcid", 1, 2))
    assert found is not None and found.symmetries == ("processes", "CPUs")


@pytest.mark.parametrize(
    ("scenario", "mode", "operations", "processes", "kinds", "states", "transitions", "passed"),
    [
        ("shootdown", "nopcid", 1, 2, "processes CPUs", 5_561, 12_064, 19_310),
        ("shootdown", "nopcid", 2, 2, "processes CPUs", 213_732, 471_887, 603_586),
        ("switch", "nopcid", 2, 2, "CPUs", 15_475, 34_316, 52_553),
        slow("activate", "nopcid", 2, 2, "CPUs", 66_705, 145_734, 177_405),
        slow("shootdown", "pcid+pti", 2, 2, "processes CPUs", 642_333, 1_368_256, 2_651_081),
    ],
)
def test_what_holds_where(
    scenario: str,
    mode: str,
    operations: int,
    processes: int,
    kinds: str,
    states: int,
    transitions: int,
    passed: int,
) -> None:
    """docs/reductions.md has these numbers."""
    made = kernel(scenario, mode, operations, processes)
    found = search_natively(made)
    for threads in (1, 3):
        less = search_natively(made, reductions=BOTH, threads=threads)
        same_where_it_holds(less, found, kinds)
        assert less.reductions == SEARCH_REDUCTIONS
        assert (less.states, less.transitions, less.passed) == (states, transitions, passed)
        assert not less.broken_facts and not less.searched_again


def test_an_interrupted_search_goes_on(tmp_path: Path) -> None:
    """With the symmetries that were left, too."""
    stops = {1_000: ("processes", "CPUs"), 12_000: ("CPUs",)}
    goes_on(kernel("switch", "nopcid", 2, 2), BOTH, stops, numbers, tmp_path)


@broken_kernels(9)
def test_a_broken_kernel(path: Path, mode: str) -> None:
    with known(set()):
        less, found = goes_back(path, mode, BOTH)
    assert found.first is not None
    assert less.searched_again == (len(found.first.moves) > len(found.bring_up))
