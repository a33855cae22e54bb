"""The search of one state of each orbit in C against that of the interpreter: all the
same numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from ir.runnable import quick
from native.compare import broken_kernels, goes_back, goes_on, same_where_it_holds, slow, summary
from pmaplab.native.engine import search_natively
from pmaplab.search.bfs import search
from pmaplab.search.reduced import search_reduced
from pmaplab.search.result import Limits, Result
from pmaplab.search.symmetry import Kind
from pmaplab.system import System
from search.small import function, system
from search.symmetric_systems import symmetric_systems
from search.test_symmetric import ALWAYS, kernel


def numbers(result: Result) -> tuple[Any, ...]:
    told = {told.kind for told in result.told_apart}
    return summary(result), result.images, result.symmetries, told, result.searched_again


def same(made: System) -> Result | None:
    if not search(made, limits=Limits(states=4_000)).complete:
        return None
    found = search_reduced(made, reductions=ALWAYS)
    for threads in (1, 2):
        less = search_natively(made, reductions=ALWAYS, threads=threads)
        assert numbers(less) == numbers(found)
    return found


@settings(quick, max_examples=4)
@given(symmetric_systems(broken=False))
def test_random_systems(made: System) -> None:
    same(made)


@pytest.mark.slow
@settings(quick, max_examples=80)
@given(symmetric_systems(broken=False))
def test_more_random_systems(made: System) -> None:
    same(made)


@settings(quick, max_examples=4)
@given(symmetric_systems(broken=True))
def test_random_systems_that_are_not_symmetric(made: System) -> None:
    same(made)


@pytest.mark.slow
@settings(quick, max_examples=120)
@given(symmetric_systems(broken=True))
def test_more_random_systems_that_are_not_symmetric(made: System) -> None:
    same(made)


@settings(quick, max_examples=2)
@given(symmetric_systems(broken=False))
def test_no_words_are_enough(made: System) -> None:
    """Components are coarser then, and permutations still take them to components."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pmaplab.native.engine.LANE_BITS", 20)
        same(made)


# Only the CPU that is first goes on, and what it has stored tells what else is read of it.
FIRST = """
cpus 2
struct pcpu {
  looked: u32
  word: u32
}
global @taken: u32
global @pcpu: [2 x pcpu]
agent cpu0 cpu 0 context thread entry @main
agent cpu1 cpu 1 context thread entry @main
invariant "small" @small
atomic function @small(%cpu: u32) {
  var %x: u32
e:
  %x = load field(index(@pcpu:*[2 x pcpu], %cpu), looked):*u32
  branch eq(%x, 0:u32), out, look
look:
  %x = load field(index(@pcpu:*[2 x pcpu], %cpu), word):*u32
  assert lt(%x, 3:u32), KASSERT, "seen %d", %x
  jump out
out:
  return
}
atomic function @take() -> u32 {
  var %x: u32
e:
  %x = load @taken:*u32
  store @taken:*u32, 1:u32
  return %x
}
"""


def test_an_invariant_that_reads_more_of_one_cpu() -> None:
    own = "field(index(@pcpu:*[2 x pcpu], cpu), {}):*u32"
    body = ["%x = call @take()", "branch eq(%x, 0:u32), go, out\ngo:"]
    body.append(f"store {own.format('looked')}, 1:u32")
    body += [f"store {own.format('word')}, {value}:u32" for value in (1, 2, 3)]
    text = FIRST + function("main", *body, "jump out\nout:", "return", more="var %x: u32")
    made = replace(system(text), symmetries=(Kind("CPUs", 2, ("pcpu",), cpus=True),))
    found = same(made)
    assert found is not None and list(found.violations) == ["small"]


# --- the reference kernel ------------------------------------------------------------


def test_switches_of_processes() -> None:
    found = same(kernel("switch", "nopcid", 1, 2))
    assert found is not None and found.symmetries == ("processes", "CPUs")


@pytest.mark.parametrize(
    ("scenario", "mode", "operations", "processes", "kinds", "states", "all_states"),
    [
        ("switch", "nopcid", 2, 2, "CPUs", 62632, 82970),
        slow("switch", "nopcid", 2, 3, "CPUs", 193691, 275701),
        slow("switch", "pcid+pti", 2, 3, "CPUs", 768027, 768408),
        ("shootdown", "nopcid", 1, 2, "processes CPUs", 16209, 32354),
        slow("shootdown", "pcid+pti", 1, 2, "processes CPUs", 38253, 76355),
        slow("shootdown", "pcid+pti", 1, 3, "processes CPUs", 58903, 117655),
        slow("activate", "nopcid", 2, 2, "CPUs", 191587, 225755),
        slow("shootdown", "nopcid", 2, 2, "processes CPUs", 658633, 1481450),
        slow("shootdown", "pcid+pti", 2, 2, "processes CPUs", 2540353, 5080091),
    ],
)
def test_what_holds_where(
    scenario: str,
    mode: str,
    operations: int,
    processes: int,
    kinds: str,
    states: int,
    all_states: int,
) -> None:
    """docs/reductions.md has these numbers."""
    made = kernel(scenario, mode, operations, processes)
    less = search_natively(made, reductions=ALWAYS)
    found = search_natively(made)
    same_where_it_holds(less, found, kinds)
    assert (less.states, found.states) == (states, all_states)


def test_an_interrupted_search_goes_on(tmp_path: Path) -> None:
    """With the symmetries that were left, too."""
    stops = {10_000: ("processes", "CPUs"), 58_000: ("CPUs",)}
    goes_on(kernel("switch", "nopcid", 2, 2), ALWAYS, stops, numbers, tmp_path)


@broken_kernels(5)
def test_a_broken_kernel(path: Path, mode: str) -> None:
    goes_back(path, mode, ALWAYS)
