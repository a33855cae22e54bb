"""Branches on what the way to them has just decided.

Macros say how their loop ended in a variable: `__found = 1; break; ... __found != 0`.
A jump to such a branch goes where the branch will go, so that what is assigned on
one of the ways only has a value there.
"""

from __future__ import annotations

from dataclasses import replace

from pmaplab.ir.nodes import Assign, Binary, Block, Branch, Cast, Const, Expr, Function, Jump, Local
from pmaplab.ir.walk import successors, writes


def thread_constants(function: Function) -> Function:
    """``function`` with its jumps led through branches that are decided."""
    blocks = {block.label: block for block in function.blocks}
    for label, block in blocks.items():
        blocks[label] = _led(block, blocks)
    kept: dict[str, Block] = {}
    work = [function.blocks[0].label]
    while work:
        label = work.pop()
        if label not in kept:
            kept[label] = blocks[label]
            work += successors(blocks[label].terminator)
    return replace(function, blocks=tuple(blocks[label] for label in blocks if label in kept))


def _led(block: Block, blocks: dict[str, Block]) -> Block:
    if not isinstance(block.terminator, Jump):
        return block
    known: dict[str, int] = {}
    for item in block.instructions:
        known.pop(writes(item) or "", None)
        if isinstance(item, Assign) and isinstance(item.value, Const):
            known[item.target] = item.value.value
    target = blocks[block.terminator.block]
    if target.instructions or not isinstance(target.terminator, Branch):
        return block
    found = _value(target.terminator.condition, known)
    if found is None:
        return block
    chosen = target.terminator.then if found else target.terminator.otherwise
    return replace(block, terminator=replace(block.terminator, block=chosen))


def _value(expr: Expr, known: dict[str, int]) -> int | None:
    """The value of a comparison of what is known; None for anything else."""
    match expr:
        case Const(value=value):
            return value
        case Local(name=name):
            return known.get(name)
        case Cast(operand=operand, type=kind) if kind == operand.type:
            return _value(operand, known)
        case Binary(op="eq" | "ne" as op, left=left, right=right):
            a, b = _value(left, known), _value(right, known)
            if a is None or b is None:
                return None
            return int((a == b) == (op == "eq"))
    return None
