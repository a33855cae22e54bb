"""Which locals are still needed, so that the state holds no others."""

from __future__ import annotations

from pmaplab.ir.dataflow import assigned_at_entry
from pmaplab.ir.nodes import Call, Function, Program, Step
from pmaplab.ir.walk import reads, successors, writes

# (block, index) -> the locals that are live just before that instruction.
Liveness = dict[tuple[str, int], frozenset[str]]


def live_before(function: Function) -> Liveness:
    """Backward liveness of ``function``; the terminator has the last index."""
    at_start: dict[str, frozenset[str]] = {b.label: frozenset() for b in function.blocks}
    result: Liveness = {}
    changed = True
    while changed:
        changed = False
        for block in reversed(function.blocks):
            live: set[str] = set()
            for target in successors(block.terminator):
                live |= at_start[target]
            live |= reads(block.terminator)
            result[block.label, len(block.instructions)] = frozenset(live)
            for index in range(len(block.instructions) - 1, -1, -1):
                instruction = block.instructions[index]
                live.discard(writes(instruction) or "")
                live |= reads(instruction)
                result[block.label, index] = frozenset(live)
            if frozenset(live) != at_start[block.label]:
                at_start[block.label] = frozenset(live)
                changed = True
    return result


def assigned_before(function: Function) -> Liveness:
    """The locals that have a value just before each instruction, whether anybody
    still reads it or not."""
    at_start = assigned_at_entry(function)
    result: Liveness = {}
    for block in function.blocks:
        known = at_start.get(block.label, frozenset())
        for index, instruction in enumerate(block.instructions):
            result[block.label, index] = known
            target = writes(instruction)
            if target is not None:
                known |= {target}
        result[block.label, len(block.instructions)] = known
    return result


def kept_across_steps(program: Program, function: Function, live: Liveness) -> frozenset[str]:
    """The locals that some later step of the same activation still reads."""
    kept: set[str] = set()
    for block in function.blocks:
        for index, instruction in enumerate(block.instructions):
            after = live[block.label, index + 1]
            if isinstance(instruction, Step):
                kept |= after
            elif (
                isinstance(instruction, Call) and not program.functions[instruction.function].atomic
            ):
                kept |= after - {instruction.target or ""}
    return frozenset(kept)
