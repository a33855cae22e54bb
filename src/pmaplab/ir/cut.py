"""Cutting functions into steps: at most one visible access in each.

The pass inserts a :class:`~pmaplab.ir.nodes.Step` before a visible access
whenever another one may have happened since the last step, and before a CPU
enters a region in which failures do not count, so that every state outside of
it can be looked at by the properties.  It works across calls: what a caller did counts in the
callee, and the reverse.
"""

from __future__ import annotations

from dataclasses import replace

from pmaplab.ir.access import Sharing
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.nodes import (
    Block,
    Call,
    Enter,
    Function,
    Instruction,
    Program,
    Step,
)
from pmaplab.ir.walk import successors


def cut(program: Program, plain: Program | None = None) -> Program:
    """``program`` with its steps placed; agents' functions only.

    ``plain`` is the program from which a pass has made it, as in Sharing.
    """
    return _Cutter(program, Sharing(plain or program, program)).run()


class _Cutter:
    """Fixpoint over one bit per place: "an access may have happened"."""

    def __init__(self, program: Program, sharing: Sharing) -> None:
        self.program = program
        self.sharing = sharing
        self.exempt = {region for i in program.invariants for region in i.exempt}
        self.functions = [
            program.functions[name]
            for name in sorted(reachable_functions(program, program.entries))
            if not program.functions[name].atomic
        ]
        self.at_entry = {f.name: False for f in self.functions}
        self.at_exit = {f.name: False for f in self.functions}
        self.at_block = {(f.name, b.label): False for f in self.functions for b in f.blocks}

    def run(self) -> Program:
        changed = True
        while changed:
            before = (dict(self.at_entry), dict(self.at_exit), dict(self.at_block))
            for function in self.functions:
                for block in function.blocks:
                    self._block(function, block)
            changed = before != (self.at_entry, self.at_exit, self.at_block)
        functions = dict(self.program.functions)
        for function in self.functions:
            blocks = tuple(
                replace(block, instructions=tuple(self._block(function, block)))
                for block in function.blocks
            )
            functions[function.name] = replace(function, blocks=blocks)
        return replace(self.program, functions=functions)

    def _block(self, function: Function, block: Block) -> list[Instruction]:
        """The block with its steps, and the facts of its successors updated."""
        dirty = self.at_block[function.name, block.label]
        if block is function.blocks[0]:
            dirty = dirty or self.at_entry[function.name]
        result: list[Instruction] = []
        for instruction in block.instructions:
            visible = self.sharing.visible(function, instruction)
            enters = isinstance(instruction, Enter) and instruction.region in self.exempt
            if dirty and (visible or enters):
                result.append(Step(instruction.loc))
                dirty = False
            result.append(instruction)
            if isinstance(instruction, Step):
                dirty = False
            elif visible:
                dirty = True
            elif isinstance(instruction, Call) and instruction.function in self.at_entry:
                self.at_entry[instruction.function] |= dirty
                dirty = self.at_exit[instruction.function]
        targets = successors(block.terminator)
        for target in targets:
            self.at_block[function.name, target] |= dirty
        if not targets:
            self.at_exit[function.name] |= dirty
        return result
