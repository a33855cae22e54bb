"""Replaying stored traces: the model must still do what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from pmaplab.errors import InputError, PmaplabError, TraceError
from pmaplab.ir.nodes import THREAD
from pmaplab.search.interpreter import Failure, Interpreter, State
from pmaplab.search.result import ASSERTIONS, PROGRESS, stuck_failure
from pmaplab.system import System
from pmaplab.trace.record import Change, Recorder, Trace, TraceStep

_ADVICE = "the model or the sources have changed since: search again with `pmaplab check`"


def replay(trace: Trace, where: str) -> Trace:
    """Build the system of ``trace`` again and take its steps, one by one.

    Returns what was seen, which is equal to ``trace`` up to its ``watched``
    fields.  ``where`` names the trace in messages.  Raises TraceError at the
    first difference: a user's file that is another now, a system that cannot
    be built, a step that is not possible or does something else, a property
    that does not fail at the end.
    """
    recorder = Recorder(trace.spec, _build(trace, where))
    for number, expected in enumerate(trace.steps, 1):
        failed = recorder.runner.failure
        if failed is not None:
            _fail(where, f"{failed.message} ({failed.loc}) already after step {number - 1}")
        if not recorder.take(expected.agent, expected.choices):
            _fail(
                where,
                f"step {number} is not possible any more: CPU {expected.cpu} at "
                f"{expected.file}:{expected.line}, `{expected.text}`",
            )
        difference = _difference(expected, recorder.steps[-1])
        if difference is not None:
            _fail(where, f"step {number} (CPU {expected.cpu}) differs: {difference}")
    cpu, failure = _failure(trace, recorder, where)
    found = recorder.trace(trace.property, cpu, failure)
    if found.failed != trace.failed:
        _fail(
            where,
            f"{trace.property} fails in another way: {found.failed.message} "
            f"({found.failed.location}), not {trace.failed.message} ({trace.failed.location})",
        )
    if replace(found, watched=trace.watched) != trace:
        _fail(where, "the state at the end, or the length of the bring-up, differs")
    return found


def _fail(where: str, message: str, advice: str = _ADVICE) -> NoReturn:
    raise TraceError(f"{where}: {message}", advice=advice)


def _build(trace: Trace, where: str) -> System:
    try:
        changed = trace.spec.changed_files()
    except InputError as error:
        _fail(where, error.message, "run it where the file is, under the name that it had")
    if changed:
        _fail(
            where,
            f"{changed[0]} is not the file that this trace is about: its SHA-256 differs",
            "search again with `pmaplab check`, or restore the file",
        )
    try:
        return trace.spec.build()
    except PmaplabError as error:
        raise TraceError(
            f"{where}: its system cannot be built: {error.message}",
            location=error.location,
            source=error.source,
            advice=error.advice,
        ) from None


def _difference(expected: TraceStep, found: TraceStep) -> str | None:
    """The first thing in which the steps differ, in words."""
    places = [f"{s.function} at {s.file}:{s.line}:{s.column}" for s in (found, expected)]
    if places[0] != places[1]:
        return f"it is in {places[0]}, not in {places[1]}"
    if found.text != expected.text:
        return f"{found.file}:{found.line} reads `{found.text}`, not `{expected.text}`"
    if found.changes != expected.changes:
        return f"it changes {_listed(found.changes)}, not {_listed(expected.changes)}"
    if (found.cpu, found.context) != (expected.cpu, expected.context):
        return f"agent {found.agent} is CPU {found.cpu} in {found.context} context"
    return None


def _listed(changes: tuple[Change, ...]) -> str:
    return ", ".join(f"{c.cell} from {c.old} to {c.new}" for c in changes) or "nothing"


def _failure(trace: Trace, recorder: Recorder, where: str) -> tuple[int, Failure]:
    """The failure of the trace's property in the state that was reached."""
    runner, name = recorder.runner, trace.property
    if name == ASSERTIONS:
        if runner.failure is not None:
            last = recorder.steps[-1].agent
            return recorder.system.program.agents[last].cpu, runner.failure
    elif name == PROGRESS:
        agent = stuck_agent(recorder.system, runner.state) if not runner.in_bring_up else None
        if agent is not None and runner.failure is None:
            cpu = recorder.system.program.agents[agent].cpu
            return cpu, stuck_failure(cpu, *runner.interpreter.location(runner.state, agent))
    elif runner.failure is None and name in (failing := recorder.failing()):
        return failing[name]
    _fail(where, f"{name} does not fail after the last step, {len(trace.steps)}")


def stuck_agent(system: System, state: State) -> int | None:
    """An agent that has work left and cannot move in any future of ``state``."""
    interpreter = Interpreter(system.program)
    stuck = {
        number
        for number, agent in enumerate(system.program.agents)
        if agent.context == THREAD and not interpreter.done(state, number)
    }
    seen, pending = {state}, [state]
    while pending and stuck:
        now = pending.pop()
        for agent in range(len(system.program.agents)):
            for outcome in interpreter.outcomes(now, agent):
                stuck.discard(agent)
                if outcome.failure is None and outcome.state not in seen:
                    seen.add(outcome.state)
                    pending.append(outcome.state)
    return min(stuck, default=None)
