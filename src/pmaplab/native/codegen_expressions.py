"""IR expressions as C: the same checks, in the same order, as the interpreter's.

C leaves the order of operands open, so whatever can fail becomes a statement of
its own; what is left is a C expression without effects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

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
from pmaplab.ir.types import Array, Int, Pointer, Scalar

_COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_PLAIN = {"add": "+", "sub": "-", "mul": "*", "and": "&", "or": "|", "xor": "^"}
WORD = (1 << 64) - 1


@dataclass
class Lines:
    """C text with its indentation, and numbers for temporaries."""

    lines: list[str] = field(default_factory=list)
    depth: int = 0
    temporaries: int = 0

    def add(self, text: str) -> None:
        self.lines.append("\t" * self.depth + text)

    def temporary(self) -> str:
        self.temporaries += 1
        return f"t{self.temporaries}"


def number(value: int) -> str:
    """The 64 bits of ``value`` as a C constant."""
    value &= WORD
    return f"{value}ull" if value < 1 << 31 else f"{value:#x}ull"


def is_signed(kind: Scalar) -> bool:
    return isinstance(kind, Int) and kind.signed


@dataclass
class ExpressionWriter:
    """Writes expressions into ``out``; ``site`` is the instruction at hand,
    ``variable`` gives the C text of a local."""

    layout: Layout
    out: Lines
    variable: Callable[[str], str]
    site: int = 0

    def expr(self, expr: Expr) -> str:
        """A C expression for ``expr``; what can fail is written before it."""
        match expr:
            case Const(value=value):
                return number(value)
            case Local(name=name):
                return self.variable(name)
            case ThisCpu():
                return "c"
            case GlobalAddress() | FieldAddress() | IndexAddress():
                return self.address(expr)
            case InRegion(cpu=cpu, region=region):
                program = self.layout.program
                bit = number(1 << program.regions.index(region))
                index = self._index(cpu, program.cpus)
                cell = f"load(m, {self.site}, {self.layout.regions}u + {index})"
                return f"(({cell} & {bit}) != 0)"
            case Unary():
                return self._unary(expr)
            case Binary(op="land" | "lor"):
                return self._logic(expr)
            case Binary():
                return self._binary(expr)
            case Cast(operand=operand, type=kind):
                return self._cast(self.expr(operand), kind)
            case Select(condition=condition, then=then, otherwise=otherwise):
                return self._select(self.expr(condition), then, otherwise)

    def _kept(self, text: str) -> str:
        """``text``, which may fail, evaluated here."""
        name = self.out.temporary()
        self.out.add(f"uint64_t {name} = {text};")
        return name

    # --- addresses ---------------------------------------------------------

    def address(self, expr: Expr) -> str:
        """The number of the cell that ``expr`` points to, never 0."""
        constant, terms = self._sum(expr)
        if constant or not terms:
            terms = [*terms, f"{constant}u"]
        return terms[0] if len(terms) == 1 else f"({' + '.join(terms)})"

    def _sum(self, expr: Expr) -> tuple[int, list[str]]:
        match expr:
            case GlobalAddress(name=name):
                return self.layout.bases[name], []
            case FieldAddress(base=base, struct=struct, field=name):
                constant, terms = self._sum(base)
                return constant + self.layout.offsets[struct, name], terms
            case IndexAddress(base=base, index=index, length=length):
                constant, terms = self._sum(base)
                kind = base.type
                assert isinstance(kind, Pointer) and isinstance(kind.target, Array)
                stride = self.layout.size_of(kind.target.element)
                if isinstance(index, Const) and 0 <= index.value < length:
                    return constant + index.value * stride, terms
                text = self._index(index, length)
                return constant, [*terms, text if stride == 1 else f"{text} * {stride}u"]
        return 0, [self._kept(f"not_null(m, {self.site}, {self.expr(expr)})")]

    def _index(self, index: Expr, length: int) -> str:
        if isinstance(index, ThisCpu) and self.layout.program.cpus <= length:
            return "c"
        return self._kept(f"in_array(m, {self.site}, {self.expr(index)}, {length}u)")

    # --- values ------------------------------------------------------------

    def fitted(self, expr: Expr, kind: Scalar) -> str:
        """``expr``, checked against the range of the cell that receives it."""
        return self.received(self.expr(expr), kind)

    def received(self, text: str, kind: Scalar) -> str:
        """The value ``text`` for a local or a cell of type ``kind``."""
        if not isinstance(kind, Int) or not kind.ranged:
            return text
        if kind.signed:
            lo, hi = (f"(int64_t){number(bound)}" for bound in (kind.minimum, kind.maximum))
            return self._kept(f"in_range_signed(m, {self.site}, {text}, {lo}, {hi})")
        lo, hi = number(kind.minimum), number(kind.maximum)
        return self._kept(f"in_range_unsigned(m, {self.site}, {text}, {lo}, {hi})")

    def arithmetic(self, op: str, left: str, right: str, kind: Int) -> str:
        """``add sub mul and or xor`` in the width of ``kind``."""
        symbol = _PLAIN[op]
        if op in ("and", "or", "xor"):
            return f"({left} {symbol} {right})"
        if kind.signed:
            return self._kept(f"{op}_signed(m, {self.site}, {left}, {right}, {kind.bits})")
        return _masked(f"{left} {symbol} {right}", kind)

    def _unary(self, expr: Unary) -> str:
        operand, kind = self.expr(expr.operand), expr.type.whole
        match expr.op:
            case "not":
                return f"(!{operand})"
            case "popcount":
                source = expr.operand.type
                if isinstance(source, Int) and source.signed:
                    operand = f"{operand} & {number((1 << source.bits) - 1)}"
                return f"(uint64_t)__builtin_popcountll({operand})"
            case "ffs":
                return f"lowest_set({operand})"
            case "neg" if kind.signed:
                return self._kept(f"sub_signed(m, {self.site}, 0, {operand}, {kind.bits})")
            case "neg":
                return _masked(f"0 - {operand}", kind)
            case "inv" if kind.signed:
                return f"(~{operand})"
        return f"({operand} ^ {number(kind.maximum)})"

    def _binary(self, expr: Binary) -> str:
        op, kind = expr.op, expr.type.whole
        left, right = self.expr(expr.left), self.expr(expr.right)
        if op in _COMPARE:
            if is_signed(expr.left.type):
                left, right = f"(int64_t){left}", f"(int64_t){right}"
            return f"((uint64_t)({left} {_COMPARE[op]} {right}))"
        match op:
            case "shl" | "shr":
                if not (isinstance(expr.right, Const) and 0 <= expr.right.value < kind.bits):
                    right = self._kept(f"shift_count(m, {self.site}, {right}, {kind.bits})")
                if op == "shr":
                    return (
                        f"((uint64_t)((int64_t){left} >> {right}))"
                        if kind.signed
                        else (f"({left} >> {right})")
                    )
                if kind.signed:
                    return self._kept(f"shl_signed(m, {self.site}, {left}, {right}, {kind.bits})")
                return _masked(f"(uint64_t){left} << {right}", kind)
            case "div" | "mod":
                sort = f"signed(m, {self.site}, {left}, {right}, {kind.bits})"
                if not kind.signed:
                    sort = f"unsigned(m, {self.site}, {left}, {right})"
                return self._kept(f"{op}_{sort}")
        return self.arithmetic(op, left, right, kind)

    def _logic(self, expr: Binary) -> str:
        left = self.expr(expr.left)
        lines, right = self._apart(expr.right)
        if not lines:
            return f"((uint64_t)({left} {'&&' if expr.op == 'land' else '||'} {right}))"
        name = self._kept(left)
        self._only_if(name if expr.op == "land" else f"!{name}", lines, f"{name} = {right};")
        return name

    def _select(self, condition: str, then: Expr, otherwise: Expr) -> str:
        first, one = self._apart(then)
        second, other = self._apart(otherwise)
        if not first and not second:
            return f"({condition} ? {one} : {other})"
        name, test = self._kept("0"), self._kept(condition)
        self._only_if(test, first, f"{name} = {one};")
        self._only_if(f"!{test}", second, f"{name} = {other};")
        return name

    def _apart(self, expr: Expr) -> tuple[list[str], str]:
        """The statements that ``expr`` needs before it, and its text."""
        before, self.out.lines = self.out.lines, []
        self.out.depth += 1
        text = self.expr(expr)
        self.out.depth -= 1
        lines, self.out.lines = self.out.lines, before
        return lines, text

    def _only_if(self, condition: str, lines: list[str], last: str) -> None:
        self.out.add(f"if ({condition}) {{")
        self.out.lines += lines
        self.out.add("\t" + last)
        self.out.add("}")

    def _cast(self, text: str, kind: Scalar) -> str:
        if not isinstance(kind, Int):
            return text
        if kind.signed:
            return text if kind.bits == 64 else f"sign_extended({text}, {kind.bits})"
        if kind.bits == 1:
            return f"((uint64_t)({text} != 0))"
        return text if kind.bits == 64 else f"({text} & {number((1 << kind.bits) - 1)})"


def _masked(text: str, kind: Int) -> str:
    return f"({text})" if kind.bits == 64 else f"(({text}) & {number(kind.maximum)})"
