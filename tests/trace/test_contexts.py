"""Counterexamples in which threads are preempted and migrate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pmaplab.native.choose import Engine, search_with
from pmaplab.trace.record import Trace, record
from pmaplab.trace.replay import replay
from pmaplab.twins.data import TWINS
from pmaplab.twins.measure import Cell, find_twins


@pytest.fixture(scope="module")
def unpinned() -> Trace:
    (twin,) = find_twins(["invalidate-unpinned"], TWINS)
    run = Cell(twin, "nopcid", "sc").spec()
    system = run.build()
    result = search_with(Engine(threads=1), system, stop_at_first=True, judge_bring_up=False)
    return record(run, system, result.violations["no stale use"])


def test_steps_and_failure_are_of_a_cpu(unpinned: Trace) -> None:
    assert {step.cpu for step in unpinned.steps} == {0, 1}
    assert unpinned.failed.cpu in (0, 1)
    assert {name.split(".")[0] for name, _ in unpinned.state} <= {
        f"cpus[{unpinned.failed.cpu}]",
        f"__pcpu[{unpinned.failed.cpu}]",
    }


def test_the_thread_goes_on_on_another_cpu(unpinned: Trace) -> None:
    steps = unpinned.steps[unpinned.prefix :]
    preempted = next(step for step in steps if step.function == "sched_preempt")
    assert "runq_preempt" in preempted.text
    assert {step.cpu for step in steps if step.agent == preempted.agent} == {0, 1}


def test_it_replays(unpinned: Trace) -> None:
    pinned = replace(unpinned, spec=unpinned.spec.pinned())
    assert replay(pinned, "t") == pinned
