"""Single runs: the figures of the review, panics, hangs, and schedules."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmaplab.errors import ModelError, UsageError
from pmaplab.machine.modes import MODES
from pmaplab.reviews.measure import BOOT_SCENARIO, boot_bounds
from pmaplab.search.simulate import Run, simulate
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds

HEAD = """\
from __future__ import annotations

from pmaplab.kernel_python import (
    KASSERT, assume, atomic, choose, ia32_pause, printf, this_cpu, thread_context, u32
)

"""


def booted(mode: str, cpus: int, maxcpu: int, seed: int | None = None) -> Run:
    spec = RunSpec(scenario=BOOT_SCENARIO, mode=mode, bounds=boot_bounds(cpus, maxcpu))
    return simulate(spec.build(), seed=seed)


def run_of(tmp_path: Path, text: str, seed: int | None = None) -> Run:
    path = tmp_path / "scenario.py"
    path.write_text(HEAD + text)
    return simulate(RunSpec(scenario=str(path), bounds=Bounds()).build(), seed=seed)


@pytest.mark.parametrize("mode", [mode.name for mode in MODES])
@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize(("cpus", "maxcpu"), [(6, 256), (1, 1), (2, 64), (3, 100)])
def test_the_law_of_debug_count(mode: str, seed: int | None, cpus: int, maxcpu: int) -> None:
    """Before the review every CPU loses its bit; with PCID not the boot CPU."""
    run = booted(mode, cpus, maxcpu, seed)
    lost = cpus - 1 if mode.startswith("pcid") else cpus
    assert run.failure is None
    assert run.sysctl("debug.count") == maxcpu - lost
    assert min(run.switches) >= 1
    assert sum(run.switches) > cpus


def test_what_the_sysctl_nodes_say() -> None:
    run = booted("pcid+invpcid+pti", 4, 8)
    assert run.sysctl("vm.pmap.pcid_enabled") == 1
    assert run.sysctl("vm.pmap.invpcid_works") == 1
    assert run.sysctl("vm.pmap.pti") == 1
    kept = sum(booted("pcid", 2, 2, seed).sysctl("vm.pmap.pcid_save_cnt") for seed in range(5))
    assert kept > 0
    assert booted("nopcid", 2, 2).sysctl("vm.pmap.pcid_save_cnt") == 0
    with pytest.raises(UsageError, match=r"debug\.cuont") as error:
        run.sysctl("debug.cuont")
    assert error.value.advice == "did you mean debug.count?"


def test_the_console() -> None:
    lines = booted("nopcid", 3, 4).console
    assert lines[0] == "FreeBSD/SMP: Multiprocessor System Detected: 3 CPUs"
    assert [line for line in lines if "Launched" in line] == [
        "SMP: AP CPU #1 Launched!",
        "SMP: AP CPU #2 Launched!",
    ]


def test_a_seed_is_a_schedule() -> None:
    runs = [booted("pcid", 3, 4, seed) for seed in (5, 5, 6)]
    assert runs[0].moves == runs[1].moves
    assert runs[0].state == runs[1].state
    assert runs[0].moves != runs[2].moves
    assert booted("pcid", 3, 4).moves == booted("pcid", 3, 4).moves


def test_what_a_disabled_step_has_done_is_taken_back(tmp_path: Path) -> None:
    """Each attempt prints, writes and then waits: only the one that is taken counts."""
    run = run_of(
        tmp_path,
        """\
tries: u32 = 0
door: u32 = 0


@atomic
def enter() -> None:
    global tries
    tries += 1
    printf("CPU %d tries\\n", this_cpu())
    assume(door == 1)
    KASSERT(tries == 1, "%d tries are left behind", tries)


@thread_context
def cpu_main() -> None:
    global door
    if this_cpu() == 1:
        door = 0
        door = 0
        door = 1
    else:
        enter()
""",
    )
    assert run.failure is None
    assert run.console == ("CPU 0 tries",)


def test_choices_are_taken_in_turn_or_at_random(tmp_path: Path) -> None:
    text = """\
seen: u32 = 0


@atomic
def pick() -> None:
    global seen
    n = choose(4)
    assume(n != 2)
    seen = seen * 10 + n


@thread_context
def cpu_main() -> None:
    if this_cpu() == 0:
        for _ in range(5):
            pick()
        printf("%d\\n", seen)
"""
    assert run_of(tmp_path, text).console == ("1301",)
    random = {run_of(tmp_path, text, seed).console for seed in range(8)}
    assert len(random) > 4
    assert not [line for (line,) in random if "2" in line]


def test_a_panic_ends_the_run(tmp_path: Path) -> None:
    run = run_of(
        tmp_path,
        """\
door: u32 = 0


@thread_context
def cpu_main() -> None:
    if this_cpu() == 1:
        printf("here\\n")
        KASSERT(False, "no %d", 5)
    else:
        while door == 0:
            ia32_pause()
""",
    )
    assert run.failure is not None
    assert run.failure.message == "no 5"
    assert run.failure.function == "cpu_main"
    assert run.cpu == 1
    assert run.console == ("here",)


def test_a_hang_is_noticed(tmp_path: Path) -> None:
    run = run_of(
        tmp_path,
        """\
door: u32 = 0


@thread_context
def cpu_main() -> None:
    if this_cpu() == 1:
        while door == 0:
            ia32_pause()
""",
    )
    assert run.failure is not None
    assert run.failure.kind == "progress"
    assert run.cpu == 1


def test_a_scenario_with_a_bring_up_of_its_own() -> None:
    with pytest.raises(ModelError, match="power-on"):
        simulate(RunSpec(scenario="switch").build())
