"""Whether operations can go on without end: what counts up must have a normal form.

scenarios/generations.py has that of PCID generations.  It changes nothing as long
as a CPU only compares, for equality, its own generation and what pmaps have of it,
which is checked here: the code before a search, and whose cells it reads as the
search begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pmaplab.errors import UsageError
from pmaplab.ir.access import key_of, other_uses
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.effects import Effects
from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import (
    Assign,
    Binary,
    Call,
    Cast,
    CmpXchg,
    Const,
    Expr,
    Function,
    Instruction,
    Load,
    Local,
    Program,
    Return,
    Rmw,
    Select,
    Store,
    Terminator,
)
from pmaplab.ir.walk import expressions, items, operands, subexpressions
from pmaplab.pcids import NORMAL_FORM

# What a value may be: the CPU's own generation, what a pmap has of one.
OWN, OTHER = "own", "other"
_CELLS = {("pcpu", "pcid_gen"): OWN, ("pmap_pcids", "pm_gen"): OTHER}
_CELL_NAMES = re.compile(r"__pcpu\[(\d+)\]\.pcid_gen|.*\.pm_pcids\[(\d+)\]\.pm_gen")

_Held = dict[tuple[str, str], frozenset[str]]
_NEITHER: frozenset[str] = frozenset()


def check_unbounded(scenario: str, program: Program) -> None:
    """Raises UsageError where a scenario has no operations without end, or the kernel
    does more with generations than to compare them."""
    names = reachable_functions(program, program.entries)
    if NORMAL_FORM not in names:
        raise UsageError(
            f"the scenario {scenario} has no unbounded operations",
            advice="give a number of them, or name another scenario, such as switch",
        )
    names -= reachable_functions(program, [NORMAL_FORM])
    functions = [program.functions[name] for name in sorted(names)]
    held = _held(program, functions)
    for function in functions:
        for item in items(function):
            if _is_misuse(function, item, held):
                raise _refused(f"{function.name} at {item.loc}")


def check_own(layout: Layout, start: Sequence[int]) -> None:
    """Raises UsageError where a CPU may read a generation of another one, once the
    system is in ``start``."""
    effects = Effects(layout, start)
    for cell in layout.cells:
        found = _CELL_NAMES.fullmatch(cell.name)
        if found is None:
            continue
        cpu = int(found[1] or found[2])
        for agent, effect in zip(layout.program.agents, effects.agents, strict=True):
            if agent.cpu != cpu and effect.reads >> cell.index & 1:
                raise _refused(f"CPU {agent.cpu} reads {cell.name}")


def _refused(where: str) -> UsageError:
    return UsageError(
        "a CPU does more than compare its own generations of PCIDs, so operations "
        f"need a bound: {where}",
        advice="give a number of operations",
    )


def _held(program: Program, functions: list[Function]) -> _Held:
    """What locals may hold; "" stands for a function's result."""
    held: _Held = {}
    changed = True
    while changed:
        changed = False
        for function in functions:
            for item in items(function):
                for name, kinds in _passed_on(program, function, item, held):
                    known = held.get(name, _NEITHER)
                    if not kinds <= known:
                        held[name] = known | kinds
                        changed = True
    return held


def _passed_on(
    program: Program, function: Function, item: Instruction | Terminator, held: _Held
) -> Iterator[tuple[tuple[str, str], frozenset[str]]]:
    match item:
        case Load(target=target, address=address):
            kind = _CELLS.get(key_of(address) or ("", ""))
            yield (function.name, target), _NEITHER if kind is None else frozenset([kind])
        case Assign(target=target, value=value):
            yield (function.name, target), _kinds(value, function, held)
        case Return(value=value) if value is not None:
            yield (function.name, ""), _kinds(value, function, held)
        case Call(target=result, function=name, arguments=arguments):
            if result is not None:
                yield (function.name, result), held.get((name, ""), _NEITHER)
            called = program.functions[name]
            for parameter, argument in zip(called.parameters, arguments, strict=True):
                yield (name, parameter), _kinds(argument, function, held)


def _kinds(expr: Expr, function: Function, held: _Held) -> frozenset[str]:
    """What the value of an expression may be."""
    if isinstance(expr, Binary) and expr.op in ("eq", "ne"):
        return _NEITHER
    found = [
        held.get((function.name, sub.name), _NEITHER)
        for sub in subexpressions(expr)
        if isinstance(sub, Local)
    ]
    return _NEITHER.union(*found)


def _is_misuse(function: Function, item: Instruction | Terminator, held: _Held) -> bool:
    if not other_uses(item).isdisjoint(_CELLS):
        return True
    match item:
        case Store(address=address, value=value):
            kinds = _kinds(value, function, held)
            kind = _CELLS.get(key_of(address) or ("", ""))
            if kind is None:
                if kinds:
                    return True
            elif kinds != {OWN} and not (kind == OTHER and _is(value, 0)):
                # The normal form knows no other numbers, but the first one of a CPU.
                return not (kind == OWN and _is(value, 1))
        case Load(address=address) if key_of(address) in _CELLS:
            return False
        case Rmw() | CmpXchg():
            return any(_kinds(expr, function, held) for expr in operands(item))
    return any(_computes(sub, function, held) for sub in expressions(item))


def _is(expr: Expr, value: int) -> bool:
    return isinstance(expr, Const) and expr.value == value


def _computes(expr: Expr, function: Function, held: _Held) -> bool:
    """Whether ``expr`` itself does more with generations than to compare them, or to
    count the own one up."""
    match expr:
        case Local() | Select() | Cast():
            return False
        case Binary(op="eq" | "ne", left=left, right=right):
            sides = (_kinds(left, function, held), _kinds(right, function, held))
            if OTHER in sides[0] | sides[1]:
                return not (OWN in sides[0] | sides[1] and all(sides))
            # The own one is never 0.
            return any(sides) and not (all(sides) or _is(left, 0) or _is(right, 0))
        case Binary(op="add", left=left, right=right) if _is(right, 1):
            return OTHER in _kinds(left, function, held)
        case Binary(op="land" | "lor"):
            return False
    return bool(_kinds(expr, function, held))
