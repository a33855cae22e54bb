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
from pmaplab.native.build import NoCompiler
from pmaplab.native.codegen import Unsupported
from pmaplab.native.engine import NotNative, search_natively
from pmaplab.search.bfs import PROGRESS, search
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds, System, default_bounds

PYTHON, NATIVE = "python", "native"
PEERS = ("spin", "spin-collapse", "spin-dfs-2", "spin-bfs", "rumur")
_SPIN_FLAGS = {
    "spin": (),
    # As exact as without, and smaller.
    "spin-collapse": ("-DCOLLAPSE",),
    "spin-dfs-2": ("-DNCORE=2", "-DVMAX=4096"),
    "spin-bfs": ("-DBFS",),
}
ENGINES = (PYTHON, NATIVE)

# Name, and what it is; small ones first.
SYSTEMS: dict[str, RunSpec] = {
    "boot-1": RunSpec(proposal="committed", bounds=Bounds(operations=1)),
    "boot-1-pcid": RunSpec(mode="pcid", proposal="repaired", bounds=Bounds(operations=1)),
    "switch-1": RunSpec(scenario="switch", proposal="committed", bounds=Bounds(operations=1)),
    "boot-2": RunSpec(proposal="committed"),
    "boot-2-pcid": RunSpec(mode="pcid", proposal="repaired"),
    "switch-3": RunSpec("switch", "pcid+pti", Bounds(operations=3), "repaired"),
    "switch-4": RunSpec("switch", "pcid+pti", Bounds(operations=4), "repaired"),
    "shootdown": RunSpec("shootdown", "nopcid", default_bounds("shootdown"), "repaired"),
}
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
        """What the fastest of the project's own engines found."""
        own = [self.found[name] for name in ENGINES if name in self.found]
        return max(own, key=rate, default=None)

    @property
    def ratios(self) -> dict[str, float | None]:
        """How much better we are than the better peer; below 1 is worse."""
        peers = [self.found[name] for name in PEERS if name in self.found]
        if self.ours is None or not peers:
            return {"transitions_per_s": None, "to_verdict": None}
        return {
            "transitions_per_s": rate(self.ours) / max(map(rate, peers)),
            "to_verdict": min(map(whole, peers)) / whole(self.ours),
        }


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
    names: Sequence[str], tools: Sequence[str], say: Callable[[str], None] = lambda _: None
) -> Bench:
    """Run the systems ``names`` in ``tools``, one after the other.

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
        rows = tuple(_row(name, tools, Path(folder), say) for name in names)
    return Bench(_machine(), cores(), limit, rows)


def _row(name: str, tools: Sequence[str], folder: Path, say: Callable[[str], None]) -> Row:
    row, spec = Row(name), SYSTEMS[name]
    system = spec.build()
    steps = steps_of(system)
    for tool in tools:
        say(f"{name}: {tool}")
        try:
            row.found[tool] = _run(tool, system, steps, folder)
        except (PeerError, ModelError) as error:
            row.absent[tool] = error.message
    row.disagreements = disagreements(row.found)
    return row


def disagreements(found: dict[str, Found]) -> list[str]:
    """Where verdicts differ, or numbers of complete searches.

    Rumur does not search on from a state in which an invariant fails, and
    neither tool counts exactly once something is violated and it stops there.
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
        for what in ("states", "transitions"):
            theirs, ours = getattr(other, what), getattr(reference, what)
            if theirs != ours:
                result.append(f"{tool}: {theirs} {what}, {first}: {ours}")
    return result


def _run(tool: str, system: System, steps: StepSystem, folder: Path) -> Found:
    if tool in ENGINES:
        return _engine(tool, system)
    absent = missing(RUMUR if tool == RUMUR else SPIN)
    if absent is not None:
        raise PeerError(absent)
    about = About("bench")
    if tool == RUMUR:
        return run_rumur(murphi(steps, about), folder, threads=cores())
    return run_spin(promela(steps, about), folder, flags=_SPIN_FLAGS[tool])


def _engine(name: str, system: System) -> Found:
    """One of the project's own engines, by name."""
    started = time.monotonic()
    try:
        result = (search if name == PYTHON else search_natively)(system)
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
