"""Recorded steps: who, where, and what changed."""

from __future__ import annotations

from pmaplab.trace.record import Change, Trace, TraceStep


def steps_at(trace: Trace, text: str) -> list[TraceStep]:
    return [step for step in trace.steps if step.text.startswith(text)]


def test_a_reader_of_the_review_recognises_the_shortest_trace(boot_trace: Trace) -> None:
    """pmap_pinit0 activates; the roots are equal, so curpmap stays behind."""
    assert boot_trace.property == "curpmap"
    assert boot_trace.failed.message == "curpmap is not the pmap of curthread's process"
    functions = list(dict.fromkeys(step.function for step in boot_trace.steps))
    assert functions[0] == "hammer_time"
    assert "pmap_pinit0" in functions
    assert ("__pcpu[0].curpmap", "kernel_pmap") in boot_trace.state
    assert ("__pcpu[0].curthread", "thread0") in boot_trace.state
    (cleared,) = steps_at(boot_trace, "CPU_CLR_ATOMIC(cpuid, oldpmap.pm_active)")
    assert cleared.function == "pmap_activate_sw"
    assert cleared.changes == (Change("kernel_pmap.pm_active", "{0, 1}", "{1}"),)


def test_machine_events_are_shown_where_the_kernel_calls_them(boot_trace: Trace) -> None:
    loads = steps_at(boot_trace, "load_cr3(KPML4phys)")
    assert [step.function for step in loads] == ["pmap_bootstrap", "mptramp"]
    assert all("cpus" in change.cell for step in loads for change in step.changes)
    assert not [step for step in boot_trace.steps if "/machine/" in step.file]


def test_every_step_has_its_source_line(boot_trace: Trace, switch_trace: Trace) -> None:
    for step in (*boot_trace.steps, *switch_trace.steps):
        assert step.text
        assert step.line > 0
        assert step.column > 0
        assert step.context == "thread"
        assert step.file.startswith("pmaplab/")


def test_ghosts_and_program_counters_are_left_out(switch_trace: Trace) -> None:
    cells = {change.cell for step in switch_trace.steps for change in step.changes}
    assert not [cell for cell in cells if "cr3_loaded" in cell]
    assert "cpus[1].cr3" in cells
    assert all(change.old != change.new for step in switch_trace.steps for change in step.changes)


def test_the_bring_up_is_counted(boot_trace: Trace, switch_trace: Trace) -> None:
    assert boot_trace.prefix == 0
    assert 0 < switch_trace.prefix <= len(switch_trace.steps)


def test_a_failed_assertion_has_its_own_line(panic_trace: Trace) -> None:
    assert panic_trace.property == "assertions"
    assert panic_trace.failed.message == "flags are 0"
    assert panic_trace.failed.text.startswith('    KASSERT(pm.pm_flags == 7, "flags are %d"')
    assert panic_trace.steps[-1].function == "pmap_pinit0"


def test_a_cpu_that_is_stuck_is_shown_where_it_stands(stuck_trace: Trace) -> None:
    assert stuck_trace.failed.cpu == 1
    assert stuck_trace.failed.text == "        while door != 2:"


def test_what_a_property_reads_is_watched(boot_trace: Trace) -> None:
    assert "__pcpu[0].curpmap" in boot_trace.watched
    assert "aps_ready" not in boot_trace.watched
