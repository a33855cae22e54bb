"""Counterexamples to look at, each searched once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmaplab.search.bfs import search
from pmaplab.search.result import Violation
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds, System
from pmaplab.trace.record import Trace, record

# CPU 1 waits for what never comes; CPU 0 does its work.
STUCK = """\
from __future__ import annotations

from pmaplab.kernel_python import ia32_pause, this_cpu, thread_context, u32

door: u32 = 0


@thread_context
def cpu_main() -> None:
    global door
    if this_cpu() == 0:
        door = 1
    else:
        while door != 2:
            ia32_pause()
"""

# A kernel that panics where proc0's pmap is made.
PANIC = """\
from __future__ import annotations

from pmaplab.kernel_python import KASSERT
from pmaplab.kernels.freebsd.amd64.pmap import pmap


def pmap_pinit0(pm: pmap) -> None:
    KASSERT(pm.pm_flags == 7, "flags are %d", pm.pm_flags)
"""


def found(spec: RunSpec, name: str) -> tuple[System, Violation]:
    """The system of ``spec`` and its shortest violation of property ``name``."""
    system = spec.build()
    return system, search(system).violations[name]


def traced(spec: RunSpec, name: str) -> Trace:
    return record(spec, *found(spec, name))


@pytest.fixture(scope="session")
def boot_trace() -> Trace:
    """The reference kernel without PCID loses curpmap while it boots."""
    return traced(RunSpec(scenario="boot", bounds=Bounds(operations=1)), "curpmap")


@pytest.fixture(scope="session")
def switch_trace() -> Trace:
    """With PCID, a machine that is up loses a bit of kernel_pmap's set."""
    return traced(RunSpec(scenario="switch", mode="pcid", bounds=Bounds(operations=1)), "pm_active")


@pytest.fixture
def stuck_trace(tmp_path: Path) -> Trace:
    path = tmp_path / "stuck.py"
    path.write_text(STUCK)
    return traced(RunSpec(scenario=str(path)).pinned(), "progress")


@pytest.fixture
def panic_trace(tmp_path: Path) -> Trace:
    path = tmp_path / "panic.py"
    path.write_text(PANIC)
    spec = RunSpec(kernel=str(path), bounds=Bounds(cpus=1, maxcpu=1, operations=1))
    return traced(spec.pinned(), "assertions")
