"""Sets of integers, for the question which values a variable can take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pmaplab.ir.types import Int

# Larger sets become intervals.
MOST_ITEMS = 128
# Pairs of operands that are tried out one by one.
MOST_PAIRS = MOST_ITEMS * MOST_ITEMS


@dataclass(frozen=True, slots=True)
class Values:
    """All integers from ``lo`` to ``hi``, or only the ``items`` among them.

    Nothing at all is the empty set of items.
    """

    lo: int
    hi: int
    items: frozenset[int] | None = None

    def __bool__(self) -> bool:
        return self.items is None or bool(self.items)

    def __contains__(self, value: int) -> bool:
        return self.lo <= value <= self.hi if self.items is None else value in self.items

    def join(self, other: Values) -> Values:
        """What is in one or the other, or more."""
        if not other or other is self:
            return self
        if not self:
            return other
        if self.items is not None and other.items is not None:
            return self if other.items <= self.items else of(self.items | other.items)
        if self.items is None and self.lo <= other.lo and other.hi <= self.hi:
            return self
        return _interval(min(self.lo, other.lo), max(self.hi, other.hi))

    def clip(self, lo: int, hi: int) -> Values:
        """What is from ``lo`` to ``hi``."""
        if lo <= self.lo and self.hi <= hi:
            return self
        if self.items is not None:
            return of(item for item in self.items if lo <= item <= hi)
        lo, hi = max(lo, self.lo), min(hi, self.hi)
        return Values(lo, hi) if lo <= hi else NOTHING

    def without(self, value: int) -> Values:
        """What is not ``value``, or more."""
        if self.items is not None:
            return of(self.items - {value})
        if value == self.lo:
            return self.clip(value + 1, self.hi)
        return self.clip(self.lo, value - 1) if value == self.hi else self

    def common(self, other: Values) -> Values:
        """What is in both, or more."""
        if self.items is not None:
            return of(item for item in self.items if item in other)
        if other.items is not None:
            return other.common(self)
        return self.clip(other.lo, other.hi)

    def each(self, function: Callable[[int], int | None]) -> Values | None:
        """``function`` of every item; None stands for no value.  None where
        the items are not known."""
        if self.items is None:
            return None
        return of(found for item in self.items if (found := function(item)) is not None)


def of(items: Iterable[int]) -> Values:
    """The set of ``items``, or an interval where they are many."""
    found = frozenset(items)
    if not found:
        return NOTHING
    lo, hi = min(found), max(found)
    return Values(lo, hi, found) if len(found) <= MOST_ITEMS else _interval(lo, hi)


def _interval(lo: int, hi: int) -> Values:
    """Rounded up to powers of two, so that repeated joins come to an end."""
    return Values(
        lo if lo >= 0 else -(1 << (-lo - 1).bit_length()), (1 << max(hi, 0).bit_length()) - 1
    )


def all_of(kind: Int) -> Values:
    """Every value of a type."""
    small = kind.maximum - kind.minimum < MOST_ITEMS
    return (
        of(range(kind.minimum, kind.maximum + 1)) if small else Values(kind.minimum, kind.maximum)
    )


NOTHING = Values(0, 0, frozenset())
TRUTH = of((0, 1))


def pairs(left: Values, right: Values, function: Callable[[int, int], int | None]) -> Values | None:
    """``function`` of every pair of items; None where they are not known."""
    if left.items is None or right.items is None:
        return None
    if len(left.items) * len(right.items) > MOST_PAIRS:
        return None
    return of(
        found for a in left.items for b in right.items if (found := function(a, b)) is not None
    )
