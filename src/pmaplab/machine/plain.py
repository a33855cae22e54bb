"""Which functions run as plain code under tso, and which of the atomic ones are
taken apart into their stores."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from pmaplab.ir.callgraph import callees, reachable_functions
from pmaplab.ir.nodes import Assume, Call, Choose, Function, Instruction, Program, Store
from pmaplab.ir.walk import instructions, successors


def plain_functions(program: Program, roots: Iterable[str], past: Collection[str]) -> set[str]:
    """What the ``roots`` run, other than from within the functions ``past``."""
    reached: set[str] = set()
    pending = list(roots)
    while pending:
        name = pending.pop()
        if name not in reached and name not in past:
            reached.add(name)
            pending.extend(callees(program.functions[name]))
    return reached


def store_count(program: Program, name: str, buffered: Callable[[Instruction], bool]) -> int:
    """How many buffered stores a call of the function may make: exact up to 1,
    more than 1 for all others."""
    function, count = program.functions[name], 0
    for item in instructions(function):
        if isinstance(item, Call):
            count += store_count(program, item.function, buffered)
        else:
            count += isinstance(item, Store) and buffered(item)
    return 2 * count if _has_loop(function) else count


def _has_loop(function: Function) -> bool:
    targets = {block.label: successors(block.terminator) for block in function.blocks}
    for label in targets:
        reached: set[str] = set()
        pending = list(targets[label])
        while pending:
            target = pending.pop()
            if target == label:
                return True
            if target not in reached:
                reached.add(target)
                pending.extend(targets[target])
    return False


def taken_apart(
    program: Program, plain: Collection[str], buffered: Callable[[Instruction], bool]
) -> set[str]:
    """Those of the functions ``plain`` that are atomic only to save states.

    They make several stores, and nothing depends on their being made at once:
    they load nothing that is buffered, wait for nothing, choose nothing, and
    run from code that is not atomic, or from each other.
    """
    result = {
        name
        for name in plain
        if program.functions[name].atomic
        and store_count(program, name, buffered)
        and not any(
            isinstance(item, Assume | Choose) or (buffered(item) and not isinstance(item, Store))
            for reached in reachable_functions(program, [name])
            for item in instructions(program.functions[reached])
        )
    }
    changed = True
    while changed:
        changed = False
        for name in plain:
            if program.functions[name].atomic and name not in result:
                kept = result.intersection(callees(program.functions[name]))
                changed = changed or bool(kept)
                result -= kept
    # Of one store there is nothing to take apart, unless something else is.
    return {name for name in result if store_count(program, name, buffered) > 1}
