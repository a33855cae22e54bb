"""What the printer and the parser of IR text agree on.

Names, strings and types have one spelling each, and a type that follows from
the operands of an expression is left out by the one and filled in by the
other.  :mod:`pmaplab.ir.printer` describes the whole format.
"""

from __future__ import annotations

import re

from pmaplab.errors import Location
from pmaplab.ir.nodes import ARITHMETIC, COMPARISONS, LOGIC
from pmaplab.ir.types import BOOL, U32, Array, Int, Pointer, Scalar, Struct, Type

# Expressions and types nested deeper than this are refused, by the parser and
# by the verifier alike, so that no recursive pass runs out of stack.
MAX_DEPTH = 100

NAME_PATTERN = r"[A-Za-z_](?:[A-Za-z0-9_.$]|-(?=[A-Za-z0-9_]))*"

_NAME = re.compile(NAME_PATTERN)
_INT_NAME = re.compile(r"bool|([iu])([0-9]{1,3})")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def quote(text: str) -> str:
    """``text`` as a string of the format, always on one line."""
    return '"' + "".join(_ESCAPES.get(char) or _shown(char) for char in text) + '"'


def _shown(char: str) -> str:
    return char if char.isprintable() else f"\\u{{{ord(char):x}}}"


def name_text(name: str) -> str:
    """A name, in quotes only where it does not look like one."""
    return name if _NAME.fullmatch(name) else quote(name)


def location_text(loc: Location) -> str:
    """``"file":line:column-end``; the end is left out of a mere point."""
    end = "" if loc.end_column == loc.column else f"-{loc.end_column}"
    return f"{quote(loc.file)}:{loc.line}:{loc.column}{end}"


def type_text(kind: Type) -> str:
    """A type, exactly: unlike ``str`` it tells open ranges and ``i1`` apart."""
    match kind:
        case Int(bits, signed, lo, hi):
            name = "bool" if bits == 1 and not signed else f"{'i' if signed else 'u'}{bits}"
            if lo is None and hi is None:
                return name
            return f"{name}{{{'' if lo is None else lo}..{'' if hi is None else hi}}}"
        case Pointer(target):
            return f"*{type_text(target)}"
        case Struct(name):
            # A structure named like an integer type needs the quotes.
            return quote(name) if _INT_NAME.fullmatch(name) else name_text(name)
        case Array(element, length):
            return f"[{length} x {type_text(element)}]"


def int_named(name: str) -> Int | None:
    """The integer type that a bare name stands for, if it does."""
    found = _INT_NAME.fullmatch(name)
    if found is None:
        return None
    return Int(int(found[2]), found[1] == "i") if found[1] else BOOL


# --- types that the text leaves out ----------------------------------------


def unary_type(op: str, operand: Scalar) -> Int | None:
    """The type of a unary operation whose text names none."""
    if op == "not":
        return BOOL
    if op in ("popcount", "ffs"):
        return U32
    return operand.whole if isinstance(operand, Int) else None


def binary_type(op: str, left: Scalar) -> Int | None:
    """The type of a binary operation whose text names none."""
    if op in COMPARISONS or op in LOGIC:
        return BOOL
    return left.whole if op in ARITHMETIC and isinstance(left, Int) else None


def struct_below(base: Scalar) -> str | None:
    """The structure that a pointer of this type points to."""
    match base:
        case Pointer(Struct(name)):
            return name
        case _:
            return None


def array_below(base: Scalar) -> Array | None:
    """The array that a pointer of this type points to."""
    match base:
        case Pointer(Array() as array):
            return array
        case _:
            return None
