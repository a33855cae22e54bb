"""The accesses of one function, through a store buffer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import chain

from pmaplab.errors import Location
from pmaplab.ir.nodes import (
    Assert,
    Assign,
    Binary,
    Call,
    Cast,
    CmpXchg,
    Const,
    Expr,
    Fence,
    FieldAddress,
    Function,
    GlobalAddress,
    IndexAddress,
    Instruction,
    Load,
    Local,
    Rmw,
    Store,
)
from pmaplab.ir.types import BOOL, Int, Pointer, Scalar, same_kind
from pmaplab.machine.store_buffer import StoreBuffers, cell_kind


class Rewriter:
    """``function`` with its accesses made by functions of ``buffers``.

    ``buffered`` tells of an address whether loads and stores of it go through
    the buffer; ``need`` is given each function that the result calls, and
    returns its name.
    """

    def __init__(
        self,
        function: Function,
        buffers: StoreBuffers,
        buffered: Callable[[Expr], bool],
        need: Callable[[Function], str],
    ) -> None:
        self.function = function
        self.buffers = buffers
        self.buffered = buffered
        self.need = need
        self.variables = dict(function.variables)

    def run(self) -> Function:
        blocks = []
        for block in self.function.blocks:
            code = chain.from_iterable(map(self._new, block.instructions))
            blocks.append(replace(block, instructions=tuple(code)))
        return replace(self.function, blocks=tuple(blocks), variables=self.variables)

    def _new(self, item: Instruction) -> list[Instruction]:
        match item:
            case Load(target=target, address=address) if self.buffered(address):
                kind = cell_kind(cell_of(address))
                return self._call(target, self.buffers.load(kind), item, kind, ())
            case Store(address=address, value=value) if self.buffered(address):
                kind = cell_kind(cell_of(address))
                checked, fits = self._fitted(value, cell_of(address), item.loc)
                return fits + self._call(None, self.buffers.store(kind), item, kind, (checked,))
            case Rmw(target=old, op=op, address=address, operand=operand):
                kind = _exact_kind(cell_of(address))
                return self._call(old, self.buffers.locked(op, kind), item, kind, (operand,))
            case CmpXchg(target=old, address=address, expected=expected, desired=desired):
                kind = _exact_kind(cell_of(address))
                values = (expected, desired)
                return self._call(old, self.buffers.cmpxchg(kind), item, kind, values)
            case Fence(loc=loc):
                return [Call(None, self.need(self.buffers.wait_empty()), (), loc)]
        return [item]

    def _call(
        self,
        target: str | None,
        function: Function,
        item: Load | Store | Rmw | CmpXchg,
        kind: Scalar,
        values: tuple[Expr, ...],
    ) -> list[Instruction]:
        """``function(address, values)`` with everything cast to and from ``kind``."""
        address, loc = item.address, item.loc
        code: list[Instruction] = []
        if not isinstance(address, FieldAddress | IndexAddress | GlobalAddress):
            # The address of an object is checked where it is computed.
            null = Const(0, address.type)
            checked = Binary("ne", address, null, BOOL)
            code.append(Assert(checked, "page fault", "a NULL pointer is dereferenced", (), loc))
        arguments = (_as(address, Pointer(kind)), *(_as(value, kind) for value in values))
        name = self.need(function)
        wanted = None if target is None else self.variables[target]
        if isinstance(wanted, Pointer) and wanted != kind:
            found = self._temporary(kind)
            code.append(Call(found.name, name, arguments, loc))
            code.append(Assign(target or "", Cast(found, wanted), loc))
        else:
            code.append(Call(target, name, arguments, loc))
        return code

    def _fitted(self, value: Expr, kind: Scalar, loc: Location) -> tuple[Expr, list[Instruction]]:
        """``value``, checked against a declared range where it is stored, and
        not only when it reaches memory."""
        if not isinstance(kind, Int) or not kind.ranged:
            return value, []
        if isinstance(value, Const) and kind.minimum <= value.value <= kind.maximum:
            return value, []
        fitting = self._temporary(kind)
        return Local(fitting.name, kind.whole), [Assign(fitting.name, value, loc)]

    def _temporary(self, kind: Scalar) -> Local:
        name = f".tso{len(self.variables)}"
        self.variables[name] = kind
        return Local(name, kind)


def cell_of(address: Expr) -> Scalar:
    """The type of the cell at ``address``."""
    kind = address.type
    assert isinstance(kind, Pointer) and isinstance(kind.target, Int | Pointer)
    return kind.target


def _exact_kind(kind: Scalar) -> Scalar:
    """Like cell_kind(), with the range, which a locked operation checks itself."""
    return kind if isinstance(kind, Int) else cell_kind(kind)


def _as(value: Expr, kind: Scalar) -> Expr:
    return value if same_kind(kind, value.type) else Cast(value, kind)
