"""Marks under the memory model tso: points that a CPU has passed for good.

A property that asks of one CPU, and whether *another* one has passed a mark,
relies on what that one stored before.  Memory has it only once the other's
buffer has been drained so far: until then the mark is passed in the eyes of its
own CPU alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain

from pmaplab.ir.nodes import (
    Binary,
    Call,
    Enter,
    Expr,
    Function,
    InRegion,
    Instruction,
    Leave,
    Local,
    Program,
    ThisCpu,
)
from pmaplab.ir.types import BOOL
from pmaplab.ir.walk import expressions, instructions, items, with_expressions, writes
from pmaplab.machine.store_buffer import StoreBuffers, in_memory


def marks_of_others(program: Program) -> tuple[str, ...]:
    """The marks of which something asks, and maybe not of the own CPU."""
    asked: set[str] = set()
    left: set[str] = set()
    for function in program.functions.values():
        for item in items(function):
            if isinstance(item, Leave):
                left.add(item.region)
            asked.update(
                sub.region
                for sub in expressions(item)
                if isinstance(sub, InRegion) and not _is_own(program, function, sub.cpu)
            )
    return tuple(region for region in program.regions if region in asked - left)


def _is_own(program: Program, function: Function, cpu: Expr) -> bool:
    """Whether ``cpu`` is the one that an invariant or a condition is asked for."""
    if isinstance(cpu, ThisCpu):
        return True
    return (
        isinstance(cpu, Local)
        and function.name in program.observers
        and cpu.name == function.parameters[0]
        and all(writes(item) != cpu.name for item in instructions(function))
    )


@dataclass(frozen=True)
class Marks:
    """The marks ``names``, numbered in this order."""

    names: tuple[str, ...]

    def at_once(self, function: Function) -> Function:
        """``function`` where no store waits in a buffer."""

        def new(item: Instruction) -> list[Instruction]:
            if isinstance(item, Enter) and item.region in self.names:
                return [item, Enter(in_memory(item.region), item.loc)]
            return [item]

        return _each(function, new)

    def buffered(
        self, function: Function, buffers: StoreBuffers, need: Callable[[Function], str]
    ) -> Function:
        """``function`` where marks wait for what is stored before them; ``need``
        is given each function that the result calls, and returns its name."""

        def new(item: Instruction) -> list[Instruction]:
            if isinstance(item, Enter) and item.region in self.names:
                note = need(buffers.mark(self.names.index(item.region)))
                return [Call(None, note, (), item.loc), item]
            return [with_expressions(item, self._seen)]

        result = _each(function, new)
        blocks = (
            replace(block, terminator=with_expressions(block.terminator, self._seen))
            for block in result.blocks
        )
        return replace(result, blocks=tuple(blocks))

    def _seen(self, expr: Expr) -> Expr:
        if not isinstance(expr, InRegion) or expr.region not in self.names:
            return expr
        own = Binary("eq", expr.cpu, ThisCpu(), BOOL)
        passed = Binary("land", own, expr, BOOL)
        return Binary("lor", passed, InRegion(expr.cpu, in_memory(expr.region)), BOOL)


def _each(function: Function, new: Callable[[Instruction], list[Instruction]]) -> Function:
    blocks = []
    for block in function.blocks:
        code = chain.from_iterable(map(new, block.instructions))
        blocks.append(replace(block, instructions=tuple(code)))
    return replace(function, blocks=tuple(blocks))
