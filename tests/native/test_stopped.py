"""Searches that are stopped, by a limit or for want of memory: they say so, and go on to
the same end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ir.runnable import quick
from native.compare import summary
from native.larger_systems import larger_system
from pmaplab.native import build, checkpoint
from pmaplab.native.engine import search_natively
from pmaplab.native.protocol import WorkerDied
from pmaplab.search.bfs import search
from pmaplab.search.reductions import (
    NO_REDUCTIONS,
    PARTIAL_ORDER,
    SEARCH_REDUCTIONS,
    SYMMETRY,
    Reductions,
)
from pmaplab.search.result import Limits, Result
from pmaplab.system import System
from search.alike_systems import alike_systems
from search.reducible import reducible_systems
from search.test_ownership import LOOK, OWNER, OWNING, VALUES, made_of
from search.test_reduced import known

PARTIAL = Reductions(frozenset({PARTIAL_ORDER}))
ALL = (
    NO_REDUCTIONS,
    PARTIAL,
    Reductions(frozenset({SYMMETRY})),
    Reductions(frozenset(SEARCH_REDUCTIONS)),
)


@pytest.fixture(scope="module")
def watchful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A runtime of which allocations may fail, and that looks often at what it has taken."""
    folder = tmp_path_factory.mktemp("watchful") / "runtime"
    shutil.copytree(build.RUNTIME, folder)
    shutil.copy(Path(__file__).with_name("failing.h"), folder)
    for name, old, new in (
        ("search.c", "now() - s->reported > 0.2", "now() - s->reported >= 0"),
        ("runtime.c", '#include "memory.c"', '#include "failing.h"\n#include "memory.c"'),
    ):
        text = (folder / name).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "RUNTIME", folder)
        patch.setattr(build, "_RUNTIME_OPTIONS", ("-std=gnu11", "-O1", "-pthread"))
        yield


def is_stopped(some: Result, whole: Result, why: str) -> None:
    assert not some.complete and why in (some.stopped or "")
    assert some.verdict() == ("violated" if some.violations else "incomplete")
    assert {name: whole.violations[name].steps for name in some.violations} == {
        name: found.steps for name, found in some.violations.items()
    }


# --- for want of memory --------------------------------------------------------------


@pytest.mark.usefixtures("watchful")
@pytest.mark.parametrize(
    ("seed", "reductions", "numbers"),
    [
        (2, NO_REDUCTIONS, range(109, 240, 3)),
        (8, PARTIAL, range(120, 420, 9)),
        (117, NO_REDUCTIONS, range(500, 600, 4)),
    ],
    ids=["holds", "partial order", "violated"],
)
def test_no_more_memory(
    seed: int,
    reductions: Reductions,
    numbers: range,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever allocation fails, what is kept is the search as it was; what it has torn is neither
    kept nor looked at."""
    made, ends = larger_system(seed), dict[str, int]()

    def run() -> Result:
        with known(set()):
            return search_natively(made, reductions=reductions, threads=1, checkpoint=tmp_path)

    whole = run()
    for number in numbers:
        monkeypatch.setenv("FAIL_AT", str(number))
        try:
            some = run()
        except WorkerDied as died:
            end = "died"
            assert "memory" in str(died) and "status 3" in str(died)
        else:
            end = "complete" if some.complete else "stopped"
            if some.complete:
                assert summary(some) == summary(whole)
            else:
                is_stopped(some, whole, "there is no more memory")
        monkeypatch.delenv("FAIL_AT")
        if (tmp_path / "search").exists():
            end += ", kept"
            assert summary(run()) == summary(whole)
        ends[end] = ends.get(end, 0) + 1
    assert ends["stopped, kept"] and len(ends) > 1


# --- random systems ------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """How to search: ``stops`` have each the threads, and a number of ``limits_of``."""

    reductions: Reductions
    fingerprints: bool
    every_level: bool
    stops: tuple[tuple[int, int], ...]


def plans(reductions: Sequence[Reductions]) -> st.SearchStrategy[Plan]:
    # What is drawn does not depend on what a search comes to by the time it is stopped.
    stops = st.tuples(*[st.tuples(st.integers(1, 2), st.integers(0, LIMITS - 1))] * 4)
    return st.builds(Plan, st.sampled_from(reductions), st.booleans(), st.booleans(), stops)


def stop(made: System, plan: Plan) -> None:
    """Stop its search some times, and let it go on."""
    found = search(made, limits=Limits(states=4_000))
    if not found.complete:
        return
    run = partial(search_natively, made, reductions=plan.reductions, fingerprints=plan.fingerprints)
    with (
        TemporaryDirectory() as name,
        known(set(found.exemptions_used)),
        pytest.MonkeyPatch.context() as patch,
    ):
        folder = Path(name)
        if plan.every_level:
            patch.setattr(checkpoint, "SECONDS", 0)
        whole = search_natively(made, threads=1, reductions=plan.reductions)
        other = search_natively(made, threads=2, reductions=plan.reductions, fingerprints=True)
        assert numbers(other) == numbers(whole)
        for threads, number in plan.stops:
            why, limits = limits_of(whole)[number]
            end = run(threads=threads, limits=limits, checkpoint=folder)
            if end.complete:
                break
            is_stopped(end, found, why)
            assert (folder / "search").exists()
        else:
            end = run(checkpoint=folder)
        assert not list(folder.iterdir())
    if whole.broken_facts and plan.reductions.names and not end.reductions:
        # With a checkpoint, what breaks a fact is searched without reductions.
        whole = found
    assert summary(end) == summary(whole)
    if end.reductions:
        assert numbers(end) == numbers(whole)


def numbers(result: Result) -> tuple[object, ...]:
    return summary(result), result.reductions, result.passed, result.images, result.symmetries


def limits_of(whole: Result) -> list[tuple[str, Limits]]:
    assert whole.memory is not None
    return [
        *(("states", Limits(states=max(1, whole.states * part // 5))) for part in range(5)),
        *(("memory", Limits(memory=whole.memory * part // 8)) for part in (5, 6, 7)),
        ("seconds", Limits(seconds=0.001)),
    ]


LIMITS = 9


@pytest.mark.usefixtures("watchful")
@settings(quick, max_examples=3)
@given(reducible_systems(owned=True), plans(ALL[:2]))
def test_random_systems(made: System, plan: Plan) -> None:
    stop(made, plan)


@pytest.mark.usefixtures("watchful")
@settings(quick, max_examples=3)
@given(alike_systems(broken=False), plans(ALL))
def test_random_systems_that_are_symmetric(made: System, plan: Plan) -> None:
    stop(made, plan)


@pytest.mark.slow
@pytest.mark.usefixtures("watchful")
@settings(quick, max_examples=80)
@given(st.one_of(reducible_systems(owned=True), alike_systems(broken=True)), plans(ALL))
def test_more_random_systems(made: System, plan: Plan) -> None:
    stop(made, plan)


# --- what is known besides -------------------------------------------------------------


def test_a_fact_that_does_not_hold_is_not_forgotten(tmp_path: Path) -> None:
    """What is behind the checkpoint keeps to it."""
    made = made_of(OWNING, [LOOK, "store @mark:*u32, 1:u32"], OWNER)
    whole = search_natively(made)
    for most in range(1, whole.states):
        search_natively(made, limits=Limits(states=most), checkpoint=tmp_path)
    end = search_natively(made, checkpoint=tmp_path)
    assert summary(end) == summary(whole)
    assert end.broken_facts == whole.broken_facts != ()


def test_a_fact_that_does_not_hold_is_met_as_a_limit_is(tmp_path: Path) -> None:
    """The search that is kept is the one without reductions."""
    before = ["%x = load @mark:*u32", "store @mark:*u32, 1:u32"]
    made = made_of([*before, *OWNING, *before], [*before, LOOK, *VALUES, *before], OWNER)
    whole = search_natively(made)
    for most in range(1, whole.states, 3):
        with known(set()):
            limits = Limits(states=most)
            some = search_natively(made, reductions=PARTIAL, limits=limits, checkpoint=tmp_path)
            assert some.complete or not (some.reductions and some.broken_facts)
            end = search_natively(made, reductions=PARTIAL, checkpoint=tmp_path)
        assert summary(end) == summary(whole)
        assert end.broken_facts and not list(tmp_path.iterdir())
