"""A measured review: for people, and as JSON."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from pmaplab.report.listing import trace_text
from pmaplab.report.tables import plain
from pmaplab.report.verdict import counted
from pmaplab.reviews.measure import SEARCHES, SYSCTL, Measured, ModeResult, Outcome, Value
from pmaplab.reviews.model import ALL

_STYLE = {"holds": "green", "violated": "red", "incomplete": "yellow", "vacuous": "yellow"}
# Wide enough for six modes beside the proposals.
_WIDTH = 132


def review_json(outcome: Outcome) -> dict[str, Any]:
    """The result as docs/json.md describes it."""
    return {
        "review": outcome.review.id,
        "title": outcome.review.title,
        "cpus": outcome.cpus,
        "maxcpu": outcome.maxcpu,
        "notes": list(outcome.notes),
        "searches": {
            name: {"cpus": bounds.cpus, "operations": bounds.operations}
            for name, bounds in SEARCHES.items()
        },
        "proposals": [
            {
                "id": proposal.id,
                "title": proposal.title,
                "where": proposal.where,
                "modes": {
                    mode: _mode_json(result)
                    for mode, result in outcome.results[proposal.id].items()
                },
                "claims": [_claim_json(m) for m in outcome.claims[proposal.id]],
            }
            for proposal in outcome.proposals
        ],
    }


def _mode_json(result: ModeResult) -> dict[str, Any]:
    first = result.first
    return {
        "verdict": result.verdict,
        "property": None if first is None else first[1].property,
        "steps": None if first is None else first[1].steps,
        "scenario": None if first is None else first[0],
        "states": {name: searched.states for name, searched in result.searches.items()},
        "properties": {
            name: {"verdict": verdict, "steps": steps}
            for name, (verdict, steps) in result.properties.items()
        },
        "sysctl": result.sysctl,
    }


def _claim_json(measured: Measured) -> dict[str, Any]:
    return {
        "text": measured.claim.text,
        "kind": measured.claim.kind,
        "modes": list(measured.expected),
        "expected": _uniform(measured.expected),
        "measured": _uniform(measured.measured),
        "agrees": measured.agrees,
    }


def _uniform(values: dict[str, Value]) -> Value | dict[str, Value]:
    """One value where all modes have the same, else the values by mode."""
    first = next(iter(values.values()))
    return first if all(value == first for value in values.values()) else values


def review_text(outcome: Outcome, *, traces: bool) -> Text:
    """The tables, and with ``traces`` a shortest counterexample a proposal."""
    review = outcome.review
    searches = ", ".join(
        f"{name} ({counted(bounds.operations or 0, 'operation')} a CPU)"
        for name, bounds in SEARCHES.items()
    )
    head = Text()
    head.append(f"FreeBSD review {review.id}: {review.title}\n\n", style="bold")
    head.append(
        "in each cell, above: holds, or the property that is violated with the steps of its "
        f"shortest counterexample\n(scenarios {searches} together, 2 CPUs, sc);\n"
        f"below: {SYSCTL} after a boot with {outcome.cpus} CPUs, MAXCPU {outcome.maxcpu}, "
        "every CPU having switched threads\n"
    )
    for note in outcome.notes:
        head.append(f"{note}\n", style="yellow")
    result = head.append_text(plain(Group(_verdicts(outcome), "", _claims(outcome)), _WIDTH))
    if traces:
        for proposal in outcome.proposals:
            if proposal.id in outcome.traces:
                result.append("\n").append_text(trace_text(outcome.traces[proposal.id]))
    return result


def _verdicts(outcome: Outcome) -> Table:
    modes = list(next(iter(outcome.results.values())))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_lines=False)
    table.add_column("proposal", no_wrap=True)
    for mode in modes:
        table.add_column(mode, no_wrap=True)
    for proposal in outcome.proposals:
        results = outcome.results[proposal.id]
        table.add_row(proposal.id, *(_cell(results[mode]) for mode in modes))
    return table


def _cell(result: ModeResult) -> Text:
    """The verdict with the property and its steps, above the figure."""
    count = result.sysctl[SYSCTL]
    text = Text(result.verdict, style=_STYLE[result.verdict])
    if result.first is not None:
        violation = result.first[1]
        text = Text(f"{violation.property} {violation.steps}", style=_STYLE["violated"])
    return text.append(f"\n{'panic' if count is None else count}", style="default")


def _claims(outcome: Outcome) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("proposal", "claim", "kind", "modes", "expected", "measured", ""):
        table.add_column(name, overflow="fold")
    for proposal in outcome.proposals:
        for number, measured in enumerate(outcome.claims[proposal.id]):
            agrees = measured.agrees
            table.add_row(
                proposal.id if number == 0 else "",
                measured.claim.text,
                measured.claim.kind,
                _modes(measured.expected),
                _values(measured.expected),
                _values(measured.measured),
                Text("agrees" if agrees else "DIFFERS", style="green" if agrees else "bold red"),
            )
    return table


def _modes(values: dict[str, Value]) -> str:
    if len(values) == len(ALL):
        return "all"
    kinds = {mode.split("+")[0] for mode in values}
    return ", ".join(sorted(kinds))


def _values(values: dict[str, Value]) -> str:
    value = _uniform(values)
    if isinstance(value, dict):
        return ", ".join(f"{mode}: {_shown(inner)}" for mode, inner in value.items())
    return _shown(value)


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "reached" if value else "not reached"
    return "panic" if value is None else str(value)
