"""Which searches cannot differ, so that one of them is enough."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from pmaplab.ir.nodes import Block, Branch, Function, Jump, Program, Terminator
from pmaplab.ir.printer import print_program
from pmaplab.search.bfs import search
from pmaplab.search.result import Limits, Violation
from pmaplab.search.run import Move
from pmaplab.system import System


@dataclass(frozen=True)
class Begun:
    """A system before its search.

    ``digest`` is equal for systems whose searches cannot differ: the same code
    from the same memory.  ``bring_up`` are the moves before the search, and
    ``violations`` what fails in them.
    """

    digest: str
    bring_up: tuple[Move, ...]
    violations: dict[str, Violation]


def begin(system: System) -> Begun:
    """Run the bring-up of ``system``, if it has one."""
    text = print_program(relabelled(system.program), locations=False)
    if system.bring_up is None:
        return Begun(_digest(text), (), {})
    # A search of no states judges the bring-up alone.
    result = search(system, limits=Limits(states=0))
    return Begun(_digest(text + repr(result.start)), result.bring_up, result.violations)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def relabelled(program: Program) -> Program:
    """``program`` with its blocks numbered: a statement that the mode takes away
    leaves a gap in the labels, and nothing else."""
    functions = {name: _numbered(function) for name, function in program.functions.items()}
    return replace(program, functions=functions)


def _numbered(function: Function) -> Function:
    labels = {block.label: f"block{number}" for number, block in enumerate(function.blocks)}

    def renamed(terminator: Terminator) -> Terminator:
        match terminator:
            case Jump(block=block):
                return replace(terminator, block=labels[block])
            case Branch(then=then, otherwise=otherwise):
                return replace(terminator, then=labels[then], otherwise=labels[otherwise])
        return terminator

    blocks = tuple(
        Block(labels[block.label], block.instructions, renamed(block.terminator))
        for block in function.blocks
    )
    return replace(function, blocks=blocks)
