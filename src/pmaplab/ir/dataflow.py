"""What follows from the assignments along the blocks of a function."""

from __future__ import annotations

from pmaplab.errors import IRError
from pmaplab.ir.nodes import Block, Function, Instruction, Terminator
from pmaplab.ir.walk import reads, successors, writes


def reachable_blocks(fn: Function) -> set[str]:
    """The labels that the entry of ``fn`` leads to; all targets must exist."""
    blocks = {block.label: block for block in fn.blocks}
    reached: set[str] = set()
    pending = [fn.blocks[0].label]
    while pending:
        label = pending.pop()
        if label not in reached:
            reached.add(label)
            pending.extend(successors(blocks[label].terminator))
    return reached


def assigned_at_entry(fn: Function) -> dict[str, frozenset[str]]:
    """For each reachable block, the locals with a value on every way to it."""
    blocks = {block.label: block for block in fn.blocks}
    first = fn.blocks[0].label
    known = {first: frozenset(fn.parameters)}
    pending = [first]
    while pending:
        block = blocks[pending.pop()]
        after = known[block.label].union(_assigned_in(block))
        for label in successors(block.terminator):
            before = known[label] & after if label in known else after
            if before != known.get(label):
                known[label] = before
                pending.append(label)
    return known


def check_assigned(fn: Function) -> None:
    """Raises :class:`IRError` where a local may be read before it has a value.

    The blocks must be well formed: no label twice, no jump to nowhere.
    """
    entry = assigned_at_entry(fn)
    for block in fn.blocks:
        known = set(entry.get(block.label, ()))
        for line in block.instructions:
            _check_reads(fn, line, known)
            target = writes(line)
            if target is not None:
                known.add(target)
        _check_reads(fn, block.terminator, known)


def _assigned_in(block: Block) -> set[str]:
    targets = (writes(line) for line in block.instructions)
    return {target for target in targets if target is not None}


def _check_reads(fn: Function, line: Instruction | Terminator, known: set[str]) -> None:
    unknown = reads(line) - known
    if unknown:
        raise IRError(
            f"{fn.name}: the local %{min(unknown)} may be read before it is assigned",
            location=line.loc,
            advice="give it a value on every path that leads here",
        )
