"""The same systems in every engine and model checker that is there, in turn."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pmaplab.bench.limit import cores, inserts_per_second
from pmaplab.bench.peers import (
    HOLDS,
    INCOMPLETE,
    RUMUR,
    SPIN,
    TIMEOUT,
    VIOLATED,
    Found,
    PeerError,
    missing,
    run_rumur,
    run_spin,
)
from pmaplab.errors import ModelError, UsageError
from pmaplab.exports.files import steps_of
from pmaplab.exports.header import About
from pmaplab.exports.murphi import murphi
from pmaplab.exports.promela import promela
from pmaplab.exports.steps import StepSystem
from pmaplab.native.asking import NotNative
from pmaplab.native.build import NoCompiler
from pmaplab.native.codegen import Unsupported
from pmaplab.native.engine import search_natively
from pmaplab.search.bfs import search
from pmaplab.search.reductions import NO_REDUCTIONS, parse_reductions
from pmaplab.search.result import PROGRESS
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds, System, default_bounds

PYTHON, NATIVE, NATIVE_REDUCED = "python", "native", "native-reduced"
SPIN_REDUCED = "spin-reduced"
PEERS = ("spin", "spin-collapse", "spin-dfs-2", "spin-bfs", SPIN_REDUCED, "rumur")
_SPIN_FLAGS = {
    "spin": (),
    # As exact as without, and smaller.
    "spin-collapse": ("-DCOLLAPSE",),
    "spin-dfs-2": ("-DNCORE=2", "-DVMAX=4096"),
    "spin-bfs": ("-DBFS",),
    # With its partial order, which is left out of the others.
    SPIN_REDUCED: ("-UNOREDUCE",),
}
ENGINES = (PYTHON, NATIVE, NATIVE_REDUCED)
# These count fewer states.
REDUCED = (NATIVE_REDUCED, SPIN_REDUCED)

# Name, and what it is; small ones first.
SYSTEMS: dict[str, RunSpec] = {
    "boot-1": RunSpec(proposal="committed", bounds=Bounds(operations=1)),
    "boot-1-pcid": RunSpec(mode="pcid", proposal="repaired", bounds=Bounds(operations=1)),
    "switch-1": RunSpec(scenario="switch", proposal="committed", bounds=Bounds(operations=1)),
    "boot-2": RunSpec(proposal="committed"),
    "boot-2-pcid": RunSpec(mode="pcid", proposal="repaired"),
    "switch-3": RunSpec("switch", "pcid+pti", Bounds(operations=3), "repaired"),
    "switch-4": RunSpec("switch", "pcid+pti", Bounds(operations=4), "repaired"),
    "switch-5-nopcid": RunSpec("switch", "nopcid", Bounds(operations=5), "repaired"),
    "shootdown": RunSpec("shootdown", "nopcid", default_bounds("shootdown"), "repaired"),
}
_ALL = parse_reductions("all").search
DEFAULT_SYSTEMS = ("boot-1", "boot-2")


@dataclass
class Row:
    """One system: what each tool found, why others did not run, and what is
    wrong with the results."""

    name: str
    found: dict[str, Found] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    disagreements: list[str] = field(default_factory=list)

    @property
    def ours(self) -> Found | None:
        """What the fastest of the project's own engines found, without reductions."""
        return max(self._found(ENGINES, reduced=False), key=rate, default=None)

    @property
    def ratios(self) -> dict[str, float | None]:
        """How much better we are than the better peer; below 1 is worse.

        Transitions a second are those without reductions; to the verdict, each has
        what serves it best.
        """
        peers = self._found(PEERS, reduced=False)
        whole_ours, whole_peers = self._found(ENGINES), self._found(PEERS)
        speed = verdict = None
        if self.ours is not None and peers:
            speed = rate(self.ours) / max(map(rate, peers))
        if whole_ours and whole_peers:
            verdict = min(map(whole, whole_peers)) / min(map(whole, whole_ours))
        return {"transitions_per_s": speed, "to_verdict": verdict}

    def _found(self, names: Sequence[str], *, reduced: bool = True) -> list[Found]:
        return [
            self.found[name]
            for name in names
            if name in self.found and (reduced or name not in REDUCED)
        ]


@dataclass(frozen=True)
class Bench:
    """All measurements of one run, on one machine."""

    machine: str
    cores: int
    limit: float | None
    rows: tuple[Row, ...]

    @property
    def agrees(self) -> bool:
        return not any(row.disagreements for row in self.rows)


def rate(found: Found) -> float:
    """Transitions a second, in the search alone."""
    return found.transitions / max(found.seconds, 1e-9)


def whole(found: Found) -> float:
    """Seconds to the verdict, compilation included."""
    return max(found.seconds + found.compile_seconds, 1e-9)


def measure(
    names: Sequence[str],
    tools: Sequence[str],
    say: Callable[[str], None] = lambda _: None,
    timeout: float = TIMEOUT,
) -> Bench:
    """Run the systems ``names`` in ``tools``, one after the other, the model checkers
    among them for at most ``timeout`` seconds each.

    Raises UsageError for a name that is not among :data:`SYSTEMS`, or a tool
    that is no engine and no peer.
    """
    for name in names:
        if name not in SYSTEMS:
            raise UsageError(
                f"there is no system {name!r}", advice=f"the systems are {', '.join(SYSTEMS)}"
            )
    known = (*ENGINES, *PEERS)
    for tool in tools:
        if tool not in known:
            raise UsageError(
                f"there is no tool {tool!r}", advice=f"the tools are {', '.join(known)}"
            )
    with tempfile.TemporaryDirectory(prefix="pmaplab-bench-") as folder:
        say("the machine's limit")
        try:
            limit: float | None = inserts_per_second(Path(folder))
        except PeerError:
            limit = None
        rows = tuple(_row(name, tools, Path(folder), say, timeout) for name in names)
    return Bench(_machine(), cores(), limit, rows)


def _row(
    name: str, tools: Sequence[str], folder: Path, say: Callable[[str], None], timeout: float
) -> Row:
    row, spec = Row(name), SYSTEMS[name]
    system = spec.build()
    steps = steps_of(system)
    for tool in tools:
        say(f"{name}: {tool}")
        try:
            row.found[tool] = _run(tool, system, steps, folder, timeout)
        except (PeerError, ModelError) as error:
            row.absent[tool] = error.message
    row.disagreements = disagreements(row.found)
    return row


def disagreements(found: dict[str, Found]) -> list[str]:
    """Where verdicts differ, or numbers of complete searches.

    Rumur does not search on from a state in which an invariant fails, and
    neither tool counts exactly once something is violated and it stops there.  With
    reductions there are other numbers.
    """
    result: list[str] = []
    if not found:
        return result
    first, reference = next(iter(found.items()))
    for tool, other in found.items():
        if other.verdict != reference.verdict:
            result.append(f"{tool}: {other.verdict}, {first}: {reference.verdict}")
        if other.verdict != HOLDS or reference.verdict != HOLDS:
            continue
        if tool in REDUCED or first in REDUCED:
            continue
        for what in ("states", "transitions"):
            theirs, ours = getattr(other, what), getattr(reference, what)
            if theirs != ours:
                result.append(f"{tool}: {theirs} {what}, {first}: {ours}")
    return result


def _run(tool: str, system: System, steps: StepSystem, folder: Path, timeout: float) -> Found:
    if tool in ENGINES:
        return _engine(tool, system)
    absent = missing(RUMUR if tool == RUMUR else SPIN)
    if absent is not None:
        raise PeerError(absent)
    about = About("bench")
    if tool == RUMUR:
        return run_rumur(murphi(steps, about), folder, threads=cores(), timeout=timeout)
    return run_spin(promela(steps, about), folder, flags=_SPIN_FLAGS[tool], timeout=timeout)


def _engine(name: str, system: System) -> Found:
    """One of the project's own engines, by name."""
    started = time.monotonic()
    try:
        if name == PYTHON:
            result = search(system)
        else:
            result = search_natively(
                system, reductions=_ALL if name == NATIVE_REDUCED else NO_REDUCTIONS
            )
    except (NoCompiler, NotNative, Unsupported) as error:
        raise PeerError(str(error)) from None
    seconds = time.monotonic() - started
    inside = min(result.seconds or seconds, seconds)
    names = frozenset(result.violations) - {PROGRESS}
    verdict = VIOLATED if names else HOLDS if result.complete else INCOMPLETE
    return Found(
        states=result.states,
        transitions=result.transitions,
        verdict=verdict,
        violated=names,
        reached=result.reached,
        seconds=inside,
        compile_seconds=seconds - inside,
        bytes_per_state=result.memory / result.states if result.memory else None,
    )


def _machine() -> str:
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
