"""Interrupts stand on top of threads: a pass from IR to IR.

A CPU's interrupt context is an agent of its own.  While it handles an interrupt,
which the machine's register ``in_interrupt`` tells, the thread of the CPU must
not move: each of its steps begins by assuming so.  Functions that both contexts
run are there twice.  The pass runs when the steps are placed.
"""

from __future__ import annotations

from dataclasses import replace

from pmaplab.errors import IRError, Location
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.nodes import (
    INTERRUPT,
    THREAD,
    Agent,
    Assume,
    Block,
    Call,
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
INTERRUPTED = "interrupted"


def suspend_threads(program: Program, waiting: str | None = None) -> Program:
    """``program`` with the threads of interrupted CPUs at a stand.

    A step that begins with a call of ``waiting`` is left to itself: it is made
    without a CPU.  The program is returned as it is if it has no interrupt
    contexts.  Raises IRError where the machine has no such register, or a name
    is taken.
    """
    agents: dict[str, list[str]] = {THREAD: [], INTERRUPT: []}
    for agent in program.agents:
        agents.setdefault(agent.context, []).append(agent.entry)
    if not agents[INTERRUPT]:
        return program
    threads = _plain(program, agents[THREAD])
    program = _apart(program, agents[INTERRUPT], threads, "in_interrupt")
    functions = dict(program.functions)
    guard = Guard(program, waiting)
    entries = set(agents[THREAD])
    for name in threads:
        functions[name] = guard.guarded(functions[name], name in entries)
    return replace(program, functions=functions)


def called_twice(program: Program, entry: str, suffix: str) -> Program:
    """``program`` in which ``entry`` has functions for itself, where other agents
    run them too.  Raises IRError where a name is taken."""
    others = [each for each in program.entries if each != entry]
    return _apart(program, [entry], _plain(program, others), suffix)


def _apart(program: Program, entries: list[str], taken: set[str], suffix: str) -> Program:
    own = _plain(program, entries)
    twice = {name: f"{name}_{suffix}" for name in sorted(own & taken)}
    functions = dict(program.functions)
    for name, twin in twice.items():
        if twin in functions:
            context = suffix.removeprefix("in_")
            raise IRError(f"the {context} context needs the name {twin!r} for itself")
        functions[twin] = replace(functions[name], name=twin)
    for name in own:
        target = twice.get(name, name)
        functions[target] = calling(functions[target], twice)
    return replace(program, functions=functions)


def _plain(program: Program, entries: list[str]) -> set[str]:
    return {n for n in reachable_functions(program, entries) if not program.functions[n].atomic}


def stands_still(program: Program, agent: Agent) -> bool:
    """Whether each step of a thread begins by assuming that its CPU handles no
    interrupt, and INTERRUPTED serves for nothing else in its code."""
    guard = Guard(program).code(program.functions[agent.entry].loc)
    for name in _plain(program, [agent.entry]):
        function = program.functions[name]
        for number, block in enumerate(function.blocks):
            code, guards = block.instructions, set[int]()
            first = [0] if name == agent.entry and number == 0 else []
            for at in [*first, *(i + 1 for i, item in enumerate(code) if isinstance(item, Step))]:
                if [replace(i, loc=guard[0].loc) for i in code[at : at + 2]] != [*guard]:
                    return False
                guards |= {at, at + 1}
            for at, item in enumerate((*code, block.terminator)):
                if at not in guards and INTERRUPTED in reads(item) | {writes(item)}:
                    return False
    return True


class Guard:
    """What keeps a thread from going on while its CPU handles an interrupt."""

    # How many instructions it is.
    length = 2

    def __init__(self, program: Program, waiting: str | None = None) -> None:
        self.waiting = waiting
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

    def code(self, loc: Location) -> tuple[Instruction, ...]:
        return (
            Load(INTERRUPTED, self.flag, loc),
            Assume(Unary("not", Local(INTERRUPTED, BOOL), BOOL), loc),
        )

    def guarded(self, function: Function, entry: bool) -> Function:
        """``function`` with the guard in each of its steps."""
        blocks = []
        for number, block in enumerate(function.blocks):
            code: list[Instruction] = []
            if entry and number == 0 and not self._waits(block, 0):
                code += self.code(function.loc)
            for index, item in enumerate(block.instructions):
                code.append(item)
                if isinstance(item, Step) and not self._waits(block, index):
                    code += self.code(item.loc)
            blocks.append(Block(block.label, tuple(code), block.terminator))
        variables = {**function.variables, INTERRUPTED: BOOL}
        return replace(function, blocks=tuple(blocks), variables=variables)

    def _waits(self, block: Block, index: int) -> bool:
        following = block.instructions[index + 1 : index + 2]
        return any(isinstance(i, Call) and i.function == self.waiting for i in following)
