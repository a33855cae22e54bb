"""The scenarios in which threads are preempted within operations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from frontends.kernel_c.support import SMALL
from pmaplab.machine.modes import MODES
from pmaplab.native.choose import Engine, search_with
from pmaplab.search.bfs import search
from pmaplab.spec import RunSpec
from pmaplab.system import default_bounds
from pmaplab.tree import TreeSpec

# One operation a CPU reaches everything where one thread is preempted.
NUMBERS = [
    ("activate", "nopcid", None, 63_471, 161_791, 81),
    ("activate", "pcid+pti", None, 240_830, 606_593, 155),
    ("activate", "nopcid", 1, 80_046, 207_749, 99),
    ("shootdown", "nopcid", None, 352_684, 891_656, 90),
]


def spec(scenario: str, mode: str, bound: int | None = None) -> RunSpec:
    bounds = replace(
        default_bounds(scenario), processes=1, operations=1, preemptions=1, store_buffer=bound
    )
    return RunSpec(scenario, mode, bounds, proposal="repaired")


@pytest.mark.parametrize(
    ("scenario", "mode", "bound", "states", "transitions", "depth"),
    NUMBERS,
    ids=[f"{s}-{m}-{'sc' if b is None else 'tso'}" for s, m, b, *_ in NUMBERS],
)
def test_the_numbers(
    scenario: str, mode: str, bound: int | None, states: int, transitions: int, depth: int
) -> None:
    result = search_with(Engine(), spec(scenario, mode, bound).build())
    assert result.verdict() == "holds"
    assert (result.states, result.transitions, result.depth) == (states, transitions, depth)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [mode.name for mode in MODES])
@pytest.mark.parametrize("bound", [None, 1])
@pytest.mark.parametrize("scenario", ["activate", "shootdown"])
def test_what_is_repaired_holds(scenario: str, bound: int | None, mode: str) -> None:
    assert search_with(Engine(), spec(scenario, mode, bound).build()).verdict() == "holds"


@pytest.mark.slow
def test_the_interpreter_agrees() -> None:
    result = search(spec("activate", "nopcid").build())
    assert (result.verdict(), result.states, result.transitions) == ("holds", 63_471, 161_791)


def test_a_tree() -> None:
    run = replace(spec("activate", "nopcid"), proposal=None, tree=TreeSpec(str(SMALL), ()))
    result = search_with(Engine(), run.build())
    assert (result.verdict(), result.states) == ("holds", 54_389)
