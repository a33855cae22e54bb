"""What a terminal shows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.text import Text

from pmaplab.report.listing import TAIL, trace_text
from pmaplab.report.terminal import boot_text, check_text, table
from pmaplab.report.verdict import Verdict, check
from pmaplab.search.interpreter import Failure
from pmaplab.search.simulate import simulate
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds
from pmaplab.trace.record import Trace

SMALL = Bounds(operations=1)


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    return check(RunSpec(scenario="boot", mode="pcid", bounds=SMALL))


@pytest.fixture(scope="module")
def trace(verdict: Verdict) -> Trace:
    assert verdict.trace is not None
    return verdict.trace


def test_columns_are_aligned() -> None:
    rows = [[Text("a"), Text("1")], [Text("bbb"), Text("1,000")]]
    assert table(("name", "n"), rows, frozenset({"n"})).plain == (
        "name      n\na         1\nbbb   1,000\n"
    )


def test_the_verdicts(verdict: Verdict) -> None:
    lines = check_text([verdict]).plain.splitlines()
    assert lines[0].startswith("the reference kernel, scenario boot: 2 CPUs, MAXCPU 2")
    assert lines[2].split()[:3] == ["mode", "verdict", "states"]
    row = lines[3]
    assert row.startswith("pcid  violated")
    assert f"{verdict.states:,}" in row
    assert "pm_active (" in row
    assert [line for line in lines if line.startswith("assumed: memory model sc")]
    assert [line for line in lines if line.startswith("exempt: pmap_pinit0: ")]


def test_what_applies_to_some_modes_says_to_which(verdict: Verdict) -> None:
    other = replace(verdict, spec=replace(verdict.spec, mode="nopcid"), assumptions=())
    text = check_text([verdict, other]).plain
    assert "assumed: MAXCPU is 2 [pcid]\n" in text


def test_what_was_not_reached_or_not_finished(verdict: Verdict) -> None:
    text = check_text([replace(verdict, unreached=("the moon",))]).plain
    assert 'pcid: never reached: "the moon"' in text
    text = check_text([replace(verdict, stopped="the limit is reached", unreached=("x",))]).plain
    assert "pcid: incomplete: the limit is reached" in text
    assert "never reached" not in text


def test_all_steps_are_there_when_asked_for(trace: Trace) -> None:
    lines = trace_text(trace, full=True).plain.splitlines()
    numbers: list[int] = []
    for line in lines:
        first = line[2:].split(" ")[0] if not line.startswith("   ") else line.split()[0]
        head, _, last = first.partition("-")
        if head.isdigit() and line.startswith("  ") and not line.startswith(" " * 12):
            numbers += range(int(head), int(last or head) + 1)
    assert numbers == list(range(1, len(trace.steps) + 1))


def test_a_long_trace_is_summed_up(trace: Trace) -> None:
    text = trace_text(trace).plain
    assert text.count("\n") < trace_text(trace, full=True).plain.count("\n")
    assert " ... " in text
    # What the property reads is shown wherever it changes, and so is the end.
    assert "kernel_pmap.pm_active: {} -> {0, 1}" in text
    for step in trace.steps[-TAIL:]:
        assert f"{step.file.removeprefix('pmaplab/kernels/freebsd/')}:{step.line} " in text
    assert "CPU 0\n" in text
    assert "CPU 1\n" in text


def test_the_end_says_what_fails_and_where(trace: Trace) -> None:
    lines = trace_text(trace).plain.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("after step"))
    assert lines[start] == (
        f"after step {len(trace.steps)}, pm_active fails on CPU {trace.failed.cpu}"
    )
    assert lines[start + 1] == f"{trace.failed.location}: {trace.failed.message}"
    assert lines[start + 2].strip() == trace.failed.text.strip()
    assert lines[start + 3].strip().startswith("^")
    assert [line for line in lines[start + 4 :] if "curpmap = " in line]


def test_where_the_bring_up_ends(trace: Trace) -> None:
    text = trace_text(replace(trace, prefix=50)).plain
    assert "-- bring-up is over after step 50 --" in text
    assert "bring-up is over" not in trace_text(trace).plain


def test_colour_never_hides_in_the_text(trace: Trace) -> None:
    """Source lines with brackets are no markup."""
    step = replace(trace.steps[-1], text="x[red] = a[i]")
    text = trace_text(replace(trace, steps=(*trace.steps[:-1], step))).plain
    assert "x[red] = a[i]\n" in text


def test_a_boot() -> None:
    spec = RunSpec(scenario="multiuser", bounds=Bounds(cpus=1, maxcpu=4, operations=1))
    run = simulate(spec.build())
    lines = boot_text(run, ["debug.count", "vm.pmap.pti"]).plain.splitlines()
    assert lines[0] == "FreeBSD/SMP: Multiprocessor System Detected: 1 CPUs"
    assert lines[-2:] == ["debug.count: 3", "vm.pmap.pti: 0"]
    hammer_time = run.system.program.functions["hammer_time"]
    failure = Failure("KASSERT", "no such luck", "hammer_time", hammer_time.loc)
    text = boot_text(replace(run, failure=failure, cpu=0), []).plain
    assert "panic: no such luck\ncpuid = 0\nhammer_time() at pmaplab/kernels/" in text
    assert "    def hammer_time() -> None:\n" in text
    failure = replace(failure, kind="page fault")
    assert "panic: page fault: no such luck\n" in boot_text(replace(run, failure=failure), []).plain
    failure = replace(failure, kind="progress")
    assert "hang: no such luck\n" in boot_text(replace(run, failure=failure), []).plain
