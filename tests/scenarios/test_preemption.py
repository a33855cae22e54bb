"""The scenarios in which threads are preempted within operations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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
def test_two_operations() -> None:
    made = spec("shootdown", "nopcid")
    result = search_with(Engine(), replace(made, bounds=replace(made.bounds, operations=2)).build())
    assert (result.verdict(), result.states, result.depth) == ("holds", 7_165_323, 139)


GLOBAL = """
from __future__ import annotations
from pmaplab.machine.x86_64 import CR4_PGE, load_cr4, rcr4

def invltlb_glob() -> None:
    cr4 = rcr4()
    load_cr4(cr4 & ~CR4_PGE)
    {last}
"""


@pytest.mark.parametrize(("last", "broken"), [("load_cr4(cr4 | CR4_PGE)", False), ("pass", True)])
def test_the_next_operation_while_a_thread_is_within_invltlb_glob(
    tmp_path: Path, last: str, broken: bool
) -> None:
    """CR4.PGE is clear then, which is nobody's mistake."""
    path = tmp_path / "kernel.py"
    path.write_text(GLOBAL.replace("{last}", last), encoding="utf-8")
    made = spec("shootdown", "nopcid")
    alone = replace(made.bounds, cpus=1, operations=2)
    result = search_with(Engine(), replace(made, bounds=alone, kernel=str(path)).build())
    assert set(result.violations) == ({"assertions"} if broken else set())
    assert "a pinned thread is preempted" in result.reached and result.complete


@pytest.mark.slow
def test_the_interpreter_agrees() -> None:
    result = search(spec("activate", "nopcid").build())
    assert (result.verdict(), result.states, result.transitions) == ("holds", 63_471, 161_791)


def test_a_tree() -> None:
    run = replace(spec("activate", "nopcid"), proposal=None, tree=TreeSpec(str(SMALL), ()))
    result = search_with(Engine(), run.build())
    assert (result.verdict(), result.states) == ("holds", 54_389)
