"""IR expressions as those of steps: addresses become variables, checks become
explicit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pmaplab.exports.ranges import Ranges
from pmaplab.exports.steps import (
    ADDRESS,
    PAGE_FAULT,
    RANGE,
    Cell,
    Cpu,
    Fetch,
    Num,
    Op,
    Slot,
    Var,
    Within,
)
from pmaplab.exports.steps import Expr as X
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
from pmaplab.ir.types import BOOL, Array, Int, Pointer, Scalar


@dataclass(frozen=True)
class Lowering:
    """Lowers the expressions of the instruction with number ``site``.

    ``read`` gives the place of a local.
    """

    layout: Layout
    ranges: Ranges
    read: Callable[[str], Var | Slot]
    site: int = 0

    def at(self, site: int) -> Lowering:
        return replace(self, site=site)

    # --- places ------------------------------------------------------------

    def place(self, address: Expr) -> Cell | Fetch:
        """The variable that a memory access touches."""
        kind = target_of(address)
        value = kind.whole if isinstance(kind, Int) else ADDRESS
        number = self.expr(address)
        group = self.ranges.candidates(address)
        if isinstance(number, Num) and group == (number.value,):
            return Cell(number.value, value)
        return Fetch(group, number, value, self.site)

    def _mask(self, cpu: X) -> Cell | Fetch:
        first, cpus = self.layout.regions, self.layout.program.cpus
        if cpus == 1:
            return Cell(first, ADDRESS)
        number = Op("add", (cpu, Num(first, ADDRESS)), ADDRESS, self.site, True)
        return Fetch(tuple(range(first, first + cpus)), number, ADDRESS, self.site)

    def own_mask(self) -> Cell | Fetch:
        """The region mask of the running CPU."""
        return self._mask(Cpu(ADDRESS))

    # --- values ------------------------------------------------------------

    def fitted(self, expr: Expr, kind: Scalar) -> X:
        """``expr``, checked against the range of the variable that receives it."""
        return self.received(self.expr(expr), kind)

    def received(self, value: X, kind: Scalar) -> X:
        """``value`` for a variable of type ``kind``."""
        if not isinstance(kind, Int) or not kind.ranged:
            return value
        lo, hi = kind.minimum, kind.maximum
        if isinstance(value, Num) and lo <= value.value <= hi:
            return value
        return Within(value, lo, hi, RANGE, self.site, value.kind)

    def expr(self, expr: Expr) -> X:
        match expr:
            case Const(value=value, type=kind):
                return Num(value, _int(kind).whole)
            case Local(name=name):
                return self.read(name)
            case ThisCpu():
                return Cpu()
            case GlobalAddress(name=name):
                return Num(self.layout.bases[name], ADDRESS)
            case FieldAddress(base=base, struct=struct, field=field):
                return _plus(self._base(base), Num(self.layout.offsets[struct, field], ADDRESS))
            case IndexAddress():
                return self._index(expr)
            case InRegion(cpu=cpu, region=region):
                bit = self.layout.program.regions.index(region)
                number = self.expr(cpu)
                most = self.layout.program.cpus - 1
                if not isinstance(number, Cpu):
                    number = Within(number, 0, most, PAGE_FAULT, self.site, number.kind)
                mask = self._mask(_address(number))
                inside = Op("and", (mask, Num(1 << bit, ADDRESS)), ADDRESS, self.site, True)
                return Op("ne", (inside, Num(0, ADDRESS)), BOOL)
            case Unary(op=op, operand=operand, type=kind):
                exact = id(expr) not in self.ranges.wraps
                return Op(op, (self.expr(operand),), kind.whole, self.site, exact)
            case Binary(op=op, left=left, right=right, type=kind):
                exact = id(expr) not in self.ranges.wraps
                operands = (self.expr(left), self.expr(right))
                return Op(op, operands, kind.whole, self.site, exact)
            case Cast(operand=operand, type=kind):
                return self._cast(self.expr(operand), operand.type, kind)
            case Select(condition=condition, then=then, otherwise=otherwise, type=kind):
                parts = (self.expr(condition), self.expr(then), self.expr(otherwise))
                return Op("select", parts, _int(kind).whole)

    def _base(self, base: Expr) -> X:
        """A pointer that something is taken from: it is not NULL.

        So is that of an access, the address of which has no such check here:
        there is no cell with the number 0.
        """
        value = self.expr(base)
        if isinstance(base, GlobalAddress | FieldAddress | IndexAddress):
            return value
        most = self.layout.regions - 1
        if isinstance(value, Num) and 0 < value.value <= most:
            return value
        return Within(value, 1, most, PAGE_FAULT, self.site, ADDRESS)

    def _index(self, expr: IndexAddress) -> X:
        kind = expr.base.type
        assert isinstance(kind, Pointer) and isinstance(kind.target, Array)
        stride = Num(self.layout.size_of(kind.target.element), ADDRESS)
        index = self.expr(expr.index)
        inside = isinstance(index, Cpu) and self.layout.program.cpus <= expr.length
        known = isinstance(index, Num) and 0 <= index.value < expr.length
        if not inside and not known:
            index = Within(index, 0, expr.length - 1, PAGE_FAULT, self.site, index.kind)
        index = _address(index)
        if isinstance(index, Num):
            offset: X = Num(index.value * stride.value, ADDRESS)
        elif stride.value == 1:
            offset = index
        else:
            offset = Op("mul", (index, stride), ADDRESS, self.site, True)
        return _plus(self._base(expr.base), offset)

    def _cast(self, value: X, source: Scalar, kind: Scalar) -> X:
        if not isinstance(kind, Int):
            if isinstance(source, Pointer) or isinstance(value, Num):
                return replace(value, kind=ADDRESS)
            # A number that is no cell is nothing that the exports could hold.
            most = self.layout.regions - 1
            return Within(_address(value), 0, most, RANGE, self.site, ADDRESS)
        return Op("cast", (value,), kind.whole, self.site)


def _address(value: X) -> X:
    """A number that is not negative, as an address."""
    if isinstance(value, Num | Cpu):
        return replace(value, kind=ADDRESS)
    return value if value.kind == ADDRESS else Op("cast", (value,), ADDRESS)


def _plus(left: X, right: X) -> X:
    if isinstance(left, Num) and isinstance(right, Num):
        return Num(left.value + right.value, ADDRESS)
    if isinstance(right, Num) and right.value == 0:
        return left
    if isinstance(left, Op) and left.name == "add" and isinstance(right, Num):
        inner, last = left.operands
        if isinstance(last, Num):
            return _plus(inner, Num(last.value + right.value, ADDRESS))
    if isinstance(left, Num):
        left, right = right, left
    return Op("add", (left, right), ADDRESS, 0, True)


def _int(kind: Scalar) -> Int:
    return kind if isinstance(kind, Int) else ADDRESS


def target_of(address: Expr) -> Scalar:
    """What ``address`` points to."""
    kind = address.type
    assert isinstance(kind, Pointer)
    target = kind.target
    assert isinstance(target, Int | Pointer)
    return target
