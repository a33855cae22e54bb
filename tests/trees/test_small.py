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
from pmaplab.frontends.kernel_c.mutate import DELETE, SWAP, WEAKEN
from pmaplab.frontends.kernel_c.source import line_of
from pmaplab.ir.nodes import Fence
from pmaplab.ir.walk import instructions
from pmaplab.mutate import (
    CAUGHT,
    EQUIVALENT,
    SURVIVED,
    UNDECIDED,
    Baseline,
    FunctionJob,
    Outcome,
    all_mutations,
    group_of,
    measure,
    try_out,
)
from pmaplab.native.choose import PYTHON, Engine
from pmaplab.search.bfs import search
from pmaplab.search.result import Limits
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


def tried(function: str, kinds: tuple[str, ...], run: RunSpec) -> dict[tuple[str, str], Outcome]:
    """The outcomes of the mutations of a function, by kind and source line."""
    assert run.tree is not None
    source = run.tree.opened()
    found = tuple(
        each for each in all_mutations((run,)) if each.function == function and each.kind in kinds
    )
    baseline = measure(run, Limits())
    assert isinstance(baseline, Baseline)
    outcomes = try_out(FunctionJob(found, (baseline,), Limits()), print)
    return {
        (each.mutation.kind, line_of(source, each.mutation.loc).strip()): each for each in outcomes
    }


def test_a_function_whose_runs_are_left_out() -> None:
    """Nothing is known of it, and least of all that its mutations have no effect."""
    run = spec_of(SMALL, scenario="switch", mode="pcid")
    found = tuple(all_mutations((run,))[:2])
    outcomes = try_out(FunctionJob(found, (), Limits(), left_out=True), print)
    assert {each.outcome for each in outcomes} == {UNDECIDED}


def test_mutations() -> None:
    run = spec_of(SMALL, scenario="switch", mode="pcid")
    outcomes = tried("pmap_activate_sw", (DELETE, WEAKEN), run)
    for kind, text in (
        (DELETE, "CPU_SET_ATOMIC(cpuid, &pmap->pm_active);"),
        (WEAKEN, "CPU_CLR_ATOMIC(cpuid, &oldpmap->pm_active);"),
    ):
        outcome = outcomes[kind, text]
        assert outcome.outcome == CAUGHT and outcome.property == "pm_active"
        assert outcome.run is not None and outcome.steps is not None


def test_mutations_that_change_nothing() -> None:
    run = spec_of(SMALL, scenario="switch", mode="pcid")
    outcomes = tried("pmap_pcid_alloc", (SWAP,), run)
    assert outcomes[SWAP, "PCPU_SET(pcid_gen, new_gen);"].outcome == EQUIVALENT
    # Without IPIs nothing can come in between.
    order = outcomes[SWAP, "pmap->pm_pcids[cpuid].pm_pcid = pcid_next;"]
    assert order.outcome == SURVIVED and order.same_at_rest


def test_what_fails_without_a_mutation_catches_none() -> None:
    """curpmap is violated already, and says nothing; pm_active still does."""
    patch = str(TREES / "twins/no_pcid_for_vmspace0.diff")
    run = spec_of(SMALL, scenario="switch", mode="pcid", patches=(patch,))
    baseline = measure(run, Limits())
    assert isinstance(baseline, Baseline) and baseline.violated == {"curpmap"}
    assert baseline.found.violations == {} and baseline.found.complete
    outcomes = tried("pmap_activate_sw", (SWAP,), run)
    assert outcomes[SWAP, "CPU_SET_ATOMIC(cpuid, &pmap->pm_active);"].property == "pm_active"
    assert all(each.property != "curpmap" for each in outcomes.values())


def test_a_kernel_that_fails_an_assertion_measures_nothing() -> None:
    patch = str(TREES / "twins/no_critical_section.diff")
    found = measure(spec_of(SMALL, mode="pcid", patches=(patch,)), Limits())
    assert isinstance(found, str) and "without a mutation already" in found


def test_groups() -> None:
    for name, group in (
        ("pmap_activate_sw_pcid_pti", "activation"),
        ("pmap_pcid_alloc", "PCID allocation"),
        ("invltlb_pcid_handler", "handlers"),
        ("invltlb_glob", "invalidation"),
        ("smp_targeted_tlb_shootdown", "shootdown"),
        ("init_secondary", "bring-up"),
    ):
        assert group_of(name) == group
