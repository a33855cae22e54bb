"""A trace as a listing: who does what, where, and what it changes.

The listing ends with what fails.  Of a long trace the early steps are
summed up, except for those that change what the property reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from pmaplab.errors import caret
from pmaplab.ir.nodes import STORE_BUFFER, THREAD
from pmaplab.machine.modes import TSO
from pmaplab.search.result import ASSERTIONS
from pmaplab.trace.record import Change, Trace, TraceStep

# So many steps at the end are always shown.
TAIL = 24
# Fewer steps than this are not worth summing up.
LEAST_FOLD = 3
# How the contexts are called that are no interrupts.
_CONTEXTS = {THREAD: "", STORE_BUFFER: f", {STORE_BUFFER}"}
# Below which all the kernel's files lie.
_KERNEL = "pmaplab/kernels/freebsd/"


@dataclass(frozen=True, slots=True)
class _Row:
    """Consecutive steps at one line; steps count from 1."""

    first: int
    last: int
    step: TraceStep
    changes: tuple[Change, ...]

    @property
    def numbers(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    @property
    def place(self) -> str:
        return f"{self.step.file.removeprefix(_KERNEL)}:{self.step.line}"


def trace_text(trace: Trace, *, full: bool = False) -> Text:
    """The listing of ``trace``; ``full`` shows every step."""
    spec, count = trace.spec, len(trace.steps)
    result = Text()
    result.append(f"counterexample to {trace.property}", style="bold red")
    mode = spec.mode if spec.bounds.store_buffer is None else f"{spec.mode}, {TSO}"
    result.append(f": {spec.kernel_name}, scenario {spec.scenario}, {mode}, {count} steps\n")
    rows = list(_rows(trace.steps, trace.prefix))
    shown = [full or _worth(row, trace) for row in rows]
    _unfold(rows, shown)
    visible = [row for row, is_shown in zip(rows, shown, strict=True) if is_shown]
    widths = (
        max((len(row.numbers) for row in rows), default=0),
        max((len(row.step.function) for row in visible), default=0),
        max((len(row.place) for row in visible), default=0),
    )
    owner: tuple[int, str] | None = None
    folded: list[_Row] = []
    for row, is_shown in zip(rows, shown, strict=True):
        here = (row.step.cpu, row.step.context)
        begins = trace.prefix > 0 and row.first == trace.prefix + 1
        if folded and (is_shown or here != owner or begins):
            result.append_text(_fold(folded))
            folded = []
        if begins:
            result.append(f"\n-- bring-up is over after step {trace.prefix} --\n", style="dim")
        if here != owner or begins:
            owner = here
            context = _CONTEXTS.get(row.step.context, f", {row.step.context} context")
            result.append(f"\nCPU {row.step.cpu}{context}\n", style="bold cyan")
        if is_shown:
            result.append_text(_line(row, widths, trace.watched))
        else:
            folded.append(row)
    if folded:
        result.append_text(_fold(folded))
    return result.append("\n").append_text(failed_text(trace))


def _rows(steps: Sequence[TraceStep], prefix: int) -> Iterator[_Row]:
    """Steps that follow each other at one place, together."""
    start = 0
    for index in range(1, len(steps) + 1):
        if index < len(steps) and index != prefix and _same_place(steps[start], steps[index]):
            continue
        changes: dict[str, Change] = {}
        for step in steps[start:index]:
            for change in step.changes:
                old = changes[change.cell].old if change.cell in changes else change.old
                changes[change.cell] = Change(change.cell, old, change.new)
        yield _Row(start + 1, index, steps[start], tuple(changes.values()))
        start = index


def _same_place(left: TraceStep, right: TraceStep) -> bool:
    return (left.cpu, left.context, left.function, left.file, left.line) == (
        right.cpu,
        right.context,
        right.function,
        right.file,
        right.line,
    )


def _worth(row: _Row, trace: Trace) -> bool:
    late = row.last > len(trace.steps) - TAIL
    return late or any(change.cell in trace.watched for change in row.changes)


def _unfold(rows: list[_Row], shown: list[bool]) -> None:
    """Show what is too short to be summed up."""
    start = 0
    while start < len(rows):
        end = start
        while end < len(rows) and not shown[end] and rows[end].step.cpu == rows[start].step.cpu:
            end += 1
        if end > start and rows[end - 1].last - rows[start].first + 1 < LEAST_FOLD:
            shown[start:end] = [True] * (end - start)
        start = max(end, start + 1)


def _fold(rows: list[_Row]) -> Text:
    functions = ", ".join(dict.fromkeys(row.step.function for row in rows))
    numbers = f"{rows[0].first}-{rows[-1].last}"
    return Text(f"  {numbers}  ... {functions}\n", style="dim")


def _line(row: _Row, widths: tuple[int, int, int], watched: frozenset[str]) -> Text:
    numbers, function, place = widths
    result = Text()
    result.append(f"  {row.numbers:>{numbers}}  ", style="dim")
    result.append(f"{row.step.function:{function}}  ")
    result.append(f"{row.place:{place}}  ", style="dim")
    result.append(f"{row.step.text}\n")
    indent = " " * (2 + numbers + 6)
    for change in row.changes:
        style = "yellow" if change.cell in watched else ""
        result.append(f"{indent}{change.cell}: {change.old} -> {change.new}\n", style=style)
    return result


def failed_text(trace: Trace) -> Text:
    """What fails at the end, where, and what the CPU then records."""
    failed = trace.failed
    when = "in" if trace.property == ASSERTIONS else "after"
    result = Text()
    result.append(
        f"{when} step {len(trace.steps)}, {trace.property} fails on CPU {failed.cpu}\n",
        style="bold red",
    )
    result.append(f"{failed.location}: {failed.message}\n")
    if failed.text:
        result.append(f"{caret(failed.location, failed.text)}\n")
    for cell, value in trace.state:
        result.append(f"    {cell} = {value}\n")
    return result
