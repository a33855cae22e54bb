"""Conditions on final states: ``exists (0:rax=1 /\\ [x]=2)``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pmaplab.errors import Location

EXISTS, NOT_EXISTS, FORALL = "exists", "~exists", "forall"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A part of the final state: a register of a thread (``bits`` bits from bit
    ``shift`` of ``name`` on, ``shown`` as the test calls it), or a memory
    location (``thread`` is then -1)."""

    thread: int
    shown: str
    name: str
    bits: int = 64
    shift: int = 0

    def __str__(self) -> str:
        return f"[{self.name}]" if self.thread < 0 else f"{self.thread}:{self.shown}"


@dataclass(frozen=True, slots=True)
class Atom:
    """``place = value``; the value is compared in the width of the place."""

    place: Place
    value: int
    loc: Location


@dataclass(frozen=True, slots=True)
class Not:
    operand: Formula


@dataclass(frozen=True, slots=True)
class And:
    operands: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Or:
    operands: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    value: bool


Formula = Atom | Not | And | Or | Truth


@dataclass(frozen=True, slots=True)
class Condition:
    """``quantifier`` is exists, ~exists or forall."""

    quantifier: str
    formula: Formula

    def __str__(self) -> str:
        return f"{self.quantifier} ({text(self.formula)})"


def atoms(formula: Formula) -> Iterator[Atom]:
    """The comparisons of a formula, from left to right."""
    match formula:
        case Atom():
            yield formula
        case Not(operand=operand):
            yield from atoms(operand)
        case And(operands=operands) | Or(operands=operands):
            for operand in operands:
                yield from atoms(operand)


def holds(formula: Formula, state: Mapping[Place, int], bits: Mapping[Place, int]) -> bool:
    """Whether ``formula`` is true of a final state.

    ``bits`` are the widths of the places: -1 is all ones in each of them.
    """
    match formula:
        case Atom(place=place, value=value):
            return (state[place] - value) % (1 << bits[place]) == 0
        case Not(operand=operand):
            return not holds(operand, state, bits)
        case And(operands=operands):
            return all(holds(operand, state, bits) for operand in operands)
        case Or(operands=operands):
            return any(holds(operand, state, bits) for operand in operands)
        case Truth(value=value):
            return value


def text(formula: Formula) -> str:
    """``formula`` as herd7 writes it."""
    match formula:
        case Atom(place=place, value=value):
            return f"{place}={value}"
        case Not(operand=operand):
            return f"not ({text(operand)})"
        case And(operands=operands):
            return " /\\ ".join(f"({text(o)})" if isinstance(o, Or) else text(o) for o in operands)
        case Or(operands=operands):
            return " \\/ ".join(text(operand) for operand in operands)
        case Truth(value=value):
            return "true" if value else "false"
