"""The matrix of twins: for people, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from pmaplab.report.listing import trace_text
from pmaplab.report.tables import plain
from pmaplab.report.verdict import counted
from pmaplab.system import Bounds
from pmaplab.trace.record import Trace
from pmaplab.twins.data import PREEMPTED, SEARCHES, SOUND, STORE_BUFFER, Twin
from pmaplab.twins.measure import Cell, Found

_STYLE = {"holds": "green", "violated": "red", "incomplete": "yellow", "vacuous": "yellow"}
# More than six modes beside the twins need.
_WIDTH = 200
_PREEMPTED = ", preempted"


def exit_status(found: Sequence[Found]) -> int:
    """0 when all agree with what is expected, 1 when one does not, else 3."""
    agreements = {each.agreement for each in found}
    if "differs" in agreements:
        return 1
    return 3 if "undecided" in agreements else 0


def twins_json(found: Sequence[Found]) -> dict[str, Any]:
    """The result as docs/json.md describes it."""
    return {
        "kernel": SOUND,
        "searches": {
            name: {**asdict(bounds), "store_buffer": STORE_BUFFER}
            for name, bounds in _searches().items()
        },
        "cells": [_cell_json(each) for each in found],
    }


def _cell_json(found: Found) -> dict[str, Any]:
    cell = found.cell
    return {
        "twin": cell.twin.id,
        "title": cell.twin.title,
        "scenario": cell.twin.scenario,
        "search": _search(cell.twin),
        "mode": cell.mode,
        "memory": cell.memory,
        "expected": cell.expected,
        "verdict": found.verdict,
        "property": found.property,
        "steps": found.steps,
        "prefix": found.before,
        "states": found.states,
        "complete": found.complete,
        "stopped": found.stopped,
        "unreached": list(found.unreached),
        "agreement": found.agreement,
    }


def twins_text(found: Sequence[Found], traces: Sequence[Trace]) -> Text:
    """The matrix, what does not agree, and the traces."""
    result = Text()
    result.append(f"Twins of the kernel {SOUND}, each with one change\n\n", style="bold")
    result.append(
        "in each cell: the property that is violated, with the steps of its shortest "
        "counterexample behind the bring-up,\nor holds, with the number of states; "
        "! before what is not as it must be\n"
    )
    for name, bounds in _searches().items():
        result.append(
            f"{name}: {bounds.cpus} CPUs, {counted(bounds.operations or 0, 'operation')} a CPU, "
            f"user processes: {bounds.processes}, kernel processes: {bounds.kernel_processes}"
        )
        preempted = f", {counted(bounds.preemptions, 'preemption')}" if bounds.preemptions else ""
        result.append(f"{preempted}\n")
    result.append(f"tso: a store buffer has {STORE_BUFFER} entry\n")
    result.append_text(plain(_matrix(found), _WIDTH))
    wrong = [each for each in found if each.agreement != "agrees"]
    for each in wrong:
        style = "bold red" if each.agreement == "differs" else "yellow"
        result.append(f"{each.agreement}: ", style=style)
        result.append(f"{each.cell}: expected {_expected(each.cell)}, found {_words(each)}\n")
    result.append(f"{len(found) - len(wrong)} of {len(found)} cells are as they must be\n")
    for trace in traces:
        result.append("\n").append_text(trace_text(trace))
    return result


def _searches() -> dict[str, Bounds]:
    return SEARCHES | {f"{name}{_PREEMPTED}": bounds for name, bounds in PREEMPTED.items()}


def _search(twin: Twin) -> str:
    """What the bounds of a twin are called."""
    return f"{twin.scenario}{_PREEMPTED if twin.preempted else ''}"


def _matrix(found: Sequence[Found]) -> Table:
    modes = list(dict.fromkeys(each.cell.mode for each in found))
    rows: dict[tuple[str, str, str], dict[str, Found]] = {}
    for each in found:
        twin = each.cell.twin
        rows.setdefault((twin.id, _search(twin), each.cell.memory), {})[each.cell.mode] = each
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("twin", "scenario", "", *modes):
        table.add_column(name, no_wrap=True)
    shown: str | None = None
    for (twin_id, scenario, memory), cells in rows.items():
        head = (twin_id, scenario) if twin_id != shown else ("", "")
        table.add_row(*head, memory, *(_cell(cells[mode]) for mode in modes))
        shown = twin_id
    return table


def _cell(found: Found) -> Text:
    mark = "" if found.agreement == "agrees" else "! "
    if found.steps is not None:
        text = f"{mark}{found.property} {found.steps - found.before}"
    else:
        text = f"{mark}{found.verdict} {found.states}"
    return Text(text, style=_STYLE[found.verdict])


def _expected(cell: Cell) -> str:
    return "holds" if cell.expected is None else f"{cell.expected} violated"


def _words(found: Found) -> str:
    text = found.verdict if found.property is None else f"{found.property} violated"
    if found.stopped is not None:
        return f"{text} ({found.stopped})"
    if found.unreached:
        return f"{text} (never: {', '.join(found.unreached)})"
    return text
