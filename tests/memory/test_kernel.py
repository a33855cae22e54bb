"""The reference kernel and others under the memory model tso."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from golden import Golden
from pmaplab.frontends.kernel_python.source import SourceFile, read_source
from pmaplab.ir.callgraph import callees
from pmaplab.ir.cut import cut
from pmaplab.ir.nodes import STORE_BUFFER, Fence, Program
from pmaplab.ir.walk import instructions
from pmaplab.machine.modes import find_mode
from pmaplab.machine.tso import before_buffers, tso
from pmaplab.memory import direct, left_out, memory_assumptions, outside
from pmaplab.reviews.registry import proposal_files
from pmaplab.search.bfs import search
from pmaplab.search.result import Result
from pmaplab.search.run import Runner
from pmaplab.system import Bounds, System, build_system, default_bounds

HERE = Path(__file__).parent


def built(
    scenario: str, bound: int | None, mode: str = "nopcid", *changes: SourceFile, proposal: str = ""
) -> System:
    files = (*(proposal_files(proposal) if proposal else ()), *changes)
    bounds = Bounds(operations=1, store_buffer=bound)
    return build_system(scenario, files, find_mode(mode), bounds)


def broken(name: str, bound: int | None) -> Result:
    """The accepted change, repaired, and then broken again, while it boots."""
    change = read_source(HERE / f"{name}.py", f"{name}.py")
    return search(built("boot", bound, "nopcid", change, proposal="repaired"))


def numbers(bound: int) -> str:
    lines = []
    for proposal in ("repaired", "before"):
        for scenario in ("boot", "switch"):
            for mode in ("nopcid", "pcid", "pcid+invpcid+pti"):
                result = search(built(scenario, bound, mode, proposal=proposal))
                found = [f"{name} in {v.steps}" for name, v in sorted(result.violations.items())]
                lines.append(
                    f"{proposal}, {scenario}, {mode}: {result.states} states, "
                    f"{result.transitions} transitions, depth {result.depth}; "
                    f"{', '.join(found) or 'holds'}"
                )
    return "\n".join(lines) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("bound", [1, 2])
def test_the_numbers(bound: int, golden: Golden) -> None:
    """Two CPUs, two processes, one operation a CPU."""
    golden.check(numbers(bound), HERE / f"test_kernel_{bound}.expected")


@pytest.mark.parametrize("bound", [None, 1, 2])
def test_the_startup_ipi_waits_for_earlier_stores(bound: int | None) -> None:
    """Else the AP takes itself for CPU 0."""
    result = broken("ipi_without_fence", bound)
    assert result.complete
    if bound is None:
        assert result.violations == {}
    else:
        assert [(name, v.cpu) for name, v in result.violations.items()] == [("pm_active", 1)]


@pytest.mark.parametrize("bound", [None, 1, 2])
def test_what_another_cpu_has_passed_hides_no_failure(bound: int | None) -> None:
    """The boot CPU's own bit is there; what lacks is noticed for CPU 1, once
    the stores of pmap_bootstrap are in memory."""
    result = broken("kernel_pmap_without_aps", bound)
    violation = result.violations["pm_active"]
    assert violation.cpu == 1 and violation.failure is not None
    assert violation.failure.message == "kernel_pmap's pm_active has lost CPU 1"


def test_a_fence_is_missing() -> None:
    scenario = str(HERE / "teardown.py")
    fence = read_source(HERE / "teardown_fence.py", "teardown_fence.py")
    assert search(built(scenario, None)).verdict() == "holds"
    assert search(built(scenario, None, "nopcid", fence)).verdict() == "holds"
    for bound in (1, 2, 3):
        assert search(built(scenario, bound)).violations.keys() == {"assertions"}
        assert search(built(scenario, bound, "nopcid", fence)).verdict() == "holds"


@pytest.mark.slow
def test_the_same_without_knowing_what_is_private() -> None:
    """Loads that nobody can tell apart take no steps of their own: fewer
    states, and the same failures."""
    for scenario, mode in (("switch", "nopcid"), ("boot", "nopcid"), ("switch", "pcid+pti")):
        system = built(scenario, 2, mode)
        assert system.plain is not None
        slow = cut(tso(system.plain, bound=2, outside=outside(system.plain)))
        known, unknown = search(system), search(replace(system, program=slow, bring_up=None))
        if system.bring_up is not None:
            unknown = search(replace(system, program=slow))
        assert known.states < unknown.states
        assert {name: v.failure for name, v in known.violations.items()} == {
            name: v.failure for name, v in unknown.violations.items()
        }
        assert known.reached == unknown.reached


def test_bring_up_has_no_buffers() -> None:
    system = built("switch", 2)
    assert system.bring_up is not None
    assert all(agent.context != STORE_BUFFER for agent in system.bring_up.agents)
    assert system.bring_up.globals == system.program.globals
    assert system.bring_up.regions == system.program.regions
    without, buffered = search(built("switch", None)), search(system)
    assert without.bring_up == buffered.bring_up


def test_what_was_marked_before_the_buffers_counts_for_all() -> None:
    system = built("switch", 2)
    runner = Runner(system)
    while runner.in_bring_up:
        runner.bring_up_step()
    regions = runner.interpreter.regions
    masks = runner.state[runner.interpreter.layout.regions :][:2]
    both = regions["bootstrapped"] | regions["bootstrapped in memory"]
    assert [mask & both for mask in masks] == [both, 0]


def test_nothing_to_buffer(tmp_path: Path) -> None:
    path = tmp_path / "idle.py"
    path.write_text(
        "from pmaplab.kernel_python import sometimes, thread_context\n\n\n"
        '@thread_context\ndef cpu_main() -> None:\n    sometimes("it ran")\n'
    )
    system = built(str(path), 2)
    assert search(system).verdict() == "holds"
    assert system.plain is not None
    assert before_buffers(system.plain, system.plain) == system.plain


def test_the_list_names_what_there_is() -> None:
    bounds = replace(default_bounds("shootdown"), operations=1, preemptions=1)
    paging = build_system("shootdown", (), find_mode("pcid+invpcid+pti"), bounds).program
    booting = built("boot", None, "pcid+invpcid+pti").program
    program = replace(paging, functions={**booting.functions, **paging.functions})
    listed = left_out()
    assert direct(program) == tuple(listed.direct)
    assert outside(program) == tuple(listed.outside)
    # Only where a tree is checked: see tests/trees.
    assert set(listed.at_once) - program.functions.keys() == {"vmspace_pinit"}
    for name in listed.at_once.keys() & program.functions.keys():
        assert _fenced(program, name)
    for name in listed.direct:
        assert program.functions[name].atomic and not _fenced(program, name)
    for name in listed.open:
        assert program.functions[name].atomic and not _fenced(program, name)
    # The events of which nothing is said drain the buffer.
    for name in ("load_cr3", "load_cr4", "ipi_startup", "_mtx_try"):
        assert _fenced(program, name)
    # A release is a store.
    assert not _fenced(program, "_mtx_release")


def _fenced(program: Program, name: str) -> bool:
    function = program.functions[name]
    return function.atomic and any(isinstance(item, Fence) for item in instructions(function))


def test_release_of_a_mutex_waits_in_the_buffer() -> None:
    program = built("boot", 1).program
    called = callees(program.functions["_mtx_release"])
    assert called == ("store_buffer_load_pointer", "store_buffer_store_pointer")


def test_assumptions() -> None:
    program = built("boot", 1, "pcid+invpcid+pti").program
    found = memory_assumptions(program, 1)
    assert found[0] == "memory model tso, store buffers of at most 1 entry"
    assert memory_assumptions(program, 3)[0].endswith("of at most 3 entries")
    assert found[1].startswith("a property sees memory through the store buffer of the CPU")
    text = "\n".join(found)
    assert "outside of the store buffers: cpu_registers: registers are no memory" in text
    assert "thread.td_critnest, thread.md_spinlock_count, thread.md_saved_flags" in text
    assert "choosethread, runq_exchange, runq_leave, under the run queue's lock" in text
    assert "INVPCID does not drain the store buffer" in text
    # Only what applies.
    assert "INVPCID" not in "\n".join(memory_assumptions(built("boot", 1).program, 1))
    alone = "\n".join(memory_assumptions(built(str(HERE / "teardown.py"), 1).program, 1))
    assert "choosethread" not in alone
