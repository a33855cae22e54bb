"""What the IR's operators do to sets of values.

Results are never too small: a value that an operator can yield is in them.
Where the operator faults instead, as the interpreter defines it, there is none.
"""

from __future__ import annotations

from pmaplab.exports.domain import NOTHING, TRUTH, Values, all_of, of, pairs
from pmaplab.ir.types import Int


def fits(value: int, kind: Int) -> int | None:
    """The value of an arithmetic result; None for signed overflow."""
    if not kind.signed:
        return kind.wrapped(value)
    return value if kind.minimum <= value <= kind.maximum else None


def unary(op: str, operand: Values, source: Int, kind: Int) -> Values:
    """``op`` on a value of type ``source``, with a result of type ``kind``."""

    def one(value: int) -> int | None:
        match op:
            case "not":
                return int(not value)
            case "popcount":
                return (value & (1 << source.bits) - 1).bit_count()
            case "ffs":
                return (value & -value).bit_length()
            case "neg":
                return fits(-value, kind)
        return ~value if kind.signed else value ^ kind.maximum

    found = operand.each(one)
    if found is not None:
        return found
    if op == "not":
        return TRUTH
    return Values(0, source.bits) if op in ("popcount", "ffs") else all_of(kind)


def exact(op: str, a: int, b: int) -> int | None:
    """Without regard to any width; None where it is not defined."""
    match op:
        case "add":
            return a + b
        case "sub":
            return a - b
        case "mul":
            return a * b
        case "and":
            return a & b
        case "or":
            return a | b
        case "xor":
            return a ^ b
        case "shl":
            return a << b
        case "shr":
            return a >> b
    if not b:
        return None
    quotient = abs(a) // abs(b)
    quotient = -quotient if (a < 0) != (b < 0) else quotient
    return quotient if op == "div" else a - b * quotient


def binary(op: str, left: Values, right: Values, kind: Int) -> Values:
    """Arithmetic of type ``kind``."""
    if op in ("shl", "shr"):
        right = right.clip(0, kind.bits - 1)
    if not left or not right:
        return NOTHING

    def one(a: int, b: int) -> int | None:
        value = exact(op, a, b)
        return None if value is None else fits(value, kind)

    found = pairs(left, right, one)
    return _wide(op, left, right, kind) if found is None else found


def _wide(op: str, left: Values, right: Values, kind: Int) -> Values:
    lo, hi = bounds(op, left, right, kind)
    if kind.minimum <= lo and hi <= kind.maximum:
        return Values(lo, hi)
    return Values(lo, hi).clip(kind.minimum, kind.maximum) if kind.signed else all_of(kind)


def bounds(op: str, left: Values, right: Values, kind: Int) -> tuple[int, int]:
    """The least and the largest result, or less and more, before it wraps."""
    match op:
        case "add":
            return left.lo + right.lo, left.hi + right.hi
        case "sub":
            return left.lo - right.hi, left.hi - right.lo
        case "mul" | "shl":
            ends = (right.lo, right.hi) if op == "mul" else (1 << right.lo, 1 << right.hi)
            corners = [a * b for a in (left.lo, left.hi) for b in ends]
            return min(corners), max(corners)
        case "shr":
            corners = [a >> b for a in (left.lo, left.hi) for b in (right.lo, right.hi)]
            return min(corners), max(corners)
    if left.lo < 0 or right.lo < 0:
        return kind.minimum, kind.maximum
    match op:
        case "and":
            return 0, min(left.hi, right.hi)
        case "or" | "xor":
            return 0, (1 << max(left.hi, right.hi).bit_length()) - 1
        case "div":
            return 0, left.hi // max(right.lo, 1)
    return 0, min(left.hi, max(right.hi - 1, 0))


def compare(op: str, left: Values, right: Values) -> Values:
    """A comparison."""
    if not left or not right:
        return NOTHING
    if op in ("gt", "ge"):
        return compare({"gt": "lt", "ge": "le"}[op], right, left)
    match op:
        case "lt":
            always, never = left.hi < right.lo, left.lo >= right.hi
        case "le":
            always, never = left.hi <= right.lo, left.lo > right.hi
        case _:
            same = left.lo == left.hi == right.lo == right.hi
            apart = not left.common(right)
            always, never = (same, apart) if op == "eq" else (apart, same)
    return of((1,)) if always else of((0,)) if never else TRUTH


def cast(operand: Values, kind: Int) -> Values:
    """The operand modulo the width of ``kind``."""
    if kind.bits == 1 and not kind.signed:
        found = operand.each(lambda value: int(value != 0))
        return TRUTH if found is None else found
    found = operand.each(kind.wrapped)
    if found is not None:
        return found
    whole = kind.whole
    inside = whole.minimum <= operand.lo and operand.hi <= whole.maximum
    return operand if inside else all_of(whole)
