"""The small tree: correct as it is, and broken by each of its patches.

Every file of twins/ says in its first line which properties fail in which modes.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from frontends.kernel_c.support import SMALL, TREES, searched, spec_of
from pmaplab.conform import conform
from pmaplab.frontends.kernel_c.mutate import DELETE, SWAP, UNMASK, WEAKEN
from pmaplab.ir.nodes import Fence
from pmaplab.ir.walk import instructions
from pmaplab.mutate import CAUGHT, SURVIVED, MutationJob, Outcome, all_mutations, try_out
from pmaplab.native.choose import PYTHON, Engine
from pmaplab.search.bfs import Limits, search
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds

TWINS = sorted((TREES / "twins").glob("*.diff"))
HEADER = re.compile(r"violated: (?P<properties>[\w, ]+) in (?P<modes>.+)")
BOUNDS = Bounds(operations=1)


def split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def said(path: Path) -> tuple[list[str], list[str]]:
    found = HEADER.match(path.read_text(encoding="utf-8"))
    assert found is not None, f"{path.name} does not say what it violates"
    return sorted(split(found["properties"])), split(found["modes"])


@pytest.mark.parametrize(
    ("mode", "states"),
    [
        ("nopcid", 9_478),
        ("pcid", 15_096),
        ("pcid+invpcid", 15_096),
        ("nopcid+pti", 13_443),
        ("pcid+pti", 23_405),
        ("pcid+invpcid+pti", 22_488),
    ],
)
def test_it_holds_from_power_on(mode: str, states: int) -> None:
    result = searched(SMALL, mode=mode)
    assert result.verdict() == "holds"
    assert result.states == states


@pytest.mark.parametrize("mode", ["nopcid", "pcid+invpcid+pti"])
def test_it_holds_when_threads_switch(mode: str) -> None:
    assert searched(SMALL, scenario="switch", mode=mode).verdict() == "holds"


def test_it_holds_with_store_buffers() -> None:
    spec = spec_of(SMALL, scenario="switch", mode="pcid")
    system = replace(spec, bounds=replace(BOUNDS, store_buffer=1)).build()
    assert search(system).verdict() == "holds"
    function = system.program.functions["vmspace_pinit"]
    assert function.atomic
    assert any(isinstance(item, Fence) for item in instructions(function))


@pytest.mark.parametrize(
    ("path", "mode"),
    [(path, mode) for path in TWINS for mode in said(path)[1]],
    ids=lambda value: value.stem if isinstance(value, Path) else str(value),
)
def test_a_mistake_is_found(path: Path, mode: str) -> None:
    result = searched(SMALL, mode=mode, patches=(str(path),))
    assert sorted(result.violations) == said(path)[0]


@pytest.mark.parametrize(("scenario", "mode"), [("boot", "nopcid"), ("switch", "pcid+pti")])
def test_it_conforms_to_the_reference_kernel(scenario: str, mode: str) -> None:
    """The review's repaired kernel and the tree rest in the same states."""
    left = RunSpec(scenario, mode, BOUNDS, proposal="repaired")
    right = spec_of(SMALL, scenario=scenario, mode=mode)
    found = conform(left, right, Limits(), engine=Engine(PYTHON))
    assert found.complete and found.same
    assert found.left.at_rest == found.right.at_rest > 5


def test_a_difference_is_shown_as_traces() -> None:
    left = RunSpec("switch", "pcid", BOUNDS, proposal="committed")
    found = conform(left, spec_of(SMALL, scenario="switch", mode="pcid"), Limits())
    assert not found.same
    for side in (found.left, found.right):
        assert side.trace is not None and side.alone > 0
        assert any("pm_pcids" in name for name, _, _ in side.differs)
    assert found.right.trace is not None
    files = {step.file for step in found.right.trace.steps}
    assert "sys/amd64/amd64/pmap.c" in files


def tried(function: str, kind: str, text: str) -> Outcome:
    """The outcome of the one mutation of that kind at the line with ``text``."""
    runs = (spec_of(SMALL, mode="pcid"),)
    source = (SMALL / "sys/amd64/amd64/pmap.c").read_text().split("\n")
    [mutation] = [
        each
        for each in all_mutations(runs)
        if each.function == function and each.kind == kind and text in source[each.loc.line - 1]
    ]
    return try_out(MutationJob(mutation, runs, Limits()))


def test_mutations() -> None:
    outcome = tried("pmap_activate_sw", DELETE, "CPU_SET_ATOMIC")
    assert outcome.outcome == CAUGHT and "pm_active" in outcome.reason
    outcome = tried("pmap_activate_sw", SWAP, "CPU_SET_ATOMIC")
    assert outcome.outcome == CAUGHT and "pm_active" in outcome.reason
    outcome = tried("pmap_activate_sw", WEAKEN, "CPU_CLR_ATOMIC")
    assert outcome.outcome == CAUGHT and "pm_active" in outcome.reason
    # Without IPIs nothing can come in between.
    outcome = tried("pmap_activate_sw_noinvpcid", UNMASK, "intr_disable")
    assert outcome.outcome == SURVIVED and "the same states" in outcome.reason
