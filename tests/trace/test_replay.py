"""Replaying: equal for the same model, loud for any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pmaplab.errors import Location, TraceError
from pmaplab.trace.record import Change, Trace
from pmaplab.trace.replay import replay


def differs(trace: Trace, message: str) -> TraceError:
    with pytest.raises(TraceError, match=message) as error:
        replay(trace, "t.json: trace 1")
    assert error.value.message.startswith("t.json: trace 1: ")
    assert error.value.advice
    return error.value


def with_step(trace: Trace, number: int, **fields: Any) -> Trace:
    """``trace`` with other fields in its step ``number``, which counts from 1."""
    steps = list(trace.steps)
    steps[number - 1] = replace(steps[number - 1], **fields)
    return replace(trace, steps=tuple(steps))


def test_every_kind_of_trace_replays(
    boot_trace: Trace, switch_trace: Trace, panic_trace: Trace, stuck_trace: Trace
) -> None:
    for trace in (boot_trace, switch_trace, panic_trace, stuck_trace):
        assert replay(trace, "t") == trace


def test_a_step_that_is_not_possible(boot_trace: Trace) -> None:
    """CPU 0 has not yet released the APs when CPU 1 spins for it."""
    spin = next(n for n, step in enumerate(boot_trace.steps, 1) if "mp_naps +=" in step.text)
    after = next(n for n in range(spin, 99) if boot_trace.steps[n].cpu == 0) + 1
    differs(with_step(boot_trace, after, agent=1), f"step {after} is not possible .* CPU 0 at")


@pytest.mark.parametrize("agent", [-1, 2, 10**6])
def test_an_agent_that_does_not_exist(boot_trace: Trace, agent: int) -> None:
    differs(with_step(boot_trace, 1, agent=agent), "step 1 is not possible")


@pytest.mark.parametrize("choices", [(0,), (7, 7)])
def test_a_choice_where_there_is_none(boot_trace: Trace, choices: tuple[int, ...]) -> None:
    differs(with_step(boot_trace, 1, choices=choices), "step 1 is not possible")


@pytest.mark.parametrize("value", [-1, 4, 999])
def test_a_choice_out_of_range(switch_trace: Trace, value: int) -> None:
    number = next(n for n, step in enumerate(switch_trace.steps, 1) if step.choices)
    differs(with_step(switch_trace, number, choices=(value,)), f"step {number} is not possible")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"line": 1}, r"step 2 \(CPU 0\) differs: it is in hammer_time at"),
        ({"function": "cold_boot"}, "not in cold_boot"),
        ({"file": "other.py"}, r"not in .*other\.py"),
        ({"column": 99}, "not in .*:99"),
        ({"text": "PCPU.curthread = NULL"}, "reads `PCPU.curthread = thread0`"),
        ({"changes": ()}, "it changes .* not nothing"),
        ({"changes": (Change("a", "0", "1"),)}, "not a from 0 to 1"),
        ({"cpu": 1}, "agent 0 is CPU 0"),
        ({"context": "ipi"}, "thread context"),
    ],
)
def test_the_first_step_that_differs_is_named(
    boot_trace: Trace, fields: dict[str, Any], message: str
) -> None:
    differs(with_step(boot_trace, 2, **fields), message)


def test_a_trace_that_ends_too_early(boot_trace: Trace, panic_trace: Trace) -> None:
    short = replace(boot_trace, steps=boot_trace.steps[:-1])
    differs(short, f"curpmap does not fail after the last step, {len(short.steps)}")
    short = replace(panic_trace, steps=panic_trace.steps[:-1])
    differs(short, "assertions does not fail")


def test_a_trace_that_goes_on_after_a_panic(panic_trace: Trace) -> None:
    longer = replace(panic_trace, steps=(*panic_trace.steps, panic_trace.steps[-1]))
    differs(longer, r"flags are 0 \(.*\) already after step")


@pytest.mark.parametrize("name", ["PCID", "assertions", "progress", "nonsense"])
def test_a_property_that_does_not_fail(boot_trace: Trace, name: str) -> None:
    differs(replace(boot_trace, property=name), f"{name} does not fail")


def test_a_property_that_fails_in_another_way(boot_trace: Trace, stuck_trace: Trace) -> None:
    for trace in (boot_trace, stuck_trace):
        failed = replace(trace.failed, message="something else")
        differs(replace(trace, failed=failed), "fails in another way")
        failed = replace(trace.failed, location=Location("x.py", 1))
        differs(replace(trace, failed=failed), "fails in another way")


def test_another_state_or_prefix(switch_trace: Trace) -> None:
    differs(replace(switch_trace, state=()), "the state at the end")
    differs(replace(switch_trace, prefix=0), "the length of the bring-up")


def test_a_file_of_the_users_that_has_changed(panic_trace: Trace) -> None:
    path = Path(panic_trace.spec.kernel or "")
    path.write_text(path.read_text() + "\n")
    differs(panic_trace, "SHA-256 differs")
    path.unlink()
    differs(panic_trace, "no such file")


def test_a_kernel_that_has_changed_with_its_digest(panic_trace: Trace) -> None:
    path = Path(panic_trace.spec.kernel or "")
    path.write_text(path.read_text().replace("== 7", "== 8"))
    differs(replace(panic_trace, spec=panic_trace.spec.pinned()), "reads `KASSERT")
    path.write_text(path.read_text().replace("== 8", "== 0"))
    differs(replace(panic_trace, spec=panic_trace.spec.pinned()), "step|fail")


def test_a_system_that_cannot_be_built(boot_trace: Trace, panic_trace: Trace) -> None:
    for fields in (
        {"proposal": "befor"},
        {"mode": "nopcidd"},
        {"scenario": "bot"},
        {"bounds": replace(boot_trace.spec.bounds, cpus=0)},
    ):
        spec = replace(boot_trace.spec, **fields)
        differs(replace(boot_trace, spec=spec), "its system cannot be built")
    path = Path(panic_trace.spec.kernel or "")
    path.write_text("def pmap_pinit0(:\n")
    error = differs(replace(panic_trace, spec=panic_trace.spec.pinned()), "cannot be built")
    assert error.location is not None
    assert error.location.line == 1


def test_replaying_runs_no_code_of_the_users(panic_trace: Trace, tmp_path: Path) -> None:
    """What a trace names is compiled by our front end, never by Python."""
    proof = tmp_path / "executed"
    path = Path(panic_trace.spec.kernel or "")
    path.write_text(f"import pathlib\npathlib.Path({str(proof)!r}).touch()\n")
    differs(replace(panic_trace, spec=panic_trace.spec.pinned()), "cannot be built")
    assert not proof.exists()
