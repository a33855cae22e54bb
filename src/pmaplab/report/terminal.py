"""Results for a terminal, or for a log: plain lines, colour where it helps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.text import Text

from pmaplab.pcids import PCIDS
from pmaplab.report.accepted import Acceptance
from pmaplab.report.verdict import ACCEPTED, HOLDS, VIOLATED, Judged, Verdict, counted
from pmaplab.search.reductions import PARTIAL_ORDER, SYMMETRY
from pmaplab.search.simulate import Run
from pmaplab.system import Bounds

STYLES = {HOLDS: "green", VIOLATED: "bold red"}
_CAUTION = "yellow"
_HEADS = ("mode", "verdict", "states", "transitions", "depth", "time", "counterexamples")


def table(heads: Sequence[str], rows: Sequence[Sequence[Text]], right: frozenset[str]) -> Text:
    """Columns as wide as they need to be; ``right`` names those of numbers."""
    lines = [[Text(head, style="bold") for head in heads], *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    result = Text()
    for line in lines:
        text = Text()
        for head, width, cell in zip(heads, widths, line, strict=True):
            padding = " " * (width - len(cell))
            text.append_text(Text(padding) + cell if head in right else cell + Text(padding))
            text.append("  ")
        text.rstrip()
        result.append_text(text).append("\n")
    return result


def check_text(verdicts: Sequence[Verdict], stale: Sequence[Acceptance] = ()) -> Text:
    """The table of verdicts, what they rest on, and what was not reached; ``stale``
    are entries of accepted findings that accepted nothing."""
    spec = verdicts[0].spec
    result = Text(f"{spec.kernel_name}, scenario {spec.scenario}: {bounds_text(spec.bounds)}\n\n")
    rows = [_row(verdict) for verdict in verdicts]
    right = frozenset({"states", "transitions", "depth", "time"})
    result.append_text(table(_HEADS, rows, right)).append("\n")
    for verdict in verdicts:
        where = f"{verdict.spec.mode}: "
        if verdict.stopped is not None:
            result.append(f"{where}incomplete: {verdict.stopped}\n", style=_CAUTION)
        if verdict.note is not None:
            result.append(f"{where}{verdict.note}\n", style=_CAUTION)
        for text in reduction_texts(verdict):
            result.append(f"{where}{text}\n")
        for text in verdict.broken_facts:
            result.append(f"{where}{text}\n")
        if verdict.looked_at is not None:
            result.append(f"{where}searched again without {PCIDS}: {verdict.looked_at}\n")
        for label in verdict.unreached if verdict.stopped is None else ():
            result.append(f'{where}never reached: "{label}"\n', style=_CAUTION)
    modes = [verdict.spec.mode for verdict in verdicts]
    reduced = [verdict.reductions for verdict in verdicts]
    result.append_text(_common("reduced by", modes, reduced))
    known = [[*accepted_lines(verdict)] for verdict in verdicts]
    result.append_text(_common("accepted", modes, known)).append_text(stale_text(stale))
    result.append_text(_common("assumed", modes, [verdict.assumptions for verdict in verdicts]))
    used = [[f"{e.function}: {e.reason}" for e in verdict.exemptions] for verdict in verdicts]
    result.append_text(_common("exempt", modes, used))
    return result


def reduction_texts(verdict: Verdict) -> list[str]:
    """What the search left out, in words."""
    result = []
    if PARTIAL_ORDER in verdict.reductions:
        result.append(f"{PARTIAL_ORDER}: {verdict.passed:,} times a state was passed and not kept")
    if verdict.searched_again:
        result.append("searched again without what reduces searches, since something fails")
    if SYMMETRY in verdict.reductions:
        result.append(
            f"{SYMMETRY} of {' and '.join(verdict.symmetries)}: "
            f"{verdict.images:,} images of states were not kept"
        )
    result += [
        f"no {SYMMETRY} of {told.kind}: {told.function or told.cell} tells them apart "
        f"({told.loc.file}:{told.loc.line})"
        for told in verdict.told_apart
    ]
    for saved in verdict.savings:
        more = "" if saved.stopped is None else f" and more: {saved.stopped}"
        times = saved.states / max(1, verdict.states)
        result.append(
            f"without {saved.reduction}: {saved.states:,} states{more}, {times:.2f} times as many"
        )
    return result


def operations_text(operations: int | None) -> str:
    """How many there are of each CPU."""
    number = "unbounded operations" if operations is None else counted(operations, "operation")
    return f"{number} per CPU"


def bounds_text(bounds: Bounds) -> str:
    """The bounds in words."""
    parts = [
        counted(bounds.cpus, "CPU"),
        f"MAXCPU {bounds.maxcpu}",
        f"{bounds.processes} user and {bounds.kernel_processes} kernel processes",
        operations_text(bounds.operations),
    ]
    if bounds.pcids is not None:
        parts.append(counted(bounds.pcids, "PCID"))
    if bounds.pages:
        parts.append(counted(bounds.pages, "page"))
    if bounds.preemptions:
        parts.append(counted(bounds.preemptions, "preemption"))
    if bounds.store_buffer is not None:
        parts.append(f"store buffers of {bounds.store_buffer}")
    return ", ".join(parts)


def accepted_lines(verdict: Verdict) -> list[str]:
    """What of a verdict is accepted, why, and what is known beyond it."""
    result = []
    for judged in verdict.properties:
        known = judged.accepted
        if known is None:
            continue
        if known.states is None:
            more = f"otherwise unchecked: {known.unchecked}"
        elif judged.verdict == VIOLATED:
            more = "but it is violated in another way as well"
        elif known.unchecked is not None:
            more = f"no other step makes it fail in {known.states:,} states, but {known.unchecked}"
        else:
            more = f"no other step makes it fail, in all {known.states:,} states"
        where = ", ".join(f"{function} ({file})" for function, file in known.places)
        entry = f"{known.entry.quoted()} [{known.entry.place}]"
        result.append(f"{judged.name}: {entry}; its last step begins in {where}; {more}")
    return result


def stale_text(stale: Sequence[Acceptance]) -> Text:
    """The entries of accepted findings that accepted nothing."""
    result = Text()
    for entry in stale:
        what = f"{entry.about}, which is accepted there, was not found so"
        result.append(f"{entry.place}: stale: {what}\n", style=_CAUTION)
    return result


def _row(verdict: Verdict) -> list[Text]:
    numbers = (f"{n:,}" for n in (verdict.states, verdict.transitions, verdict.depth))
    return [
        Text(verdict.spec.mode),
        Text(verdict.verdict, style=STYLES.get(verdict.verdict, _CAUTION)),
        *map(Text, numbers),
        Text(f"{verdict.seconds:.1f} s"),
        Text(", ".join(filter(None, map(_counterexample, verdict.properties)))),
    ]


def _counterexample(judged: Judged) -> str:
    if judged.trace is None:
        return judged.name if judged.verdict == VIOLATED else ""
    known = ", accepted" if judged.verdict == ACCEPTED else ""
    return f"{judged.name} ({len(judged.trace.steps)} steps{known})"


def _common(head: str, modes: Sequence[str], items: Sequence[Iterable[str]]) -> Text:
    """The items of each mode in one list; one of only some of them says of which."""
    found: dict[str, list[str]] = {}
    for mode, own in zip(modes, items, strict=True):
        for item in own:
            found.setdefault(item, []).append(mode)
    result = Text()
    for item, where in found.items():
        only = "" if len(where) == len(modes) else f" [{', '.join(where)}]"
        result.append(f"{head}: ", style="dim").append(f"{item}{only}\n")
    return result


def boot_text(run: Run, nodes: Sequence[str]) -> Text:
    """The console, the panic if there was one, and the sysctl nodes."""
    result = Text()
    for line in run.console:
        result.append(f"{line}\n")
    failure = run.failure
    if failure is not None:
        what = failure.message
        if failure.kind not in ("KASSERT", "MPASS", "panic", "progress"):
            what = f"{failure.kind}: {what}"
        head = "hang" if failure.kind == "progress" else "panic"
        result.append(f"{head}: {what}\n", style="bold red")
        result.append(f"cpuid = {run.cpu}\n{failure.function}() at {failure.loc}\n")
        source = run.system.line(failure.loc.file, failure.loc.line)
        if source:
            result.append(f"    {source}\n")
    for name in nodes:
        result.append(f"{name}: {run.sysctl(name)}\n")
    return result
