"""Traces under tso: what waits, and what reaches memory, on source lines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pmaplab.errors import TraceError
from pmaplab.ir.nodes import STORE_BUFFER
from pmaplab.report.listing import trace_text
from pmaplab.report.verdict import check
from pmaplab.search.bfs import search
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds
from pmaplab.trace.record import Change, Trace, record
from pmaplab.trace.replay import replay
from pmaplab.trace.store import read_traces, traces_to_json

TSO = Bounds(operations=1, store_buffer=2)
WRITER = """\
from __future__ import annotations

from pmaplab.kernel_python import KASSERT, atomic, i32, ia32_pause, this_cpu, thread_context

small: i32 = 0
door: i32 = 0


@atomic
def put(value: i32) -> None:
    global small
    small = value


@thread_context
def cpu_main() -> None:
    global door
    if this_cpu() == 0:
        put(-2)
        door = -1
    else:
        while door != END:
            ia32_pause()
        KASSERT(small != -2, "small is %d", small)
"""


def writer(tmp_path: Path, end: str, name: str) -> Trace:
    path = tmp_path / "writer.py"
    path.write_text(WRITER.replace("END", end))
    spec = RunSpec(scenario=str(path), bounds=TSO).pinned()
    system = spec.build()
    return record(spec, system, search(system).violations[name])


def test_a_store_is_shown_where_it_is_made_and_where_it_reaches_memory(tmp_path: Path) -> None:
    trace = writer(tmp_path, "-1", "assertions")
    stores = [step for step in trace.steps if step.cpu == 0]
    assert [(step.context, step.function, step.line, step.text) for step in stores] == [
        ("thread", "cpu_main", 19, "put(-2)"),
        ("thread", "cpu_main", 20, "door = -1"),
        (STORE_BUFFER, "cpu_main", 19, "put(-2)"),
        (STORE_BUFFER, "cpu_main", 20, "door = -1"),
    ]
    assert [step.changes for step in stores] == [
        (Change("store_buffers[0]", "empty", "small = -2"),),
        (Change("store_buffers[0]", "small = -2", "small = -2; door = -1"),),
        (
            Change("small", "0", "-2"),
            Change("store_buffers[0]", "small = -2; door = -1", "door = -1"),
        ),
        (Change("door", "0", "-1"), Change("store_buffers[0]", "door = -1", "empty")),
    ]
    text = trace_text(trace, full=True).plain
    assert ", nopcid, tso, " in text
    assert "\nCPU 0, store buffer\n" in text


@pytest.fixture(scope="module")
def switch() -> Trace:
    trace = check(RunSpec(scenario="switch", mode="pcid", bounds=TSO)).trace
    assert trace is not None
    return trace


@pytest.fixture(scope="module")
def boot() -> Trace:
    trace = check(RunSpec(bounds=TSO)).trace
    assert trace is not None
    return trace


def test_pointers_and_sets_in_a_buffer(boot: Trace) -> None:
    shown = {change.new for step in boot.steps for change in step.changes}
    assert "thread0.td_lock = sched_lock" in shown
    assert any("kernel_pmap.pm_active = {0, 1}" in text for text in shown)
    assert any("vmspace0.vm_pmap.pm_pcids[0].pm_pcid = PMAP_PCID_NONE" in text for text in shown)
    assert not any("cell " in text for text in shown)
    assert all(step.file.endswith(".py") and step.text for step in boot.steps)


def test_traces_replay(tmp_path: Path, boot: Trace, switch: Trace) -> None:
    file = tmp_path / "t.json"
    file.write_text(json.dumps(traces_to_json([boot, switch])))
    for read, trace in zip(read_traces(file), (boot, switch), strict=True):
        assert read.spec.bounds.store_buffer == 2
        assert replace(replay(read, "t"), watched=trace.watched) == trace
    failed = writer(tmp_path, "-1", "assertions")
    assert replay(failed, "t") == failed


def test_a_stuck_cpu_replays(tmp_path: Path) -> None:
    """A store buffer that has nothing to do is none."""
    trace = writer(tmp_path, "7", "progress")
    assert trace.failed.cpu == 1
    assert replay(trace, "t") == trace


def test_a_trace_under_tso_is_none_under_sc(boot: Trace) -> None:
    spec = replace(boot.spec, bounds=replace(boot.spec.bounds, store_buffer=None))
    with pytest.raises(TraceError, match=r"step \d+ .* (differs|not possible)"):
        replay(replace(boot, spec=spec), "t")


def test_a_file_from_before_there_were_store_buffers(tmp_path: Path, boot_trace: Trace) -> None:
    data = traces_to_json([boot_trace])
    for key in ("store_buffer", "pages"):
        assert data["traces"][0]["run"]["bounds"].pop(key, "missing") != "missing"
    file = tmp_path / "old.json"
    file.write_text(json.dumps(data))
    (read,) = read_traces(file)
    assert read.spec == boot_trace.spec
    assert read.spec.bounds.store_buffer is None
