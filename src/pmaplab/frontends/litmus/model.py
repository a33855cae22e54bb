"""A litmus test, whatever its file's format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pmaplab.errors import Location
from pmaplab.frontends.litmus.conditions import Condition, Formula, Place

ALLOWED, FORBIDDEN, REQUIRED = "allowed", "forbidden", "required"


@dataclass(frozen=True, slots=True)
class Immediate:
    value: int
    loc: Location


@dataclass(frozen=True, slots=True)
class Register:
    """``bits`` bits of the 64-bit register ``name``, from bit ``shift`` on; the
    test calls it ``shown``."""

    name: str
    bits: int
    shift: int
    shown: str
    loc: Location


@dataclass(frozen=True, slots=True)
class Memory:
    """A location by name, or by the register that holds its address."""

    name: str | None
    base: str | None
    loc: Location


Operand = Immediate | Register | Memory


@dataclass(frozen=True, slots=True)
class Instruction:
    """An x86 instruction; ``op`` has no suffix, the source operand comes first.

    ``bits`` is the width of its operands, 0 where it has none; ``target`` is
    the label that a jump goes to.
    """

    op: str
    bits: int
    operands: tuple[Operand, ...]
    locked: bool
    target: str | None
    loc: Location


@dataclass(frozen=True, slots=True)
class Thread:
    """``labels`` maps a label to the number of the instruction behind it."""

    number: int
    code: tuple[Instruction, ...]
    labels: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Variable:
    """A memory location; ``bits`` None is as wide as the accesses to it."""

    name: str
    bits: int | None
    signed: bool
    initial: int
    loc: Location


@dataclass(frozen=True, slots=True)
class Initial:
    """What a register holds at first: a number, or the address of a location."""

    value: int
    address: str | None
    signed: bool
    loc: Location


@dataclass(frozen=True, slots=True)
class LitmusTest:
    """A whole test.

    ``published`` is the verdict that its file gives it, if it does.  ``filter``
    tells which final states count; ``locations`` are the places whose values
    are shown although the condition does not name them.  ``lines`` are the
    file's, for messages.
    """

    name: str
    published: str | None
    threads: tuple[Thread, ...]
    variables: Mapping[str, Variable]
    registers: Mapping[tuple[int, str], Initial]
    condition: Condition
    filter: Formula | None
    locations: tuple[Place, ...]
    loc: Location
    lines: tuple[str, ...]
