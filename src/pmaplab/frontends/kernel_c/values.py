"""What C expressions are lowered to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from pmaplab.errors import Location, TreeError
from pmaplab.frontends.builder import Builder, as_condition
from pmaplab.frontends.kernel_c.nodes import CType
from pmaplab.ir.nodes import (
    Assign,
    Call,
    Cast,
    Const,
    Expr,
    FieldAddress,
    Instruction,
    Load,
    Return,
    Terminator,
)
from pmaplab.ir.types import Array, Int, Scalar, Type
from pmaplab.ir.walk import successors


@dataclass(frozen=True, slots=True)
class Span:
    """Where in an array a pointer points: element ``index`` of what ``base`` points to."""

    base: Expr
    array: Array
    index: Expr


class Inside(str):
    """Why there is no value for a pointer that leads to what the model has: nothing
    may be stored through it."""

    __slots__ = ()


class InsideStructure(Inside):
    """The same of a structure: found again where that is left out, it cannot be used as one."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Value:
    """A value of C type ``type``.

    ``expr`` None stands for something that the table leaves out of the model,
    for the reason ``outside``.  ``local`` is the place, if the value is a
    pointer to a local variable.
    """

    expr: Expr | None
    type: CType
    outside: str = ""
    local: Place | None = None
    # The address of an object that is left out: so is all that is below it.
    within: bool = False
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """An object of C type ``type``.

    One in memory has an ``address``; a local variable, or a part of one, a
    ``local`` name; what the table leaves out an ``outside``.  ``kind`` is what
    its cells hold.  ``constant`` is the value of one that the mode fixes;
    ``fixed`` says that what the C stores there is left out.  ``width`` is a bit
    field's, ``counter`` the name of a statistics counter.
    """

    type: CType
    kind: Type | None = None
    address: Expr | None = None
    local: str = ""
    outside: str = ""
    constant: Const | None = None
    fixed: bool = False
    width: int | None = None
    counter: str = ""
    # What is left out is only how to get there: see Inside.
    inside: bool = False
    # The running CPU's number is kept here: see [[this_cpu]].
    this_cpu: bool = False
    # The C has an array of pointers here, the model what they point to.
    addresses: bool = False
    # What such a pointer always is.
    pointer: Expr | None = None


class Restart(Exception):
    """A local variable turned out to hold what is left out of the model."""


class Probe(Builder):
    """Notes what lowering would do, besides reading memory."""

    def __init__(self, real: Builder, looks: frozenset[str]) -> None:
        super().__init__("probe", {}, real.result)
        self.variables = dict(real.variables)
        self.outer = frozenset(real.variables)
        self.looks = looks
        self.effects: list[Instruction | Terminator] = []
        self.started: set[str] = set()
        self.jumps: list[Terminator] = []
        self._counter = real._counter  # its names are not the real one's

    def left(self) -> list[Terminator]:
        """The jumps to what lies outside."""
        return [jump for jump in self.jumps if not self.started.issuperset(successors(jump))]

    def start(self, label: str) -> None:
        self.started.add(label)
        super().start(label)

    def emit(self, instruction: Instruction) -> None:
        match instruction:
            case Load():
                pass
            case Call(function=function) if function in self.looks:
                pass
            case Assign(target=target) if target not in self.outer:
                pass
            case _:
                self.effects.append(instruction)
        super().emit(instruction)

    def terminate(self, terminator: Terminator) -> None:
        if isinstance(terminator, Return) and self.reachable:
            self.effects.append(terminator)
        elif self.reachable:
            self.jumps.append(terminator)
        super().terminate(terminator)


def coerce(expr: Expr, kind: Scalar) -> Expr:
    """``expr`` converted to ``kind`` as C converts integers."""
    if not isinstance(kind, Int) or not isinstance(expr.type, Int):
        return expr if not isinstance(expr, Const) or expr.value else Const(0, kind)
    kind = kind.whole
    if expr.type.whole == kind:
        return expr
    if kind.bits == 1:
        return as_condition(expr)
    if isinstance(expr, Const):
        return Const(kind.wrapped(expr.value), kind)
    return Cast(expr, kind)


def field_of(address: Expr | None) -> tuple[str, str] | None:
    """The structure and the field that an address is of."""
    if isinstance(address, FieldAddress):
        return address.struct, address.field
    return None


def fail(loc: Location, message: str, advice: str | None = None) -> NoReturn:
    raise TreeError(message, location=loc, advice=advice)
