"""What a search came to, and what ends it early."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from pmaplab.ir.nodes import Instruction, Terminator
from pmaplab.search.interpreter import Failure, State
from pmaplab.search.projection import Projected
from pmaplab.search.run import Move
from pmaplab.search.symmetry import ToldApart

Seen = TypeVar("Seen", bound=Hashable)

ASSERTIONS = "assertions"
PROGRESS = "progress"

STOPPED_FIRST = "the first counterexample ends the search"


@dataclass(frozen=True, slots=True)
class Limits:
    """What ends a search early: it is then `incomplete`.

    ``memory`` is in bytes; the native engine alone heeds it.
    """

    states: int | None = None
    seconds: float | None = None
    memory: int | None = None

    def left(self, started: float) -> Limits:
        """Those of a second search, where the first began at ``started``, in seconds of
        the monotonic clock."""
        if self.seconds is None:
            return self
        return replace(self, seconds=max(1e-3, self.seconds - (time.monotonic() - started)))


@dataclass(frozen=True, slots=True)
class Violation:
    """A property that fails after ``moves`` (the prefix included)."""

    property: str
    moves: tuple[Move, ...]
    failure: Failure | None
    cpu: int

    @builtins.property  # the field of that name hides it here
    def steps(self) -> int:
        return len(self.moves)


@dataclass
class Rest(Generic[Seen]):
    """The states in which every CPU is at rest, by what was asked of their
    memory: the first state of each kind, and the moves to it."""

    first: dict[Seen, int]
    path: Callable[[int], tuple[Move, ...]]


@dataclass
class Result:
    """What a search found.

    ``complete`` says that every reachable state was visited; ``stopped`` says
    why not.  ``bring_up`` are the moves before the search, which begins in the
    state ``start``.  ``violations`` holds a shortest counterexample by property.
    ``finals`` are the memories, if they were asked for, of the states in which
    every thread is done and nothing moves any more.  ``build_seconds`` is what
    compiling took, apart from ``seconds``; ``note`` says why another engine
    than the one asked for did the search, ``odds`` how probable it is that a state
    was missed, where that is possible.  ``memory`` is what the search took at its end,
    in bytes, where the engine says so.  ``reductions`` were used, and ``passed`` states
    on the way not kept, ``images`` of kept states by the ``symmetries`` of these names;
    ``told_apart`` are those that are none.  Or the search was done again without,
    because something fails.  ``broken_facts`` says of ownership facts why they were not
    used.  ``projected`` is what the states of a complete search hold in memory, if that
    was asked for.
    """

    properties: tuple[str, ...]
    states: int = 0
    transitions: int = 0
    depth: int = 0
    bring_up: tuple[Move, ...] = ()
    start: State = ()
    complete: bool = False
    stopped: str | None = None
    seconds: float = 0.0
    violations: dict[str, Violation] = field(default_factory=dict)
    exemptions_used: set[str] = field(default_factory=set)
    reached: frozenset[str] = frozenset()
    unreached: tuple[str, ...] = ()
    engine: str = "python"
    build_seconds: float = 0.0
    note: str | None = None
    odds: float | None = None
    memory: int | None = None
    reductions: tuple[str, ...] = ()
    passed: int = 0
    images: int = 0
    symmetries: tuple[str, ...] = ()
    told_apart: tuple[ToldApart, ...] = ()
    searched_again: bool = False
    broken_facts: tuple[str, ...] = ()
    finals: tuple[State, ...] = ()
    rest: Rest[Any] | None = None
    projected: Projected | None = None

    @property
    def first(self) -> Violation | None:
        """The shortest of all counterexamples."""
        return min(self.violations.values(), key=lambda v: v.steps, default=None)

    def verdict(self, name: str | None = None) -> str:
        """``violated``, ``incomplete``, ``vacuous`` or ``holds``, of one
        property or of all."""
        if self.violations if name is None else name in self.violations:
            return "violated"
        if not self.complete:
            return "incomplete"
        return "vacuous" if self.unreached else "holds"


Progress = Callable[[int, int, int], None]


def states_reached(limit: int) -> str:
    """Why a search stops at a limit of states."""
    return f"the limit of {limit} states is reached"


def seconds_reached(limit: float) -> str:
    """Why a search stops at a limit of time."""
    return f"the limit of {limit:g} seconds is reached"


def stuck_failure(cpu: int, function: str, item: Instruction | Terminator) -> Failure:
    """The failure of a CPU that stands at ``item`` for good."""
    return Failure(PROGRESS, stuck_message(cpu), function, item.loc)


def stuck_message(cpu: int) -> str:
    return f"CPU {cpu} has work left and can never go on"
