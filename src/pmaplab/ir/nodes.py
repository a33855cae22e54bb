"""The IR: expressions, instructions, functions, programs.

Expressions are pure and read locals only; every access to memory is an
instruction of its own, so that the places where another agent can interfere
are explicit.  Instructions carry the source location that they came from.

A *step* runs from one :class:`Step` instruction to the next one reached,
through calls and returns, without interruption.  Front ends do not place
steps; the pass :mod:`pmaplab.ir.cut` does.  A function marked ``atomic`` runs
whole within the step that calls it: so are locked instructions and machine
events written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pmaplab.errors import Location
from pmaplab.ir.types import BOOL, U32, Int, Pointer, Scalar, Type

# --- expressions -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Const:
    """An integer, or NULL (0 with a pointer type)."""

    value: int
    type: Scalar


@dataclass(frozen=True, slots=True)
class Local:
    """The value of a local variable of the running function."""

    name: str
    type: Scalar


@dataclass(frozen=True, slots=True)
class GlobalAddress:
    """The address of a global object."""

    name: str
    type: Pointer


@dataclass(frozen=True, slots=True)
class FieldAddress:
    """``&base->field``; ``base`` points to a structure and is not NULL."""

    base: Expr
    struct: str
    field: str
    type: Pointer


@dataclass(frozen=True, slots=True)
class IndexAddress:
    """``&base[index]``; ``base`` points to an array, the index is checked."""

    base: Expr
    index: Expr
    length: int
    type: Pointer


@dataclass(frozen=True, slots=True)
class ThisCpu:
    """The number of the CPU on which the agent runs."""

    type: Int = U32


@dataclass(frozen=True, slots=True)
class InRegion:
    """Whether CPU ``cpu`` is inside a region (see :class:`Enter`)."""

    cpu: Expr
    region: str
    type: Int = BOOL


@dataclass(frozen=True, slots=True)
class Unary:
    """``neg``, ``inv`` (bitwise), ``not`` (logical), ``popcount``, ``ffs``
    (number of the lowest set bit, counted from 1; 0 for none)."""

    op: str
    operand: Expr
    type: Int


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic (``add sub mul div mod and or xor shl shr``) on two operands
    of one type, comparison (``eq ne lt le gt ge``), logic (``land lor``)."""

    op: str
    left: Expr
    right: Expr
    type: Int


@dataclass(frozen=True, slots=True)
class Cast:
    """The operand, reduced modulo the width of ``type`` as C does."""

    operand: Expr
    type: Scalar


@dataclass(frozen=True, slots=True)
class Select:
    """``condition ? then : otherwise``."""

    condition: Expr
    then: Expr
    otherwise: Expr
    type: Scalar


Expr = (
    Const
    | Local
    | GlobalAddress
    | FieldAddress
    | IndexAddress
    | ThisCpu
    | InRegion
    | Unary
    | Binary
    | Cast
    | Select
)

ARITHMETIC = ("add", "sub", "mul", "div", "mod", "and", "or", "xor", "shl", "shr")
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
LOGIC = ("land", "lor")
UNARY = ("neg", "inv", "not", "popcount", "ffs")
RMW_OPS = ("add", "sub", "and", "or", "xor", "xchg")

# --- instructions ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Assign:
    """``target = value`` for a local."""

    target: str
    value: Expr
    loc: Location


@dataclass(frozen=True, slots=True)
class Load:
    """``target = *address``."""

    target: str
    address: Expr
    loc: Location


@dataclass(frozen=True, slots=True)
class Store:
    """``*address = value``."""

    address: Expr
    value: Expr
    loc: Location


@dataclass(frozen=True, slots=True)
class Rmw:
    """A locked read-modify-write; ``target`` receives the old value."""

    target: str | None
    op: str
    address: Expr
    operand: Expr
    loc: Location


@dataclass(frozen=True, slots=True)
class CmpXchg:
    """A locked compare and exchange; ``target`` receives the old value."""

    target: str
    address: Expr
    expected: Expr
    desired: Expr
    loc: Location


@dataclass(frozen=True, slots=True)
class Fence:
    """A full fence (MFENCE, or a locked operation used as one)."""

    loc: Location


@dataclass(frozen=True, slots=True)
class Step:
    """The end of one step and the start of the next."""

    loc: Location


@dataclass(frozen=True, slots=True)
class Assume:
    """The step is possible only where the condition holds: a guard."""

    condition: Expr
    loc: Location


@dataclass(frozen=True, slots=True)
class Choose:
    """``target`` is any value from ``lo`` to ``hi``, both included."""

    target: str
    lo: Expr
    hi: Expr
    loc: Location


@dataclass(frozen=True, slots=True)
class Assert:
    """A check in the source: ``kind`` is KASSERT, MPASS, panic, or the
    machine's exception.  ``arguments`` fill the message's C conversions."""

    condition: Expr
    kind: str
    message: str
    arguments: tuple[Expr, ...]
    loc: Location


@dataclass(frozen=True, slots=True)
class Call:
    """``target = function(arguments)``."""

    target: str | None
    function: str
    arguments: tuple[Expr, ...]
    loc: Location


@dataclass(frozen=True, slots=True)
class Print:
    """printf to the console; no part of the searched state."""

    format: str
    arguments: tuple[Expr, ...]
    loc: Location


@dataclass(frozen=True, slots=True)
class Count:
    """A statistics counter goes up; no part of the searched state."""

    counter: str
    loc: Location


@dataclass(frozen=True, slots=True)
class Sometimes:
    """A point that a search which is worth something reaches."""

    label: str
    loc: Location


@dataclass(frozen=True, slots=True)
class Enter:
    """The CPU enters a named region of the source (a ghost, for properties)."""

    region: str
    loc: Location


@dataclass(frozen=True, slots=True)
class Leave:
    """The CPU leaves a named region of the source."""

    region: str
    loc: Location


Instruction = (
    Assign
    | Load
    | Store
    | Rmw
    | CmpXchg
    | Fence
    | Step
    | Assume
    | Choose
    | Assert
    | Call
    | Print
    | Count
    | Sometimes
    | Enter
    | Leave
)


@dataclass(frozen=True, slots=True)
class Jump:
    block: str
    loc: Location


@dataclass(frozen=True, slots=True)
class Branch:
    condition: Expr
    then: str
    otherwise: str
    loc: Location


@dataclass(frozen=True, slots=True)
class Return:
    value: Expr | None
    loc: Location


Terminator = Jump | Branch | Return

# --- programs --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block:
    label: str
    instructions: tuple[Instruction, ...]
    terminator: Terminator


@dataclass(frozen=True, slots=True)
class Function:
    """A function; the first block is the entry.

    ``variables`` are the locals with their types, parameters first.
    """

    name: str
    parameters: tuple[str, ...]
    variables: Mapping[str, Scalar]
    result: Scalar | None
    blocks: tuple[Block, ...]
    atomic: bool
    loc: Location


@dataclass(frozen=True, slots=True)
class StructDecl:
    name: str
    fields: tuple[tuple[str, Type], ...]
    loc: Location

    def field_type(self, name: str) -> Type | None:
        return next((kind for field_name, kind in self.fields if field_name == name), None)


@dataclass(frozen=True, slots=True)
class GlobalDecl:
    """A global object; cells that ``initial`` does not name start at 0.

    ``initial`` maps a path below the object (``""``, ``".field"``,
    ``"[2].field"``) to a constant or the address of a global.
    """

    name: str
    type: Type
    initial: Mapping[str, Const | GlobalAddress]
    loc: Location


THREAD = "thread"
INTERRUPT = "interrupt"
# Carries out what a thread has begun; it has no work of its own.
STORE_BUFFER = "store buffer"


@dataclass(frozen=True, slots=True)
class Agent:
    """What moves by itself, in one of the contexts THREAD, INTERRUPT and
    STORE_BUFFER.

    It starts behind the Step with which ``entry`` may begin.  Only a thread has
    work of its own, and so can be stuck."""

    name: str
    cpu: int
    context: str
    entry: str


@dataclass(frozen=True, slots=True)
class Invariant:
    """``function(cpu)`` asserts, for every CPU and after every step, what must
    hold; a failure inside one of the ``exempt`` regions does not count.  With
    an empty ``property`` it only observes."""

    property: str
    function: str
    exempt: tuple[str, ...] = ()


# Reductions that are part of a program: accesses that no other agent can tell apart
# share a step, and locals that nobody reads any more lose their values.
FUSION, DEAD_LOCALS = "fusion", "dead-locals"
PROGRAM_REDUCTIONS = (FUSION, DEAD_LOCALS)


@dataclass(frozen=True, slots=True)
class Place:
    """A global object, or what lies below it: ``path`` is ``""``, ``".field"``,
    ``"[2].field"``."""

    name: str
    path: str = ""


IS, IS_NOT, HAS = "is", "not", "has"


@dataclass(frozen=True, slots=True)
class Held:
    """What a cell holds: it ``is``, or is ``not``, a number or the address of a place;
    or it ``has`` some of the bits of a number."""

    place: Place
    relation: str
    value: int | Place


@dataclass(frozen=True, slots=True)
class Owned:
    """While all of ``when`` holds, and ``cpu`` is inside none of the regions
    ``outside``, agents of no other CPU (of no CPU at all, for None) touch ``cells``,
    or write them where these are ``shared``; and only contexts of that CPU that run
    threads end it.  Several have one ``name``, which says the rule."""

    name: str
    cpu: int | None
    cells: tuple[Place, ...]
    loc: Location
    shared: bool = False
    when: tuple[Held, ...] = ()
    outside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """A whole system, lowered."""

    structs: Mapping[str, StructDecl]
    globals: Mapping[str, GlobalDecl]
    functions: Mapping[str, Function]
    agents: tuple[Agent, ...]
    regions: tuple[str, ...] = ()
    invariants: tuple[Invariant, ...] = ()
    must_reach: tuple[str, ...] = ()
    cpus: int = 1
    # Conditions under which an exemption counts: region -> function(cpu).
    exempt_when: Mapping[str, str] = field(default_factory=dict)
    # Of PROGRAM_REDUCTIONS, those that it is made without.
    without: tuple[str, ...] = ()
    # What is taken for granted of who touches what, and checked by every search.
    owned: tuple[Owned, ...] = ()

    @property
    def entries(self) -> tuple[str, ...]:
        """The functions with which agents start, in the order of these."""
        return tuple(agent.entry for agent in self.agents)

    @property
    def observers(self) -> tuple[str, ...]:
        """The functions that are asked about states, and are part of no step: those of the
        invariants, and the conditions of exemptions."""
        return (*(each.function for each in self.invariants), *self.exempt_when.values())
