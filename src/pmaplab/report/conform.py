"""Two kernels' states at rest, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from pmaplab.conform import Conformity, Side
from pmaplab.report.listing import trace_text
from pmaplab.report.terminal import bounds_text, table
from pmaplab.trace.store import step_to_json


def outcome(pair: Conformity) -> str:
    """``same``, ``differ`` or ``incomplete``."""
    if not pair.complete:
        return "incomplete"
    return "same" if pair.same else "differ"


def conform_text(pairs: Sequence[Conformity]) -> Text:
    """The result of ``pmaplab conform``: the table, and the first difference."""
    first = pairs[0]
    result = Text(f"{first.left.spec.kernel_name} and {first.right.spec.kernel_name}: ")
    result.append(f"{bounds_text(first.left.spec.bounds)}\nstates at rest\n\n")
    rows = []
    for pair in pairs:
        what = outcome(pair)
        style = {"same": "green", "differ": "bold red"}.get(what, "yellow")
        numbers = (pair.left.at_rest, pair.right.at_rest, pair.left.alone, pair.right.alone)
        rows.append(
            [
                Text(pair.left.spec.scenario),
                Text(pair.left.spec.mode),
                Text(what, style=style),
                *(Text(f"{number:,}") for number in numbers),
            ]
        )
    heads = ("scenario", "mode", "", "reference", "tree", "only reference", "only tree")
    result.append_text(table(heads, rows, frozenset(heads[3:])))
    for pair in pairs:
        for side in (pair.left, pair.right):
            if side.stopped is not None:
                result.append(f"{side.spec.mode}: incomplete: {side.stopped}\n", style="yellow")
    different = next((pair for pair in pairs if pair.complete and not pair.same), None)
    if different is not None:
        for side in (different.left, different.right):
            if side.trace is not None:
                result.append("\n").append_text(trace_text(side.trace))
    return result


def conform_json(pairs: Sequence[Conformity]) -> dict[str, Any]:
    """The result of ``pmaplab conform`` as JSON."""

    def side_json(side: Side) -> dict[str, Any]:
        return {
            "states": side.states,
            "at_rest": side.at_rest,
            "only_here": side.alone,
            "stopped": side.stopped,
            "differs": [
                {"cell": name, "here": here, "there": there} for name, here, there in side.differs
            ],
            "trace": [] if side.trace is None else [step_to_json(s) for s in side.trace.steps],
        }

    return {
        "results": [
            {
                "scenario": pair.left.spec.scenario,
                "mode": pair.left.spec.mode,
                "outcome": outcome(pair),
                "reference": side_json(pair.left),
                "tree": side_json(pair.right),
            }
            for pair in pairs
        ]
    }
