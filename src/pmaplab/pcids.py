"""PCIDs that count no more are forgotten, and a kernel that looks at one is noticed.

What a pmap has as its PCID on a CPU counts as long as it is of the CPU's own generation.
In scenarios without a bound a CPU forgets those that are not (scenarios/generations.py),
so that states which differ in them alone are one.  A search shows whether that was right:
a load that finds none, whether it was forgotten or never handed out, is noticed, but where
it is only asked whether it is the kernel's, which is never forgotten.  Without such a load,
nothing depends on which PCID it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pmaplab.ir.access import key_of, other_uses
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.nodes import (
    Assert,
    Binary,
    Block,
    Branch,
    Const,
    Expr,
    Function,
    Instruction,
    Jump,
    Load,
    Local,
    Program,
    Sometimes,
    Terminator,
)
from pmaplab.ir.types import BOOL, Scalar
from pmaplab.ir.walk import children, items, operands, writes

# The name of the reduction.
PCIDS = "pcids"
# What a forgotten one becomes: that of a new pmap (sys/amd64/include/pmap.h), so that both
# are one state.
PMAP_PCID_NONE = 0xFFFFFFFF
# What brings the PCIDs of a CPU and their generations into their normal form, in scenarios
# without a bound.
NORMAL_FORM = "own_generation_first"

_CELL = ("pmap_pcids", "pm_pcid")
_LOOKED_AT = "pm_pcid is looked at where pm_gen is not the CPU's own: "


def watched(program: Program) -> Program:
    """``program``, its steps not placed yet, in which nothing that a load of a PCID finds
    goes unnoticed (:func:`looked_at`) if it was forgotten."""
    asked = [invariant.function for invariant in program.invariants]
    judging = reachable_functions(program, asked)
    # The partial order does less where an invariant passes a label.
    judging -= reachable_functions(program, (*program.entries, *program.exempt_when.values()))
    spared = reachable_functions(program, [NORMAL_FORM])
    functions = {
        name: function
        if name in spared
        else _Watching(function, judging=name in judging).function()
        for name, function in program.functions.items()
    }
    return replace(program, functions=functions)


def looked_at(texts: Iterable[str]) -> str | None:
    """Where a watched program has looked at a PCID that was forgotten, of the labels that
    it passed and the messages of what failed; None where it has not."""
    return min((text for text in texts if text.startswith(_LOOKED_AT)), default=None)


class _Watching:
    """One function; ``judging`` if it is part of no step."""

    def __init__(self, before: Function, *, judging: bool) -> None:
        self.before = before
        self.judging = judging
        self.compared = _only_compared(before)
        self.blocks: list[Block] = []

    def function(self) -> Function:
        """The function, watched."""
        for block in self.before.blocks:
            self._block(block)
        return replace(self.before, blocks=tuple(self.blocks))

    def _block(self, block: Block) -> None:
        label, code = block.label, list[Instruction]()
        for number, item in enumerate(block.instructions):
            if _CELL in other_uses(item):
                code.append(self._noticed(item))
            code.append(item)
            if not isinstance(item, Load) or key_of(item.address) != _CELL:
                continue
            if item.target in self.compared:
                continue
            known = _is_known(item.target, self.before.variables[item.target])
            if self.judging:
                code.append(self._failing(item, known))
                continue
            then, otherwise = f"{block.label}.forgotten{number}", f"{block.label}.known{number}"
            self.blocks.append(Block(label, tuple(code), Branch(known, otherwise, then, item.loc)))
            self.blocks.append(Block(then, (self._noticed(item),), Jump(otherwise, item.loc)))
            label, code = otherwise, []
        if _CELL in other_uses(block.terminator):
            code.append(self._noticed(block.terminator))
        self.blocks.append(Block(label, tuple(code), block.terminator))

    def _noticed(self, item: Instruction | Terminator) -> Instruction:
        if self.judging:
            return self._failing(item, Const(0, BOOL))
        return Sometimes(self._text(item), item.loc)

    def _failing(self, item: Instruction | Terminator, unless: Expr) -> Assert:
        return Assert(unless, "KASSERT", self._text(item), (), item.loc)

    def _text(self, item: Instruction | Terminator) -> str:
        return f"{_LOOKED_AT}{self.before.name} at {item.loc.file}:{item.loc.line}"


def _is_known(name: str, kind: Scalar) -> Expr:
    return Binary("ne", Local(name, kind), Const(PMAP_PCID_NONE, kind), BOOL)


def _only_compared(function: Function) -> frozenset[str]:
    """The locals that hold nothing but what loads of PCIDs have found, and are only asked
    whether they are equal to 0: PMAP_PCID_KERN, which is never forgotten."""
    written: dict[str, bool] = {}
    used: set[str] = set(function.parameters)
    for item in items(function):
        target = writes(item)
        if target is not None:
            loads = isinstance(item, Load) and key_of(item.address) == _CELL
            written[target] = written.get(target, True) and loads
        for operand in operands(item):
            used.update(_used(operand))
    return frozenset(name for name, loads in written.items() if loads) - used


def _used(expr: Expr) -> Iterator[str]:
    """The locals whose value matters beyond such a comparison."""
    match expr:
        case Binary(op="eq" | "ne", left=Local(), right=Const(value=0)):
            return
        case Local(name=name):
            yield name
    for below in children(expr):
        yield from _used(below)
