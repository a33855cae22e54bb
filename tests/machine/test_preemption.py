"""Preemption and migration: what comes between two steps of a thread, and what
a search of them rests on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pmaplab.errors import InputError, IRError, UsageError
from pmaplab.frontends.kernel_python.source import parse_source
from pmaplab.ir.nodes import Block, Call, Const, Return
from pmaplab.ir.types import BOOL
from pmaplab.ir.walk import instructions
from pmaplab.machine.modes import MODES
from pmaplab.machine.preemption import add_contexts, contexts_of
from pmaplab.native.choose import Engine, search_with
from pmaplab.reviews.registry import proposal_files
from pmaplab.search.result import PROGRESS, Result
from pmaplab.system import Bounds, System, build_system

SCENARIO = Path(__file__).parent / "programs/levels.py"
SMALL = Bounds(processes=1, kernel_processes=1, operations=2, pages=1, preemptions=1)

THREAD = "another thread comes in between"
CPU = "the thread goes on on another CPU"
INTERRUPT = "an interrupt comes in between"

WORK = """
from pmaplab.kernel_python import this_cpu
from pmaplab.kernels.freebsd.sys.mutex import (
    critical_enter,
    critical_exit,
    sched_pin,
    sched_unpin,
    spinlock_enter,
    spinlock_exit,
)


def work() -> None:
    {begin}
    cpu = this_cpu()
    take(cpu)
    leave(cpu)
    {end}
"""


def built(begin: str, end: str, bounds: Bounds = SMALL) -> System:
    kernel = parse_source(WORK.format(begin=begin, end=end), "work.py")
    return build_system(str(SCENARIO), (*proposal_files("repaired"), kernel), MODES[0], bounds)


def searched(system: System) -> Result:
    result = search_with(Engine(threads=1), system)
    assert result.complete and not result.violations
    return result


LEVELS = [
    ("pass", "pass", {CPU, THREAD, INTERRUPT}),
    ("sched_pin()", "sched_unpin()", {THREAD, INTERRUPT}),
    ("critical_enter()", "critical_exit()", {INTERRUPT}),
    ("spinlock_enter()", "spinlock_exit()", set()),
]


@pytest.mark.parametrize(("begin", "end", "expected"), LEVELS, ids=["none", "pin", "crit", "intr"])
def test_the_levels_stay_apart(begin: str, end: str, expected: set[str]) -> None:
    assert searched(built(begin, end)).reached & {CPU, THREAD, INTERRUPT} == expected


def test_without_preemptions_nothing_comes_in_between_but_interrupts() -> None:
    system = built("pass", "pass", replace(SMALL, preemptions=0))
    assert contexts_of(system.program) is None
    assert not any(name.startswith("spare") for name in system.program.functions)
    assert searched(system).reached & {CPU, THREAD, INTERRUPT} == {INTERRUPT}


def test_within_a_step_the_number_of_the_cpu_may_be_outdated() -> None:
    """``this_cpu()`` is no step of its own: there is a point behind it."""
    work = built("pass", "pass").program.functions["work"]
    asked = [i for i in instructions(work) if isinstance(i, Call) and i.function == "preemptible"]
    assert len(asked) > 2


def test_scenarios_and_what_preempts_are_not_preempted() -> None:
    functions = built("pass", "pass").program.functions
    for name in ("thread_operation", "mi_switch", "sched_preempt", "cpu_switch_in_preemption"):
        calls = {i.function for i in instructions(functions[name]) if isinstance(i, Call)}
        assert "preemptible" not in calls, name


def test_contexts() -> None:
    program = built("pass", "pass", replace(SMALL, preemptions=2)).program
    assert contexts_of(program) == 2
    names = ["cpu0", "cpu1", "context2", "context3"]
    assert [a.name for a in program.agents] == names + [f"{name}.interrupt" for name in names]
    assert [a.cpu for a in program.agents] == [0, 1, 2, 3] * 2


def test_store_buffers_stay_with_the_cpus() -> None:
    program = built("pass", "pass", replace(SMALL, store_buffer=1)).program
    assert [a.cpu for a in program.agents if a.context == "store buffer"] == [3, 4]


def test_a_thread_that_is_forgotten_is_told() -> None:
    """Nobody goes on with it where CPUs are done: that is never "holds"."""
    system = built("pass", "pass", replace(SMALL, operations=1))
    functions = dict(system.program.functions)
    waiting = functions["preempted_threads"]
    nobody = Block("entry", (), Return(Const(0, BOOL), waiting.loc))
    functions[waiting.name] = replace(waiting, blocks=(nobody,))
    program = replace(system.program, functions=functions)
    result = search_with(Engine(threads=1), replace(system, program=program))
    assert list(result.violations) == [PROGRESS]


def test_what_it_consists_of_cannot_be_replaced() -> None:
    own = parse_source("def cpu_switch() -> None:\n    pass\n", "own.py")
    with pytest.raises(InputError) as error:
        build_system(str(SCENARIO), (own,), MODES[0], SMALL)
    assert error.value.message == (
        "own.py replaces cpu_switch, which is another function where threads are preempted"
    )


def test_a_scenario_without_operations() -> None:
    with pytest.raises(UsageError) as error:
        build_system("switch", (), MODES[0], Bounds(preemptions=1))
    assert (
        error.value.message
        == "the scenario switch has no operations in which threads are preempted"
    )
    assert error.value.advice is not None and "activate and shootdown" in error.value.advice


def test_a_bound_that_is_too_large() -> None:
    with pytest.raises(UsageError) as error:
        Bounds(preemptions=9).check()
    assert error.value.message == "--preemptions must be from 0 to 8, not 9"


def test_a_program_without_the_kernel_s_part() -> None:
    program = build_system("switch", (), MODES[0], Bounds(operations=1)).program
    with pytest.raises(IRError) as error:
        add_contexts(program, 1)
    assert error.value.message == "there is preemption, but no function 'next_thread'"
