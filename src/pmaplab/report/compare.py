"""A tree before and after a patch, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.text import Text

from pmaplab.report.accepted import Acceptance
from pmaplab.report.jsonout import accepted_json
from pmaplab.report.listing import trace_text
from pmaplab.report.terminal import STYLES, accepted_lines, bounds_text, stale_text, table
from pmaplab.report.verdict import ACCEPTED, VIOLATED, Judged, Verdict
from pmaplab.tree import TreeSpec

FIXED, BROKEN, SAME = "fixed", "broken", ""


@dataclass(frozen=True)
class Comparison:
    """``pairs`` hold the verdicts before and after, by scenario and mode."""

    before: TreeSpec
    after: TreeSpec
    pairs: tuple[tuple[Verdict, Verdict], ...]
    stale: tuple[Acceptance, ...] = ()

    @property
    def broken(self) -> bool:
        """Whether something is violated after that was not before."""
        return any(change(a, b) == BROKEN for pair in self.pairs for _, a, b in properties(*pair))


def properties(before: Verdict, after: Verdict) -> list[tuple[str, Judged, Judged]]:
    """Each property with its two verdicts."""
    other = {judged.name: judged for judged in after.properties}
    return [(one.name, one, other[one.name]) for one in before.properties if one.name in other]


def change(before: Judged, after: Judged) -> str:
    """What the patch does to a property."""
    if before.verdict in (VIOLATED, ACCEPTED) and after.verdict not in (VIOLATED, ACCEPTED):
        return FIXED
    if before.verdict != VIOLATED and after.verdict == VIOLATED:
        return BROKEN
    return SAME


def compare_text(comparison: Comparison) -> Text:
    """The result of ``pmaplab compare``."""
    first = comparison.pairs[0][0]
    result = Text(f"{first.spec.kernel_name}, before and after ")
    result.append(f"{', '.join(comparison.after.patches)}: {bounds_text(first.spec.bounds)}\n\n")
    rows = []
    for before, after in comparison.pairs:
        found = properties(before, after)
        rows.append(
            [
                Text(before.spec.scenario),
                Text(before.spec.mode),
                _verdict(before),
                _verdict(after),
                _names(found, FIXED),
                _names(found, BROKEN),
            ]
        )
    heads = ("scenario", "mode", "before", "after", "fixes", "breaks")
    result.append_text(table(heads, rows, frozenset()))
    for number, when in enumerate(("before", "after")):
        verdicts = [pair[number] for pair in comparison.pairs]
        lines = dict.fromkeys(line for verdict in verdicts for line in accepted_lines(verdict))
        for line in lines:
            result.append(f"accepted {when}: ", style="dim").append(f"{line}\n")
    result.append_text(stale_text(comparison.stale))
    for before, after in comparison.pairs:
        for name, one, other in properties(before, after):
            if change(one, other) == BROKEN and other.trace is not None:
                result.append(f"\nwhat the patch breaks first ({name}):\n\n", style="bold")
                return result.append_text(trace_text(other.trace, full=False))
    return result


def _verdict(verdict: Verdict) -> Text:
    text = Text(verdict.verdict, style=STYLES.get(verdict.verdict, "yellow"))
    names = [f"{j.name} ({len(j.trace.steps)})" for j in verdict.properties if j.trace is not None]
    return text.append(f" {', '.join(names)}" if names else "", style="default")


def _names(found: list[tuple[str, Judged, Judged]], wanted: str) -> Text:
    names = [name for name, one, other in found if change(one, other) == wanted]
    return Text(", ".join(names), style="green" if wanted == FIXED else "bold red")


def compare_json(comparison: Comparison) -> dict[str, Any]:
    """The result of ``pmaplab compare`` as JSON."""

    def side(verdict: Verdict) -> dict[str, Any]:
        return {
            "verdict": verdict.verdict,
            "states": verdict.states,
            "transitions": verdict.transitions,
            "depth": verdict.depth,
            "properties": {
                judged.name: {
                    "verdict": judged.verdict,
                    "steps": None if judged.trace is None else len(judged.trace.steps),
                    "accepted": accepted_json(judged),
                }
                for judged in verdict.properties
            },
        }

    return {
        "tree": comparison.before.folder,
        "patches": list(comparison.after.patches),
        "stale_accepted": [entry.to_json() for entry in comparison.stale],
        "results": [
            {
                "scenario": before.spec.scenario,
                "mode": before.spec.mode,
                "before": side(before),
                "after": side(after),
                "fixes": [n for n, a, b in properties(before, after) if change(a, b) == FIXED],
                "breaks": [n for n, a, b in properties(before, after) if change(a, b) == BROKEN],
            }
            for before, after in comparison.pairs
        ],
    }
