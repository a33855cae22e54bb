"""The trace file: counterexamples as JSON, with all that it takes to repeat them.

A trace file is data.  Reading one runs nothing, and the kernel Python files
that it names are only ever compiled by our own front end.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pmaplab.errors import Location
from pmaplab.jsondata import Node, read_json
from pmaplab.spec import RunSpec
from pmaplab.trace.record import Change, Failed, Trace, TraceStep

FORMAT = "pmaplab-trace"
VERSION = 1


def traces_to_json(traces: Sequence[Trace]) -> dict[str, Any]:
    """The content of a trace file."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "traces": [_trace_to_json(trace) for trace in traces],
    }


def step_to_json(step: TraceStep) -> dict[str, Any]:
    """A step as results show it: without what only a replay needs."""
    return {
        "cpu": step.cpu,
        "context": step.context,
        "function": step.function,
        "file": step.file,
        "line": step.line,
        "text": step.text,
        "changes": [
            {"cell": change.cell, "old": change.old, "new": change.new} for change in step.changes
        ],
    }


def failed_to_json(failed: Failed) -> dict[str, Any]:
    """What fails at the end of a trace."""
    return {
        "kind": failed.kind,
        "message": failed.message,
        "cpu": failed.cpu,
        "function": failed.function,
        "file": failed.location.file,
        "line": failed.location.line,
        "column": failed.location.column,
        "end_column": failed.location.end_column,
        "text": failed.text,
    }


def _trace_to_json(trace: Trace) -> dict[str, Any]:
    return {
        "run": trace.spec.to_json(),
        "property": trace.property,
        "failed": failed_to_json(trace.failed),
        "prefix": trace.prefix,
        "steps": [
            step_to_json(step)
            | {"column": step.column, "agent": step.agent, "choices": list(step.choices)}
            for step in trace.steps
        ],
        "state": [{"cell": cell, "value": value} for cell, value in trace.state],
    }


def read_traces(path: Path) -> list[Trace]:
    """The counterexamples in a trace file.

    Raises TraceError, with the place in the file, for anything that is not
    what this version writes.
    """
    name = str(path)
    node = read_json(path, name)
    advice = "a trace file is written by `pmaplab check ... -o FILE`"
    if not isinstance(node.value, dict) or node.value.get("format") != FORMAT:
        node.fail("this is no trace file", advice)
    version = node.get("version")
    if version.number() != VERSION:
        version.fail(f"version {version.value} is not known: this is for {VERSION}", advice)
    return [_trace(entry) for entry in node.get("traces").items()]


def _trace(node: Node) -> Trace:
    steps = tuple(_step(entry) for entry in node.get("steps").items())
    prefix = node.get("prefix")
    if not 0 <= prefix.number() <= len(steps):
        prefix.fail(f"it must be from 0 to the number of steps, {len(steps)}")
    return Trace(
        spec=RunSpec.from_json(node.get("run")),
        property=node.get("property").text(),
        failed=_failed(node.get("failed")),
        prefix=prefix.number(),
        steps=steps,
        state=tuple(
            (entry.get("cell").text(), entry.get("value").text())
            for entry in node.get("state").items()
        ),
    )


def _failed(node: Node) -> Failed:
    return Failed(
        kind=node.get("kind").text(),
        message=node.get("message").text(),
        cpu=node.get("cpu").number(),
        function=node.get("function").text(),
        location=Location(
            node.get("file").text(),
            node.get("line").number(),
            node.get("column").number(),
            node.get("end_column").number(),
        ),
        text=node.get("text").text(),
    )


def _step(node: Node) -> TraceStep:
    return TraceStep(
        cpu=node.get("cpu").number(),
        context=node.get("context").text(),
        function=node.get("function").text(),
        file=node.get("file").text(),
        line=node.get("line").number(),
        column=node.get("column").number(),
        text=node.get("text").text(),
        changes=tuple(
            Change(entry.get("cell").text(), entry.get("old").text(), entry.get("new").text())
            for entry in node.get("changes").items()
        ),
        agent=node.get("agent").number(),
        choices=tuple(choice.number() for choice in node.get("choices").items()),
    )
