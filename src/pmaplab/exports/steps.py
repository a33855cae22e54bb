"""A system as steps: what the exports print.

It is the IR without what only its interpreter needs to know.  Every variable
is named and has a range, every place where control can stand is a numbered
point, every check is explicit, addresses that are known are variables, and
those that are not come with the variables that they may stand for.

Control goes from point to point within a step (:class:`Goto`, :class:`Back`)
until :class:`Stop` ends it.  A :class:`Guard` that does not hold, or an empty
:class:`Pick`, means that the step is not possible at all; a :class:`Require`
or a check within an expression that fails ends the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pmaplab.errors import Location
from pmaplab.ir.types import U32, Int

DONE = 1  # the point of an agent that has finished
FIRST_POINT = 2
# Addresses, and pointers, as numbers of cells.
ADDRESS = Int(64)

# --- expressions -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Num:
    value: int
    kind: Int


@dataclass(frozen=True, slots=True)
class Var:
    """A local that no later step reads."""

    name: str
    kind: Int


@dataclass(frozen=True, slots=True)
class Slot:
    """A variable of the running agent's own part, by its number there."""

    index: int
    kind: Int


@dataclass(frozen=True, slots=True)
class Cell:
    """A variable of the memory, by the number of its cell."""

    index: int
    kind: Int


@dataclass(frozen=True, slots=True)
class Fetch:
    """The one of several cells that has the number ``address``; a number that
    is not among them ends the run, in the instruction ``site``."""

    group: tuple[int, ...]
    address: Expr
    kind: Int
    site: int


@dataclass(frozen=True, slots=True)
class Cpu:
    """The number of the CPU on which the agent runs."""

    kind: Int = U32


@dataclass(frozen=True, slots=True)
class Op:
    """An operator of the IR on operands of one type, with a result of type
    ``kind``; ``cast`` and ``select`` are operators too.

    Unsigned arithmetic wraps, signed overflow ends the run, as do a division
    by zero and a shift by too much.  ``exact`` says that the result fits into
    the type in any case.
    """

    name: str
    operands: tuple[Expr, ...]
    kind: Int
    site: int = 0
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Within:
    """The operand, which must be from ``lo`` to ``hi``, or the run ends with
    ``fault``: a page fault (index, NULL) or a range error (of the model)."""

    operand: Expr
    lo: int
    hi: int
    fault: str
    site: int
    kind: Int


Expr = Num | Var | Slot | Cell | Fetch | Cpu | Op | Within
PAGE_FAULT = "page fault"
RANGE = "range"

# --- statements ------------------------------------------------------------

Target = Var | Slot | Cell | Fetch


@dataclass(frozen=True, slots=True)
class Set:
    target: Target
    value: Expr


@dataclass(frozen=True, slots=True)
class Pick:
    """``target`` is any value from ``lo`` to ``hi``."""

    target: Var
    lo: Expr
    hi: Expr


@dataclass(frozen=True, slots=True)
class Guard:
    condition: Expr


@dataclass(frozen=True, slots=True)
class Require:
    condition: Expr
    site: int


@dataclass(frozen=True, slots=True)
class If:
    """``then`` never comes to its end."""

    condition: Expr
    then: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class When:
    """``then`` comes to its end."""

    condition: Expr
    then: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Invoke:
    """A call of a routine."""

    target: Var | None
    routine: str
    arguments: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A point that a search which is worth something reaches."""

    label: str


@dataclass(frozen=True, slots=True)
class Note:
    """What the statements after it stand for."""

    text: str
    loc: Location


@dataclass(frozen=True, slots=True)
class Goto:
    """Go on with a point, in the same step."""

    point: int


@dataclass(frozen=True, slots=True)
class Stop:
    """The step ends, and the next one begins at a point."""

    point: int


@dataclass(frozen=True, slots=True)
class Back:
    """Go on with the point in a slot, which becomes 0; where it is 0 already,
    the agent is done."""

    slot: int


@dataclass(frozen=True, slots=True)
class Again:
    """Go on with a part of the routine."""

    part: int


@dataclass(frozen=True, slots=True)
class Give:
    """The routine ends."""

    value: Expr | None


Statement = (
    Set
    | Pick
    | Guard
    | Require
    | If
    | When
    | Invoke
    | Mark
    | Note
    | Goto
    | Stop
    | Back
    | Again
    | Give
)

# --- systems ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Variable:
    """``name`` is the source's.  It holds values from ``lo`` to ``hi``; where
    ``checked``, a value that is assigned might be none of them, which ends the
    run.  ``few`` are the values that are possible, where they are known."""

    name: str
    kind: Int
    lo: int
    hi: int
    few: frozenset[int] | None
    loc: Location


@dataclass(frozen=True, slots=True)
class Point:
    """``starts`` says that a step can begin here; then ``choices`` is the
    number of ways in which it can go on, or more."""

    number: int
    function: str
    loc: Location
    code: tuple[Statement, ...]
    starts: bool
    choices: int


@dataclass(frozen=True, slots=True)
class Routine:
    """An atomic function.  It begins with the first of its parts.

    A ``judge`` is asked about a CPU: it gives 1 unless a Require fails.
    """

    name: str
    parameters: tuple[str, ...]
    result: Variable | None
    parts: tuple[tuple[Statement, ...], ...]
    loc: Location


@dataclass(frozen=True, slots=True)
class Site:
    """An instruction that can end the run."""

    kind: str
    message: str
    function: str
    loc: Location


@dataclass(frozen=True, slots=True)
class Agent:
    """``context`` and ``name`` are the IR's."""

    name: str
    cpu: int
    context: str


@dataclass(frozen=True, slots=True)
class Judge:
    """An invariant: what ``routine`` requires must hold for every CPU, except
    in one of the regions of ``exempt``, each with the routine that says when
    that counts, or None for always."""

    property: str
    routine: str
    exempt: tuple[tuple[int, str | None], ...]


@dataclass(frozen=True)
class StepSystem:
    """``memory`` is numbered as in :class:`pmaplab.ir.layout.Layout`, with the
    region masks at its end; so are the ``slots`` of an agent, of which number
    0 is where it stands.  ``initial`` is the state in which the search begins.
    ``locals`` are by the name of a Var.  Routines come after those they call.
    """

    memory: Mapping[int, Variable]
    regions: Mapping[str, int]
    first_region: int
    cpus: int
    slots: tuple[Variable, ...]
    locals: Mapping[str, Variable]
    agents: tuple[Agent, ...]
    points: tuple[Point, ...]
    routines: Mapping[str, Routine]
    judges: tuple[Judge, ...]
    sites: tuple[Site, ...]
    labels: tuple[str, ...]
    must_reach: tuple[str, ...]
    initial: tuple[int, ...]
    shared: frozenset[str] = field(default_factory=frozenset)

    @property
    def choices(self) -> int:
        """The largest number of ways in which a step can go on."""
        return max((point.choices for point in self.points if point.starts), default=1)
