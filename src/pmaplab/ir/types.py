"""The types of the IR: what one cell can hold, and how cells are grouped.

A *cell* is one scalar variable of the state.  Structures and arrays are laid
out as consecutive cells; a pointer is the number of a cell (0 is NULL), so
that ``&p->field`` and ``&array[i]`` are sums, as in C.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Int:
    """An integer of ``bits`` bits (1 to 64).

    ``lo`` and ``hi`` narrow it to a declared range; a store outside of it is
    a :class:`~pmaplab.errors.ModelError`.  Arithmetic has the width of the
    whole type: unsigned wraps, signed overflow is an error.
    """

    bits: int
    signed: bool = False
    lo: int | None = None
    hi: int | None = None

    @property
    def minimum(self) -> int:
        if self.lo is not None:
            return self.lo
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        if self.hi is not None:
            return self.hi
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def whole(self) -> Int:
        """The same type without a declared range."""
        return Int(self.bits, self.signed) if self.ranged else self

    def wrapped(self, value: int) -> int:
        """What the whole type holds of ``value``: its lowest bits."""
        value &= (1 << self.bits) - 1
        return value - (1 << self.bits) if self.signed and value >> (self.bits - 1) else value

    @property
    def ranged(self) -> bool:
        return self.lo is not None or self.hi is not None

    def __str__(self) -> str:
        name = "bool" if self.bits == 1 else f"{'i' if self.signed else 'u'}{self.bits}"
        return f"{name}{{{self.minimum}..{self.maximum}}}" if self.ranged else name


@dataclass(frozen=True, slots=True)
class Pointer:
    """The number of the first cell of a ``target``, or 0 for NULL."""

    target: Type

    def __str__(self) -> str:
        return f"*{self.target}"


@dataclass(frozen=True, slots=True)
class Struct:
    """A structure, by the name under which the program declares it."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Array:
    """``length`` elements of one type, at least one."""

    element: Type
    length: int

    def __str__(self) -> str:
        return f"[{self.length} x {self.element}]"


Scalar = Int | Pointer
Type = Int | Pointer | Struct | Array

BOOL = Int(1)
U8 = Int(8)
U16 = Int(16)
U32 = Int(32)
U64 = Int(64)
I32 = Int(32, signed=True)
I64 = Int(64, signed=True)


def same_kind(left: Type, right: Type) -> bool:
    """Whether a value of ``right`` may stand where ``left`` is expected.

    Declared ranges are left out of the comparison: they are checked when a
    value is stored.
    """
    if isinstance(left, Int) and isinstance(right, Int):
        return left.bits == right.bits and left.signed == right.signed
    return left == right
