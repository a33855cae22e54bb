"""The scenarios with pages, TLBs and IPIs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from golden import Golden
from pmaplab.errors import UsageError
from pmaplab.machine.modes import MODES, find_mode
from pmaplab.native.choose import Engine, search_with
from pmaplab.reviews.registry import proposal_files
from pmaplab.search.bfs import search
from pmaplab.search.result import Result
from pmaplab.system import System, build_system, default_bounds

HERE = Path(__file__).parent
SCENARIOS = ("activate", "shootdown")


def built(
    scenario: str, mode: str, operations: int, proposal: str = "repaired", bound: int | None = None
) -> System:
    bounds = replace(default_bounds(scenario), operations=operations, store_buffer=bound)
    return build_system(scenario, proposal_files(proposal), find_mode(mode), bounds)


def line(name: str, result: Result) -> str:
    found = [f"{each} in {v.steps}" for each, v in sorted(result.violations.items())]
    return (
        f"{name}: {result.states} states, {result.transitions} transitions, "
        f"depth {result.depth}; {', '.join(found) or 'none violated'}"
    )


@pytest.mark.parametrize(
    "scenario", ["activate", pytest.param("shootdown", marks=pytest.mark.slow)]
)
def test_the_numbers(scenario: str, golden: Golden) -> None:
    """One operation a CPU, which is too little to reach everything."""
    lines = []
    for mode in MODES:
        result = search(built(scenario, mode.name, 1))
        assert result.complete
        lines.append(line(mode.name, result))
    golden.check("\n".join(lines) + "\n", HERE / f"test_paging_{scenario}.expected")


@pytest.mark.parametrize(
    ("mode", "proposal", "bound"),
    [
        ("nopcid", "repaired", None),
        ("pcid+invpcid", "before", None),
        ("nopcid+pti", "repaired", 1),
    ],
)
def test_two_operations(mode: str, proposal: str, bound: int | None, golden: Golden) -> None:
    """Everything is reached, in the reference a stale use as well."""
    system = built("activate", mode, 2, proposal, bound)
    result = search_with(Engine(), system)
    assert result.complete and not result.unreached
    text = line(f"activate, {mode}, {proposal}", result)
    memory = "sc" if bound is None else "tso"
    golden.check(text + "\n", HERE / f"test_paging_{mode}_{proposal}_{memory}.expected")


@pytest.mark.slow
@pytest.mark.parametrize("mode", [mode.name for mode in MODES])
@pytest.mark.parametrize("bound", [None, 1])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_repaired_holds(scenario: str, bound: int | None, mode: str) -> None:
    result = search_with(Engine(), built(scenario, mode, 2, "repaired", bound))
    assert result.verdict() == "holds"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_they_have_pages(scenario: str) -> None:
    bounds = replace(default_bounds(scenario), pages=0)
    with pytest.raises(UsageError) as error:
        build_system(scenario, (), MODES[0], bounds)
    assert str(error.value) == (
        f"the scenario {scenario} has pages\n    advice: --pages is at least 1"
    )
