"""Interrupts stand on top of threads: a pass from IR to IR.

A CPU's interrupt context is an agent of its own.  While it handles an interrupt,
which the machine's register ``in_interrupt`` tells, the thread of the CPU must
not move: each of its steps begins by assuming so.  Functions that both contexts
run are there twice.  The pass runs when the steps are placed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pmaplab.errors import IRError, Location
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.nodes import (
    INTERRUPT,
    THREAD,
    Agent,
    Assume,
    Block,
    FieldAddress,
    Function,
    GlobalAddress,
    IndexAddress,
    Instruction,
    Load,
    Local,
    Program,
    Step,
    ThisCpu,
    Unary,
)
from pmaplab.ir.types import BOOL, Array, Pointer, Struct
from pmaplab.ir.walk import calling, reads, writes

REGISTERS = "cpus"
FLAG = "in_interrupt"
HERE = "interrupted"


def suspend_threads(program: Program) -> Program:
    """``program`` with the threads of interrupted CPUs at a stand.

    It is returned as it is if it has no interrupt contexts.  Raises IRError
    where the machine has no such register, or a name is taken.
    """
    agents: dict[str, list[str]] = {THREAD: [], INTERRUPT: []}
    for agent in program.agents:
        agents.setdefault(agent.context, []).append(agent.entry)
    if not agents[INTERRUPT]:
        return program
    threads = _plain(program, agents[THREAD])
    twice = threads & _plain(program, agents[INTERRUPT])
    twins = {name: _twin(name) for name in twice}
    functions = dict(program.functions)
    for name in twice:
        functions[_twin(name)] = replace(functions[name], name=_twin(name))
    for name in _plain(program, agents[INTERRUPT]):
        target = _twin(name) if name in twice else name
        if name in twice and target in program.functions:
            raise IRError(f"the interrupt context needs the name {target!r} for itself")
        functions[target] = calling(functions[target], twins)
    guard = _Guard(program)
    entries = set(agents[THREAD])
    for name in threads:
        functions[name] = guard.guarded(functions[name], name in entries)
    return replace(program, functions=functions)


def _plain(program: Program, entries: list[str]) -> set[str]:
    return {n for n in reachable_functions(program, entries) if not program.functions[n].atomic}


def _twin(name: str) -> str:
    return f"{name}_in_interrupt"


def stands_still(program: Program, agent: Agent) -> bool:
    """Whether each step of a thread begins by assuming that its CPU handles no
    interrupt, and HERE serves for nothing else in its code."""
    for name in _plain(program, [agent.entry]):
        function = program.functions[name]
        for number, block in enumerate(function.blocks):
            code, guards = block.instructions, set[int]()
            first = [0] if name == agent.entry and number == 0 else []
            for at in [*first, *(i + 1 for i, item in enumerate(code) if isinstance(item, Step))]:
                if not _is_guard(code[at : at + 2]):
                    return False
                guards |= {at, at + 1}
            for at, item in enumerate((*code, block.terminator)):
                if at not in guards and HERE in reads(item) | {writes(item)}:
                    return False
    return True


def _is_guard(code: Sequence[Instruction]) -> bool:
    match code:
        case [
            Load(target=target),
            Assume(condition=Unary(op="not", operand=Local(name=name))),
        ]:
            return target == name == HERE
    return False


class _Guard:
    def __init__(self, program: Program) -> None:
        decl = program.globals.get(REGISTERS)
        kind = decl.type if decl is not None else None
        if not isinstance(kind, Array) or not isinstance(kind.element, Struct):
            raise IRError(f"there are interrupts, but no array {REGISTERS!r} of registers")
        struct = kind.element.name
        if program.structs[struct].field_type(FLAG) != BOOL:
            raise IRError(f"there are interrupts, but {struct} has no bool {FLAG!r}")
        own = IndexAddress(
            GlobalAddress(REGISTERS, Pointer(kind)), ThisCpu(), kind.length, Pointer(kind.element)
        )
        self.flag = FieldAddress(own, struct, FLAG, Pointer(BOOL))

    def _code(self, loc: Location) -> tuple[Instruction, ...]:
        return (
            Load(HERE, self.flag, loc),
            Assume(Unary("not", Local(HERE, BOOL), BOOL), loc),
        )

    def guarded(self, function: Function, entry: bool) -> Function:
        blocks = []
        for number, block in enumerate(function.blocks):
            code: list[Instruction] = []
            if entry and number == 0:
                code += self._code(function.loc)
            for item in block.instructions:
                code.append(item)
                if isinstance(item, Step):
                    code += self._code(item.loc)
            blocks.append(Block(block.label, tuple(code), block.terminator))
        variables = {**function.variables, HERE: BOOL}
        return replace(function, blocks=tuple(blocks), variables=variables)
