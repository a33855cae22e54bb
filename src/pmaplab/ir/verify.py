"""The verifier: what every pass and both explorers may take for granted.

:func:`verify` accepts a program only if every name is declared, every operand
has the type its place needs, no local is read before it has a value, calls do
not recurse, and atomic functions and invariants keep their promises.
"""

from __future__ import annotations

from collections.abc import Mapping

from pmaplab.errors import IRError, Location
from pmaplab.ir.callgraph import calls, find_recursion, reachable_functions
from pmaplab.ir.nodes import (
    Assume,
    Choose,
    CmpXchg,
    Enter,
    Fence,
    Function,
    Instruction,
    Leave,
    Print,
    Program,
    Rmw,
    Store,
)
from pmaplab.ir.types import BOOL, U32, same_kind
from pmaplab.ir.verify_body import check_function
from pmaplab.ir.verify_owned import check_owned
from pmaplab.ir.verify_types import check_globals, check_structs
from pmaplab.ir.walk import instructions

# What a function that only looks at the state must not do, and how to say it.
EFFECTS: Mapping[type[Instruction], str] = {
    Store: "stores to memory",
    Rmw: "writes memory",
    CmpXchg: "writes memory",
    Fence: "drains the store buffer",
    Choose: "chooses a value",
    Assume: "assumes a condition",
    Print: "prints",
    Enter: "enters a region",
    Leave: "leaves a region",
}


def verify(program: Program) -> None:
    """Raises :class:`~pmaplab.errors.IRError` on the first mistake found,
    with the location of the instruction or declaration where it stands."""
    check_structs(program)
    check_globals(program)
    for name, fn in program.functions.items():
        if fn.name != name:
            raise IRError(
                f"the function {fn.name!r} stands under the name {name!r}", location=fn.loc
            )
        check_function(program, fn)
    _check_recursion(program)
    _check_regions(program)
    _check_agents(program)
    for invariant in program.invariants:
        fn = _observer(program, invariant.function, f"the invariant {invariant.property!r}")
        for region in invariant.exempt:
            _check_region(program, region, fn.loc)
    for region, function in program.exempt_when.items():
        fn = _observer(program, function, f"the exemption of {region!r}")
        _check_region(program, region, fn.loc)
        if fn.result is None or not same_kind(BOOL, fn.result):
            raise IRError(
                f"{function} decides whether {region!r} counts, so it returns a bool",
                location=fn.loc,
            )
    shared: dict[str, bool] = {}
    for owned in program.owned:
        check_owned(program, owned)
        if shared.setdefault(owned.name, owned.shared) != owned.shared:
            raise IRError(f"{owned.name!r} is shared here, and not there", location=owned.loc)


def _check_recursion(program: Program) -> None:
    cycle = find_recursion(program)
    if cycle is not None:
        caller, callee = cycle[0], cycle[1]
        loc = next(call.loc for call in calls(program.functions[caller]) if call.function == callee)
        raise IRError(
            f"recursion: {' -> '.join(cycle)}",
            location=loc,
            advice="every agent has a stack of fixed depth: use a loop",
        )


def _check_regions(program: Program) -> None:
    for number, region in enumerate(program.regions):
        if region in program.regions[:number]:
            raise IRError(f"the region {region!r} is declared twice")


def _check_region(program: Program, region: str, loc: Location) -> None:
    if region not in program.regions:
        raise IRError(f"unknown region {region!r}", location=loc)


def _check_agents(program: Program) -> None:
    if program.cpus < 1:
        raise IRError(f"a machine has at least one CPU, not {program.cpus}")
    names: set[str] = set()
    for agent in program.agents:
        if agent.name in names:
            raise IRError(f"two agents have the name {agent.name!r}")
        names.add(agent.name)
        entry = program.functions.get(agent.entry)
        if entry is None:
            raise IRError(f"agent {agent.name!r}: unknown function {agent.entry!r}")
        if entry.parameters:
            raise IRError(
                f"agent {agent.name!r}: {entry.name} takes parameters", location=entry.loc
            )
        if not 0 <= agent.cpu < program.cpus:
            raise IRError(
                f"agent {agent.name!r}: there is no CPU {agent.cpu}",
                location=entry.loc,
                advice=f"CPUs are numbered 0 to {program.cpus - 1}",
            )


def _observer(program: Program, name: str, what: str) -> Function:
    """A function that looks at the state for one CPU and leaves it alone."""
    fn = program.functions.get(name)
    if fn is None:
        raise IRError(f"{what}: unknown function {name!r}")
    if not fn.atomic:
        raise IRError(f"{what}: {name} is not atomic", location=fn.loc)
    if [fn.variables[parameter] for parameter in fn.parameters] != [U32]:
        raise IRError(
            f"{what}: {name} must take one parameter, the number of a CPU (u32)", location=fn.loc
        )
    for called in sorted(reachable_functions(program, [name])):
        for line in instructions(program.functions[called]):
            if type(line) in EFFECTS:
                via = "" if called == name else f" calls {called}, which"
                raise IRError(
                    f"{what}: {name}{via} {EFFECTS[type(line)]}",
                    location=line.loc,
                    advice="it may only look at the state",
                )
    return fn
