"""IR expressions as Python expressions: arithmetic with C's widths, addresses
as sums of cell numbers, and a check wherever C would have undefined behaviour.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import (
    Binary,
    Cast,
    Const,
    Expr,
    FieldAddress,
    GlobalAddress,
    IndexAddress,
    InRegion,
    Local,
    Select,
    ThisCpu,
    Unary,
)
from pmaplab.ir.types import U64, Array, Int, Pointer, Scalar

_SYMBOLS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "and": "&",
    "or": "|",
    "xor": "^",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "land": "and",
    "lor": "or",
}
_CONVERSION = re.compile(r"%(#?)(0?\d*)(?:ll|l|j|z|h)?([duxXpsc%])")


@dataclass(frozen=True)
class Writer:
    """Writes expressions for the instruction with number ``site``.

    ``variable`` gives the Python text of a local.
    """

    layout: Layout
    variable: Callable[[str], str]
    site: int = 0

    def at(self, site: int) -> Writer:
        return Writer(self.layout, self.variable, site)

    def expr(self, expr: Expr) -> str:
        match expr:
            case Const(value=value):
                return str(value) if value >= 0 else f"({value})"
            case Local(name=name):
                return self.variable(name)
            case ThisCpu():
                return "c"
            case GlobalAddress() | FieldAddress() | IndexAddress():
                return self.address(expr)
            case InRegion(cpu=cpu, region=region):
                bit = 1 << self.layout.program.regions.index(region)
                cpus = self.layout.program.cpus
                return f"(s[{self.layout.regions} + {self._index(cpu, cpus)}] & {bit} != 0)"
            case Unary():
                return self._unary(expr)
            case Binary():
                return self._binary(expr)
            case Cast(operand=operand, type=kind):
                return self._cast(operand, kind)
            case Select(condition=condition, then=then, otherwise=otherwise):
                return f"({self.expr(then)} if {self.expr(condition)} else {self.expr(otherwise)})"

    # --- addresses ---------------------------------------------------------

    def address(self, expr: Expr) -> str:
        """The number of the cell that ``expr`` points to, never 0."""
        constant, terms = self._sum(expr)
        if not terms:
            return str(constant)
        if constant:
            terms = [*terms, str(constant)]
        return terms[0] if len(terms) == 1 else f"({' + '.join(terms)})"

    def _sum(self, expr: Expr) -> tuple[int, list[str]]:
        match expr:
            case GlobalAddress(name=name):
                return self.layout.bases[name], []
            case FieldAddress(base=base, struct=struct, field=field):
                constant, terms = self._sum(base)
                return constant + self.layout.offsets[struct, field], terms
            case IndexAddress(base=base, index=index, length=length):
                constant, terms = self._sum(base)
                kind = base.type
                assert isinstance(kind, Pointer) and isinstance(kind.target, Array)
                stride = self.layout.size_of(kind.target.element)
                if isinstance(index, Const) and 0 <= index.value < length:
                    return constant + index.value * stride, terms
                text = self._index(index, length)
                return constant, [*terms, text if stride == 1 else f"{text} * {stride}"]
        return 0, [f"({self.expr(expr)} or null({self.site}))"]

    def _index(self, index: Expr, length: int) -> str:
        if isinstance(index, ThisCpu) and self.layout.program.cpus <= length:
            return "c"
        text = self.expr(index)
        return f"(i if 0 <= (i := {text}) < {length} else outside({self.site}, i, {length}))"

    # --- values ------------------------------------------------------------

    def fitted(self, expr: Expr, kind: Scalar) -> str:
        """``expr``, checked against the range of the cell that receives it."""
        text = self.expr(expr)
        if (
            isinstance(expr, Const)
            and isinstance(kind, Int)
            and kind.minimum <= expr.value <= kind.maximum
        ):
            return text
        return self.received(text, kind)

    def received(self, text: str, kind: Scalar) -> str:
        """The value ``text`` for a local of type ``kind``."""
        if not isinstance(kind, Int) or not kind.ranged:
            return text
        lo, hi = kind.minimum, kind.maximum
        return f"(w if {lo} <= (w := {text}) <= {hi} else unfit({self.site}, w, {lo}, {hi}))"

    def rmw(self, op: str, old: str, operand: Expr, kind: Scalar) -> str:
        value = self.expr(operand)
        if op == "xchg":
            return self.fitted(operand, kind)
        assert isinstance(kind, Int)
        return self.received(self.wrap(f"{old} {_SYMBOLS[op]} {value}", kind.whole, op), kind)

    def wrap(self, text: str, kind: Int, op: str) -> str:
        """Arithmetic in the width of ``kind``: unsigned wraps, signed must fit."""
        if kind.signed:
            lo, hi = kind.minimum, kind.maximum
            return f"(o if {lo} <= (o := {text}) <= {hi} else overflow({self.site}, o))"
        if op in ("and", "or", "xor", "shr"):
            return f"({text})"
        return f"({text} & {kind.maximum:#x})"

    def _unary(self, expr: Unary) -> str:
        operand, kind = self.expr(expr.operand), expr.type.whole
        match expr.op:
            case "not":
                return f"(not {operand})"
            case "popcount":
                if isinstance(expr.operand.type, Int) and expr.operand.type.signed:
                    operand = f"{operand} & {(1 << expr.operand.type.bits) - 1:#x}"
                return f"({operand}).bit_count()"
            case "ffs":
                return f"((j & -j).bit_length() if (j := {operand}) else 0)"
            case "neg":
                return self.wrap(f"-{operand}", kind, "neg")
            case "inv" if kind.signed:
                return f"(~{operand})"
        return f"({operand} ^ {kind.maximum:#x})"

    def _binary(self, expr: Binary) -> str:
        left, right, op = self.expr(expr.left), self.expr(expr.right), expr.op
        kind = expr.type.whole
        match op:
            case "shl" | "shr":
                count = right
                if not (isinstance(expr.right, Const) and 0 <= expr.right.value < kind.bits):
                    count = (
                        f"(h if 0 <= (h := {right}) < {kind.bits} else badshift({self.site}, h))"
                    )
                symbol = "<<" if op == "shl" else ">>"
                return self.wrap(f"{left} {symbol} {count}", kind, op)
            case "div" | "mod":
                if not kind.signed and isinstance(expr.right, Const) and expr.right.value:
                    return f"({left} {'//' if op == 'div' else '%'} {right})"
                return f"c_{op}({self.site}, {left}, {right}, {kind.maximum})"
        text = f"({left} {_SYMBOLS[op]} {right})"
        if op in ("add", "sub", "mul"):
            return self.wrap(text, kind, op)
        return text

    def _cast(self, operand: Expr, kind: Scalar) -> str:
        text = self.expr(operand)
        if not isinstance(kind, Int):
            return text
        # The number of a cell, where it comes from a pointer.
        source = operand.type.whole if isinstance(operand.type, Int) else U64
        if kind.bits == 1 and not kind.signed:
            return f"({text} != 0)"
        if kind.minimum <= source.minimum and source.maximum <= kind.maximum:
            return text
        mask = (1 << kind.bits) - 1
        if kind.signed:
            half = 1 << (kind.bits - 1)
            return f"((({text} + {half}) & {mask:#x}) - {half})"
        return f"({text} & {mask:#x})"

    # --- messages ----------------------------------------------------------

    def formatted(self, message: str, arguments: tuple[Expr, ...]) -> str:
        """A Python expression for the C format with its arguments."""
        if not arguments:
            return repr(message.replace("%%", "%"))
        values = ", ".join(f"int({self.expr(argument)})" for argument in arguments)
        return f"({convert_format(message)!r} % ({values},))"


def convert_format(message: str) -> str:
    """A C format with integer conversions as a Python one (``%p`` is hex)."""

    def convert(match: re.Match[str]) -> str:
        sharp, width, kind = match.groups()
        if kind == "%":
            return "%%"
        return f"%{sharp}{width}{ {'p': '#x', 'u': 'd'}.get(kind, kind) }".replace("##", "#")

    return _CONVERSION.sub(convert, message)
