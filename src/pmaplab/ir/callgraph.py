"""Who calls whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pmaplab.ir.nodes import Call, Function, Program
from pmaplab.ir.walk import instructions


def calls(fn: Function) -> Iterator[Call]:
    """The call instructions of a function, in the order of its text."""
    for line in instructions(fn):
        if isinstance(line, Call):
            yield line


def callees(fn: Function) -> tuple[str, ...]:
    """The functions that ``fn`` calls, each once, in the order of its text."""
    return tuple(dict.fromkeys(call.function for call in calls(fn)))


def reachable_functions(program: Program, roots: Iterable[str]) -> set[str]:
    """The functions that run when ``roots`` do, themselves included.

    Names that the program does not declare are left out.
    """
    reached: set[str] = set()
    pending = list(roots)
    while pending:
        name = pending.pop()
        if name in program.functions and name not in reached:
            reached.add(name)
            pending.extend(callees(program.functions[name]))
    return reached


def find_recursion(program: Program) -> list[str] | None:
    """One cycle of calls, the first name again at the end, or None."""
    done: set[str] = set()
    for root, fn in program.functions.items():
        # The functions being called, outermost first, each with the callees
        # still to visit.  Not recursive: chains of calls may be long.
        chain = {} if root in done else {root: iter(callees(fn))}
        while chain:
            last = next(reversed(chain))
            name = next(chain[last], None)
            if name is None:
                done.add(last)
                del chain[last]
            elif name in chain:
                names = list(chain)
                return [*names[names.index(name) :], name]
            elif name in program.functions and name not in done:
                chain[name] = iter(callees(program.functions[name]))
    return None
