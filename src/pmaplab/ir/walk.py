"""What an instruction reads and writes, in one place for all passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar, get_args

from pmaplab.ir.nodes import (
    Assert,
    Assign,
    Assume,
    Block,
    Branch,
    Call,
    Choose,
    CmpXchg,
    Expr,
    Function,
    Instruction,
    Jump,
    Load,
    Local,
    Print,
    Return,
    Rmw,
    Store,
    Terminator,
)

_EXPRESSIONS = get_args(Expr)
_Item = TypeVar("_Item", Instruction, Terminator, Expr)


def with_expressions(item: _Item, new: Callable[[Expr], Expr]) -> _Item:
    """``item`` with ``new`` applied to every expression below it, inner ones
    first."""

    def changed(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(changed, value))
        return new(with_expressions(value, new)) if isinstance(value, _EXPRESSIONS) else value

    values = {each.name: getattr(item, each.name) for each in fields(item)}
    different = {
        name: after for name, value in values.items() if (after := changed(value)) is not value
    }
    return replace(item, **different) if different else item


def calling(function: Function, instead: Mapping[str, str]) -> Function:
    """``function``, with calls of other functions where ``instead`` names them."""

    def changed(item: Instruction) -> Instruction:
        if isinstance(item, Call) and item.function in instead:
            return replace(item, function=instead[item.function])
        return item

    blocks = tuple(
        replace(block, instructions=tuple(map(changed, block.instructions)))
        for block in function.blocks
    )
    return replace(function, blocks=blocks)


# The names of the expressions right below one of each kind.
_BELOW: Mapping[type[Any], tuple[str, ...]] = {
    kind: tuple(each.name for each in fields(kind) if "Expr" in str(each.type))
    for kind in _EXPRESSIONS
}


def children(expr: Expr) -> list[Expr]:
    """The expressions right below ``expr``."""
    return [getattr(expr, name) for name in _BELOW[type(expr)]]


def subexpressions(expr: Expr) -> list[Expr]:
    """``expr`` and everything below it."""
    result: list[Expr] = []
    _collect(expr, result)
    return result


def _collect(expr: Expr, result: list[Expr]) -> None:
    result.append(expr)
    for name in _BELOW[type(expr)]:
        _collect(getattr(expr, name), result)


def instructions(function: Function) -> Iterator[Instruction]:
    for block in function.blocks:
        yield from block.instructions


def items(function: Function) -> Iterator[Instruction | Terminator]:
    """Instructions and terminators, in the order of the text."""
    for block in function.blocks:
        yield from block.instructions
        yield block.terminator


def address_of(instruction: Instruction) -> Expr | None:
    """The address that a memory access uses, or None for other instructions."""
    if isinstance(instruction, Load | Store | Rmw | CmpXchg):
        return instruction.address
    return None


# Looked up by what an item is, since all passes ask for every item.
_VALUES: Mapping[type[Any], Callable[[Any], tuple[Expr, ...]]] = {
    Assign: lambda item: (item.value,),
    Store: lambda item: (item.value,),
    Rmw: lambda item: (item.operand,),
    CmpXchg: lambda item: (item.expected, item.desired),
    Assume: lambda item: (item.condition,),
    Branch: lambda item: (item.condition,),
    Choose: lambda item: (item.lo, item.hi),
    Assert: lambda item: (item.condition, *item.arguments),
    Call: lambda item: item.arguments,
    Print: lambda item: item.arguments,
    Return: lambda item: () if item.value is None else (item.value,),
}


def values_of(item: Instruction | Terminator) -> tuple[Expr, ...]:
    """The operands of ``item`` other than the address of a memory access."""
    found = _VALUES.get(type(item))
    return () if found is None else found(item)


_OPERANDS: Mapping[type[Any], Callable[[Any], tuple[Expr, ...]]] = {
    **_VALUES,
    Load: lambda item: (item.address,),
    Store: lambda item: (item.address, item.value),
    Rmw: lambda item: (item.address, item.operand),
    CmpXchg: lambda item: (item.address, item.expected, item.desired),
}


def operands(item: Instruction | Terminator) -> tuple[Expr, ...]:
    """Every expression of ``item``, the address first."""
    found = _OPERANDS.get(type(item))
    return () if found is None else found(item)


def expressions(item: Instruction | Terminator) -> list[Expr]:
    """Every expression of ``item``, and everything below it."""
    result: list[Expr] = []
    for operand in operands(item):
        _collect(operand, result)
    return result


def reads(item: Instruction | Terminator) -> set[str]:
    """The locals whose values ``item`` uses."""
    return {sub.name for sub in expressions(item) if isinstance(sub, Local)}


def writes(item: Instruction | Terminator) -> str | None:
    """The local that ``item`` assigns."""
    if isinstance(item, Assign | Load | Choose | Rmw | Call | CmpXchg):
        return item.target
    return None


def successors(terminator: Terminator) -> tuple[str, ...]:
    match terminator:
        case Jump(block=block):
            return (block,)
        case Branch(then=then, otherwise=otherwise):
            return (then, otherwise)
        case Return():
            return ()


def predecessors(blocks: tuple[Block, ...]) -> dict[str, list[str]]:
    result: dict[str, list[str]] = {block.label: [] for block in blocks}
    for block in blocks:
        for target in successors(block.terminator):
            result[target].append(block.label)
    return result


def joins(function: Function) -> set[str]:
    """The entry, and every block that is not the only successor's own."""
    before = predecessors(function.blocks)
    return {function.blocks[0].label} | {
        label for label, sources in before.items() if len(sources) != 1
    }
