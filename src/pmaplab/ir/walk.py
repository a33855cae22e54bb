"""What an instruction reads and writes, in one place for all passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar, get_args

from pmaplab.ir.nodes import (
    Assert,
    Assign,
    Assume,
    Binary,
    Block,
    Branch,
    Call,
    Cast,
    Choose,
    CmpXchg,
    Expr,
    FieldAddress,
    Function,
    IndexAddress,
    InRegion,
    Instruction,
    Jump,
    Load,
    Local,
    Print,
    Return,
    Rmw,
    Select,
    Store,
    Terminator,
    Unary,
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


def subexpressions(expr: Expr) -> Iterator[Expr]:
    """``expr`` and everything below it."""
    yield expr
    match expr:
        case FieldAddress(base=base):
            yield from subexpressions(base)
        case IndexAddress(base=base, index=index):
            yield from subexpressions(base)
            yield from subexpressions(index)
        case Unary(operand=operand) | Cast(operand=operand):
            yield from subexpressions(operand)
        case Binary(left=left, right=right):
            yield from subexpressions(left)
            yield from subexpressions(right)
        case Select(condition=condition, then=then, otherwise=otherwise):
            yield from subexpressions(condition)
            yield from subexpressions(then)
            yield from subexpressions(otherwise)
        case InRegion(cpu=cpu):
            yield from subexpressions(cpu)


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
    match instruction:
        case Load(address=address) | Store(address=address):
            return address
        case Rmw(address=address) | CmpXchg(address=address):
            return address
    return None


def values_of(item: Instruction | Terminator) -> tuple[Expr, ...]:
    """The operands of ``item`` other than the address of a memory access."""
    match item:
        case Assign(value=value) | Store(value=value):
            return (value,)
        case Rmw(operand=operand):
            return (operand,)
        case CmpXchg(expected=expected, desired=desired):
            return (expected, desired)
        case Assume(condition=condition) | Branch(condition=condition):
            return (condition,)
        case Choose(lo=lo, hi=hi):
            return (lo, hi)
        case Assert(condition=condition, arguments=arguments):
            return (condition, *arguments)
        case Call(arguments=arguments) | Print(arguments=arguments):
            return arguments
        case Return(value=value):
            return () if value is None else (value,)
    return ()


def operands(item: Instruction | Terminator) -> tuple[Expr, ...]:
    """Every expression of ``item``."""
    address = None if isinstance(item, Jump | Branch | Return) else address_of(item)
    return values_of(item) if address is None else (address, *values_of(item))


def expressions(item: Instruction | Terminator) -> Iterator[Expr]:
    """Every expression of ``item``, and everything below it."""
    for operand in operands(item):
        yield from subexpressions(operand)


def reads(item: Instruction | Terminator) -> set[str]:
    """The locals whose values ``item`` uses."""
    return {sub.name for sub in expressions(item) if isinstance(sub, Local)}


def writes(item: Instruction | Terminator) -> str | None:
    """The local that ``item`` assigns."""
    match item:
        case Assign(target=target) | Load(target=target) | Choose(target=target):
            return target
        case Rmw(target=target) | Call(target=target) | CmpXchg(target=target):
            return target
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
