"""The reduced search in C against that of the interpreter: all the same numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from ir.runnable import quick
from native.compare import broken_kernels, goes_back, summary
from pmaplab.machine.modes import find_mode
from pmaplab.native import reduced
from pmaplab.native.engine import search_natively
from pmaplab.native.readback import NativeError
from pmaplab.reviews.registry import proposal_files
from pmaplab.search.bfs import search
from pmaplab.search.independence import Independence, independence
from pmaplab.search.reduced import search_reduced
from pmaplab.search.reductions import Reductions
from pmaplab.search.result import Limits
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds, System, build_system, default_bounds
from search.reducible import reducible_systems
from search.small import function, system
from search.test_reduced import ALWAYS, OWN, STORE, known


def same(made: System) -> None:
    found = search_reduced(made, reductions=ALWAYS)
    for threads in (1, 2):
        less = search_natively(made, reductions=ALWAYS, threads=threads)
        assert summary(less) == summary(found)
        assert (less.passed, less.reductions) == (found.passed, found.reductions)
        assert less.searched_again == found.searched_again


def random_system(made: System) -> None:
    found = search(made, limits=Limits(states=20_000))
    if found.complete:
        for names in (set(), set(found.exemptions_used)):
            with known(names):
                same(made)


@settings(quick, max_examples=2)
@given(reducible_systems())
def test_random_systems(made: System) -> None:
    random_system(made)


@pytest.mark.slow
@settings(quick, max_examples=60)
@given(reducible_systems())
def test_more_random_systems(made: System) -> None:
    random_system(made)


def test_a_search_in_which_fields_move_does_not_go_back() -> None:
    """What an invariant is asked of a state is answered before fields move."""
    bounds = replace(default_bounds("shootdown"), operations=2)
    made = RunSpec("shootdown", "pcid+pti", bounds, "repaired").build()
    less = search_natively(made, reductions=Reductions(frozenset({"partial-order"})), threads=2)
    assert not less.searched_again and less.complete
    assert (less.states, less.transitions, less.passed) == (1_284_332, 2_735_772, 5_301_230)


def test_the_kernel_that_holds() -> None:
    made = build_system(
        "switch", proposal_files("repaired"), find_mode("nopcid"), Bounds(operations=1)
    )
    same(made)


# Only while `looked` is set does the invariant read `mine`.
LOOKS = """
cpus 2
global @looked: [2 x u32]
global @mine: [2 x u32]
global @word: u32
invariant "small" @small
agent cpu0 cpu 0 context thread entry @first
agent cpu1 cpu 1 context thread entry @second
atomic function @small(%cpu: u32) {
  var %x: u32
e:
  %x = load index(@looked:*[2 x u32], %cpu)
  branch eq(%x, 0:u32), out, look
look:
  %x = load index(@mine:*[2 x u32], %cpu)
  assert ne(%x, 7:u32), KASSERT, "seven"
  jump out
out:
  return
}
"""


def test_an_invariant_that_reads_more_in_a_state_that_is_passed() -> None:
    """What the step behind that state concerns was known before."""
    looked, mine = (f"store index(@{word}:*[2 x u32], cpu), " for word in ("looked", "mine"))
    first = (f"{looked}1:u32", f"{mine}7:u32", f"{mine}1:u32", "return")
    second = ("store @word:*u32, 1:u32", "store @word:*u32, 3:u32", "return")
    made = system(LOOKS + function("first", *first) + function("second", *second))
    with known(set()):
        same(made)
        less = search_natively(made, reductions=ALWAYS)
    assert less.searched_again and set(less.violations) == {"small"}


# An interrupt context that looks at one of two words first, and mostly at both.
TAKES = """
cpus 2
global @enabled: bool {
  "" = 1:bool
}
global @pending: bool
global @other: u32
agent cpu0 cpu 0 context thread entry @main
agent i1 cpu 1 context interrupt entry @handler
atomic function @take() {
  var %x: bool
e:
  %x = load @enabled:*bool
  assume %x
  %x = load @pending:*bool
  assume %x
  store @pending:*bool, 0:bool
  return
}
"""


def test_an_agent_that_waits_for_more_than_it_looks_at_first() -> None:
    """In one state of a batch it looks at one word alone; that it also waits for the other
    one is known in the next state all the same."""
    handler = function("handler", "call @take()", 'sometimes "taken"', "jump b")
    main = function(
        "main",
        "%x = choose 0:u32, 1:u32",
        "branch eq(%x, 0:u32), off, on\noff:",
        "store @enabled:*bool, 0:bool",
        "jump out\non:",
        "store @other:*u32, 1:u32",
        "jump out\nout:",
        "store @pending:*bool, 1:bool",
        "store @pending:*bool, 0:bool",
        "store @other:*u32, 7:u32",
        "return",
        more="var %x: u32",
    )
    made = system(TAKES + handler + main)
    same(made)
    assert search_natively(made, reductions=ALWAYS).reached == {"taken"}


def test_an_agent_that_does_what_it_cannot_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*of: Any) -> Independence:
        tables = independence(*of)
        # All but what the first agent writes.
        return replace(tables, write=tuple(agents & ~1 for agents in tables.write))

    monkeypatch.setattr(reduced, "independence", nobody)
    made = system(OWN + function("main", STORE.format(1), "return"))
    with pytest.raises(NativeError, match="an agent does what it cannot do"):
        search_natively(made, reductions=ALWAYS)


def test_many_threads() -> None:
    made = build_system(
        "switch", proposal_files("repaired"), find_mode("nopcid"), Bounds(operations=2)
    )
    numbers = set()
    for threads in (1, 2, 3):
        less = search_natively(made, reductions=ALWAYS, threads=threads)
        assert less.verdict() == "holds"
        numbers.add((less.states, less.transitions, less.depth, less.passed))
    assert len(numbers) == 1


def test_an_interrupted_search_goes_on(tmp_path: Path) -> None:
    made = build_system(
        "switch", proposal_files("repaired"), find_mode("nopcid"), Bounds(operations=2)
    )
    whole = search_natively(made, reductions=ALWAYS)
    for most in (10, 3_000, 9_000):
        some = search_natively(
            made, reductions=ALWAYS, limits=Limits(states=most), checkpoint=tmp_path
        )
        assert not some.complete and (tmp_path / "search").exists()
    assert summary(search_natively(made, reductions=ALWAYS, checkpoint=tmp_path)) == summary(whole)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_search_without_reductions_goes_on(tmp_path: Path) -> None:
    """That of something that fails is the second one, and goes on as that."""
    made = build_system("switch", (), find_mode("nopcid"), Bounds(operations=2))
    whole = search_natively(made)
    with known(set()):
        for most in (1_000, 9_000):
            some = search_natively(
                made, reductions=ALWAYS, limits=Limits(states=most), checkpoint=tmp_path
            )
            assert not some.complete and not some.reductions
        found = search_natively(made, reductions=ALWAYS, checkpoint=tmp_path)
    assert summary(found) == summary(whole)
    assert not list(tmp_path.iterdir())


@broken_kernels(1)
def test_a_broken_kernel(path: Path, mode: str) -> None:
    with known(set()):
        goes_back(path, mode, ALWAYS)
