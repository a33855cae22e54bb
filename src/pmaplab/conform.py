"""Whether two kernels reach the same states at rest.

What is compared are the registers and records that both have: %cr3, curpmap, the
sets of CPUs; with PCIDs, who owns which and the counters; with PTI, kcr3 and
ucr3.  Sets are compared up to MAXCPU.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pmaplab.errors import ModelError
from pmaplab.ir.layout import Layout
from pmaplab.native.asking import NotNative
from pmaplab.native.build import NoCompiler
from pmaplab.native.choose import DEFAULT_ENGINE, NATIVE, PYTHON, Engine, not_native
from pmaplab.native.codegen import Unsupported
from pmaplab.native.engine import RestCells, search_natively
from pmaplab.search.bfs import search
from pmaplab.search.interpreter import State
from pmaplab.search.result import Limits, Progress, Rest
from pmaplab.spec import RunSpec, showing_source
from pmaplab.system import System
from pmaplab.trace.record import Failed, Recorder, Trace
from pmaplab.trace.values import Values

_ALWAYS = r"cpus\[\d+\]\.cr3|__pcpu\[\d+\]\.curpmap|.*\.pm_active\.__bits\[\d+\]"
_PCID = r"|.*\.pm_pcids\[\d+\]\.pm_(pcid|gen)|__pcpu\[\d+\]\.pcid_(gen|next)"
_PTI = r"|__pcpu\[\d+\]\.[ku]cr3"
_WORD = re.compile(r"\.__bits\[(\d+)\]$")

At = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """One kernel: how many states at rest it reaches, how many of them the other
    one does not, and the way to the first of these.

    ``differs`` are the cells in which that state differs from the nearest state
    of the other kernel: name, value here, value there.
    """

    spec: RunSpec
    states: int
    at_rest: int
    alone: int
    trace: Trace | None
    differs: tuple[tuple[str, str, str], ...]
    stopped: str | None


@dataclass(frozen=True, slots=True)
class Conformity:
    """The two kernels of one scenario and mode."""

    left: Side
    right: Side

    @property
    def same(self) -> bool:
        return self.left.alone == 0 and self.right.alone == 0

    @property
    def complete(self) -> bool:
        return self.left.stopped is None and self.right.stopped is None


@dataclass
class _Found:
    spec: RunSpec
    system: System
    names: tuple[str, ...]
    rest: Rest[At]
    states: int
    stopped: str | None


def conform(
    left: RunSpec,
    right: RunSpec,
    limits: Limits,
    progress: Progress | None = None,
    engine: Engine = DEFAULT_ENGINE,
) -> Conformity:
    """Compare two systems of one scenario, mode and bounds.

    Raises UsageError where the native engine is asked for and cannot do it, and a
    PmaplabError for whatever is wrong with what the specs name.
    """
    found = [_reach(spec, limits, progress, engine) for spec in (left, right)]
    if found[0].names != found[1].names:
        odd = set(found[0].names) ^ set(found[1].names)
        raise ModelError(f"the two kernels do not record the same: {min(odd)}")
    return Conformity(_side(found[0], found[1]), _side(found[1], found[0]))


def _reach(spec: RunSpec, limits: Limits, progress: Progress | None, engine: Engine) -> _Found:
    system = spec.build()
    names, asked = _projection(spec, system)

    def project(memory: State) -> At:
        return asked.shown([int(memory[cell]) & mask for cell, mask in asked.cells])

    result = None
    with showing_source(system):
        if engine.name != PYTHON:
            try:
                result = search_natively(
                    system, limits=limits, progress=progress, threads=engine.threads, rest=asked
                )
            except (NoCompiler, NotNative, Unsupported) as error:
                if engine.name == NATIVE:
                    raise not_native(error) from None
        if result is None:
            result = search(system, limits=limits, progress=progress, rest=project)
    if result.rest is None:
        raise ModelError(f"nothing is compared: {result.stopped}")
    return _Found(spec, system, names, result.rest, result.states, result.stopped)


def _projection(spec: RunSpec, system: System) -> tuple[tuple[str, ...], RestCells[At]]:
    """The names of the cells that are compared, and what shows their values."""
    layout = Layout(system.program)
    values = Values(layout, spec.features.pcid)
    pattern = _ALWAYS
    pattern += _PCID if spec.features.pcid else ""
    pattern += _PTI if spec.features.pti else ""
    wanted = re.compile(pattern)
    cells = sorted(
        (cell for cell in layout.cells if wanted.fullmatch(cell.name)), key=lambda cell: cell.name
    )
    masks = []
    for cell in cells:
        word = _WORD.search(cell.name)
        left = spec.bounds.maxcpu - 64 * int(word[1]) if word else 64
        masks.append((1 << min(left, 64)) - 1 if left > 0 else 0)

    def shown(row: Sequence[int]) -> At:
        pairs = zip(cells, row, strict=True)
        return tuple(values.value(cell, value) for cell, value in pairs)

    indices = [cell.index for cell in cells]
    asked = RestCells(tuple(zip(indices, masks, strict=True)), shown)
    return tuple(values.name(cell) for cell in cells), asked


def _side(own: _Found, other: _Found) -> Side:
    alone = [state for state in own.rest.first if state not in other.rest.first]
    trace: Trace | None = None
    differs: tuple[tuple[str, str, str], ...] = ()
    if alone:
        state = min(alone, key=lambda each: own.rest.first[each])
        differs = _differences(own.names, state, other)
        trace = _trace(own, state, other, differs)
    return Side(own.spec, own.states, len(own.rest.first), len(alone), trace, differs, own.stopped)


def _differences(
    names: tuple[str, ...], state: At, other: _Found
) -> tuple[tuple[str, str, str], ...]:
    """Against the state of the other kernel that is the most like it."""

    def distance(candidate: At) -> int:
        return sum(a != b for a, b in zip(state, candidate, strict=True))

    if not other.rest.first:
        return tuple(
            (name, value, "never at rest") for name, value in zip(names, state, strict=True)
        )
    nearest = min(other.rest.first, key=distance)
    pairs = zip(names, state, nearest, strict=True)
    return tuple((name, here, there) for name, here, there in pairs if here != there)


def _trace(
    own: _Found, state: At, other: _Found, differs: tuple[tuple[str, str, str], ...]
) -> Trace:
    recorder = Recorder(own.spec, own.system)
    for agent, choices in own.rest.path(own.rest.first[state]):
        taken = recorder.take(agent, choices)
        assert taken, "the search and the traced interpreter differ"
    entry = own.system.program.functions[own.system.program.agents[0].entry]
    where = ", ".join(f"{name} is {there} there" for name, _, there in differs)
    message = f"{other.spec.kernel_name} never rests in this state; in the nearest, {where}"
    last = recorder.steps[-1]
    source = own.system.sources.get(entry.loc.file)
    failed = Failed(
        "conform",
        message,
        last.cpu,
        entry.name,
        entry.loc,
        source.line(entry.loc.line) if source else "",
    )
    shown = tuple((name, here) for name, here, _ in differs)
    watched = frozenset(name for name, _ in shown)
    return Trace(
        own.spec, "conform", failed, recorder.prefix, tuple(recorder.steps), shown, watched
    )
