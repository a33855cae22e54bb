"""Threads that are preempted, and that migrate: passes from IR to IR.

A thread agent is a *context* here, a kernel stack, and no CPU: there are more of
them than CPUs, and the kernel's code decides on which CPU each of them runs, in
the cells ``contexts[].cpu``.  Where it runs nowhere, it stands still.

* The number of an agent is that of its context.  What stands for the number of
  the running CPU is loaded from the context's cell wherever it is used; marks of
  regions, which belong to agents, so move on with the thread.
* An interrupt is handled on the stack that it interrupts: each context has its
  interrupt agent.  Store buffers stay with the CPUs.
* A thread can be preempted before each of its steps, and within a step before
  and behind each access that depends on the CPU: such an access is invisible
  to other CPUs, but what it tells may be outdated when the thread goes on.
  ``preemptible`` says whether it is, ``sched_preempt`` is the kernel's way to
  another thread and back.  What that runs is there twice, since it is not
  preempted itself.
* A property is asked for the CPU on which a context runs, exempt where the
  context is; of one that runs nowhere nothing is asked.

:func:`add_contexts` comes before the steps are placed, :func:`preempt_threads`
behind pmaplab.machine.interrupts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from pmaplab.errors import IRError, Location
from pmaplab.ir.access import Sharing, key_of
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.nodes import (
    INTERRUPT,
    STORE_BUFFER,
    THREAD,
    Agent,
    Assert,
    Assign,
    Assume,
    Binary,
    Block,
    Branch,
    Call,
    Const,
    Enter,
    Expr,
    FieldAddress,
    Function,
    GlobalAddress,
    IndexAddress,
    InRegion,
    Instruction,
    Jump,
    Leave,
    Load,
    Local,
    Program,
    Return,
    Step,
    Terminator,
    ThisCpu,
)
from pmaplab.ir.types import BOOL, U32, Array, Pointer, Struct
from pmaplab.ir.walk import (
    address_of,
    expressions,
    instructions,
    subexpressions,
    values_of,
    with_expressions,
)
from pmaplab.machine.interrupts import Guard, called_twice

CONTEXTS = "contexts"
FIELD = "cpu"
LAST = "last"
# The functions of the kernel that the passes know.
WAIT = "next_thread"
BEGIN = "fork_trampoline"
PREEMPT = "sched_preempt"
ASK = "preemptible"
ROOTS = (WAIT, BEGIN, PREEMPT, ASK)
# The same in whatever CPU the thread runs: what tells who it is.
OWN_OF_THREAD = (("pcpu", "curthread"),)

_SPARE = "spare_context"
_NEW = "new"
HERE = Local("running_cpu", U32)
_ASKED = Local("is_preempted", BOOL)


def add_contexts(program: Program, spare: int) -> Program:
    """``program`` with ``spare`` contexts besides those of its CPUs, which wait
    for a thread.

    Raises IRError where a function of ROOTS is missing.
    """
    for name in ROOTS:
        if name not in program.functions:
            raise IRError(f"there is preemption, but no function {name!r}")
    wait, begin = program.functions[WAIT], program.functions[BEGIN]
    if _SPARE in program.functions or wait.result is None:
        raise IRError(f"{WAIT} gives no thread, or the name {_SPARE!r} is taken")
    loc = begin.loc
    new = Local(_NEW, wait.result)
    some = Binary("ne", new, Const(0, wait.result), BOOL)
    blocks = (
        Block("wait", (Call(_NEW, WAIT, (), loc),), Branch(some, "begin", "wait", loc)),
        Block("begin", (Call(None, BEGIN, (new,), loc),), Return(None, loc)),
    )
    function = Function(_SPARE, (), {_NEW: wait.result}, None, blocks, False, loc)
    contexts = range(program.cpus, program.cpus + spare)
    # The CPUs' numbers are not those of the contexts yet.
    agents = [Agent(f"context{n}", 0, THREAD, _SPARE) for n in contexts]
    # No agent of the result: it has its steps placed.
    agents.append(Agent(PREEMPT, 0, THREAD, PREEMPT))
    return replace(
        program,
        functions={**program.functions, _SPARE: function},
        agents=program.agents + tuple(agents),
    )


def preempt_threads(program: Program, spared: Collection[str], plain: Program) -> Program:
    """``program``, made by :func:`add_contexts` and with its steps placed, where
    threads are preempted and migrate, but not in the functions ``spared``.

    ``plain`` is the program before store buffers were added, if any were.
    Raises IRError where it has no array ``contexts`` for this.
    """
    return _Pass(program, frozenset(spared), plain).run()


def waits(block: Block, index: int) -> bool:
    """Whether the Step there is one of a context that waits for a thread."""
    following = block.instructions[index + 1 : index + 2]
    return any(isinstance(item, Call) and item.function == WAIT for item in following)


def contexts_of(program: Program) -> int | None:
    """How many CPUs the contexts of a result of :func:`preempt_threads` run on;
    None for any other program."""
    if _SPARE not in program.functions:
        return None
    others = sum(agent.context == THREAD and agent.entry == _SPARE for agent in program.agents)
    return sum(agent.context == THREAD for agent in program.agents) - others


class _Pass:
    def __init__(self, program: Program, spared: frozenset[str], plain: Program) -> None:
        threads = [a for a in program.agents if a.context == THREAD and a.entry != PREEMPT]
        self.cpus, self.count = program.cpus, len(threads)
        decl = program.globals.get(CONTEXTS)
        kind = decl.type if decl is not None else None
        if not isinstance(kind, Array) or not isinstance(kind.element, Struct):
            raise IRError(f"there is preemption, but no array {CONTEXTS!r}")
        struct = kind.element.name
        field = program.structs[struct].field_type(FIELD)
        if field != U32 or kind.length < self.count + self.cpus:
            raise IRError(f"{CONTEXTS!r} has too few elements, or no u32 {FIELD!r} in them")
        own = IndexAddress(
            GlobalAddress(CONTEXTS, Pointer(kind)), ThisCpu(), kind.length, Pointer(kind.element)
        )
        self.cell = FieldAddress(own, struct, FIELD, Pointer(U32))
        self.nowhere = Const(self.cpus, U32)
        self.program = called_twice(program, PREEMPT, "in_preemption")
        self.spared = spared
        self.sharing = Sharing(plain, program)
        interrupted = any(a.context == INTERRUPT for a in program.agents)
        self.guard = Guard(program) if interrupted else None
        items = [item for f in program.functions.values() for item in instructions(f)]
        left = {item.region for item in items if isinstance(item, Leave)}
        self.marks = frozenset(program.regions) - left
        self.by_cpu: dict[str, bool] = {}

    def run(self) -> Program:
        program = self.program
        threads = [a for a in program.agents if a.context == THREAD and a.entry != PREEMPT]
        functions = dict(program.functions)
        functions[BEGIN] = self._at_once(functions[BEGIN])
        for name in self._plain([a.entry for a in threads]) - self.spared:
            functions[name] = _Points(self, functions[name]).run()
        self.program = program = replace(program, functions=functions, agents=self._agents(threads))
        moving = {a.entry for a in program.agents if a.context != STORE_BUFFER}
        bound = self._plain(moving)
        for name, function in program.functions.items():
            if name in bound:
                function = self._standing(function, name in moving)
            function = self._relocated(function)
            functions[name] = self._asked(function) if name in program.observers else function
        contexts = max(a.cpu for a in program.agents) + 1
        return replace(program, functions=functions, cpus=contexts)

    def _plain(self, entries: Iterable[str]) -> set[str]:
        program = self.program
        reached = reachable_functions(program, entries)
        return {name for name in reached if not program.functions[name].atomic}

    def _at_once(self, function: Function) -> Function:
        """What a context begins with, in the step in which it gets its CPU: it
        enters the regions in which that is allowed."""
        first, *others = function.blocks
        if not isinstance(first.instructions[0], Step):
            return function
        guard = 0 if self.guard is None else self.guard.length
        first = replace(first, instructions=first.instructions[1 + guard :])
        return replace(function, blocks=(first, *others))

    def _agents(self, threads: list[Agent]) -> tuple[Agent, ...]:
        contexts = [replace(agent, cpu=n) for n, agent in enumerate(threads)]
        handlers = {a.entry for a in self.program.agents if a.context == INTERRUPT}
        interrupts = [
            Agent(f"{agent.name}.interrupt", agent.cpu, INTERRUPT, entry)
            for entry in handlers
            for agent in contexts
        ]
        buffers = [a for a in self.program.agents if a.context == STORE_BUFFER]
        return (
            *contexts,
            *interrupts,
            *(replace(a, cpu=self.count + a.cpu) for a in buffers),
        )

    # --- where a context runs ----------------------------------------------------

    def _load(self, loc: Location) -> Load:
        return Load(HERE.name, self.cell, loc)

    def _runs(self, loc: Location) -> tuple[Instruction, ...]:
        somewhere = Binary("ne", HERE, self.nowhere, BOOL)
        return (self._load(loc), Assume(somewhere, loc))

    def _standing(self, function: Function, entry: bool) -> Function:
        """``function``, whose steps are possible only where the context runs."""
        blocks = []
        for number, block in enumerate(function.blocks):
            code: list[Instruction] = []
            leading = bool(block.instructions) and isinstance(block.instructions[0], Step)
            if entry and number == 0 and not leading:
                code += self._runs(function.loc)
            for index, item in enumerate(block.instructions):
                code.append(item)
                if isinstance(item, Step) and not waits(block, index):
                    code += self._runs(item.loc)
            blocks.append(replace(block, instructions=tuple(code)))
        return _with(function, blocks)

    def _relocated(self, function: Function) -> Function:
        """``function`` with the number of the CPU out of its context's cell, and
        with marks that were passed before all this."""
        blocks = []
        for block in function.blocks:
            code: list[Instruction] = []
            for item in block.instructions:
                if isinstance(item, Enter) and item.region in self.marks:
                    passed = InRegion(HERE, item.region)
                    text = f"a CPU passes {item.region} when it has been preempted before"
                    code += [self._load(item.loc), Assert(passed, "MPASS", text, (), item.loc)]
                    continue
                moved = with_expressions(item, _elsewhere)
                if _mentions(moved):
                    code.append(self._load(item.loc))
                code.append(moved)
            end = with_expressions(block.terminator, _elsewhere)
            if _mentions(end):
                code.append(self._load(end.loc))
            blocks.append(Block(block.label, tuple(code), end))
        return _with(function, blocks)

    def _asked(self, function: Function) -> Function:
        """A property or a condition, which is asked for a context."""
        for item in (*instructions(function), *(b.terminator for b in function.blocks)):
            for sub in expressions(item):
                if isinstance(sub, InRegion) and sub.region not in self.marks:
                    raise IRError(
                        f"{function.name} asks for the region {sub.region!r}, which is left again",
                        location=item.loc,
                        advice="with preemption a property can ask for marks only",
                    )
        loc, labels = function.loc, {block.label for block in function.blocks}
        first, skip, here = (_fresh(name, labels) for name in ("asked", "nowhere", "somewhere"))
        runs = Binary(
            "land",
            Binary("lt", ThisCpu(), Const(self.count, U32), BOOL),
            Binary("ne", HERE, self.nowhere, BOOL),
            BOOL,
        )
        nothing = None if function.result is None else Const(0, function.result)
        blocks = [
            Block(first, (self._load(loc),), Branch(runs, here, skip, loc)),
            Block(skip, (), Return(nothing, loc)),
            Block(
                here,
                (Assign(function.parameters[0], HERE, loc),),
                Jump(function.blocks[0].label, loc),
            ),
            *function.blocks,
        ]
        return _with(function, blocks)

    # --- what depends on the CPU -----------------------------------------------------

    def depends(self, function: Function, item: Instruction) -> bool:
        """Whether another CPU would make a difference for ``item``."""
        if isinstance(item, Call):
            callee = self.program.functions[item.function]
            return callee.atomic and self._function_depends(callee)
        address = address_of(item)
        if address is not None and self.sharing.own(function, address):
            return key_of(address) not in OWN_OF_THREAD
        return any(
            isinstance(sub, ThisCpu)
            for operand in values_of(item)
            for sub in subexpressions(operand)
        )

    def _function_depends(self, function: Function) -> bool:
        known = self.by_cpu.get(function.name)
        if known is None:
            ends = (sub for block in function.blocks for sub in expressions(block.terminator))
            known = any(self.depends(function, item) for item in instructions(function)) or any(
                isinstance(sub, ThisCpu) for sub in ends
            )
            self.by_cpu[function.name] = known
        return known


class _Points:
    """The points of a function at which it is preempted."""

    def __init__(self, owner: _Pass, function: Function) -> None:
        self.owner = owner
        self.function = function
        self.labels = {block.label for block in function.blocks}
        self.blocks: list[Block] = []
        self.label = ""
        self.code: list[Instruction] = []

    def run(self) -> Function:
        owner, function = self.owner, self.function
        guard = 0 if owner.guard is None else owner.guard.length
        for block in function.blocks:
            self.label, self.code = block.label, []
            # Whether nothing has happened since the last point.
            fresh, skip = False, 0
            for index, item in enumerate(block.instructions):
                if skip:
                    skip -= 1
                    continue
                if isinstance(item, Step):
                    skip = 0 if waits(block, index) else guard
                    self._at_step(block.instructions[index : index + 1 + skip], waits(block, index))
                    fresh = True
                    continue
                counts = owner.sharing.visible(function, item) or owner.depends(function, item)
                if counts and not fresh:
                    self._within(item.loc)
                if counts or isinstance(item, Call):
                    fresh = False
                self.code.append(item)
            self._end(block.terminator)
        asked = {_ASKED.name: BOOL}
        return replace(
            function, blocks=tuple(self.blocks), variables={**function.variables, **asked}
        )

    def _end(self, terminator: Terminator) -> None:
        self.blocks.append(Block(self.label, tuple(self.code), terminator))

    def _new(self) -> str:
        return _fresh("point", self.labels)

    def _begin(self, label: str) -> None:
        self.label, self.code = label, []

    def _at_step(self, step: tuple[Instruction, ...], waiting: bool) -> None:
        """Whoever comes back may be preempted there again."""
        if waiting:
            self.code += step
            return
        loc, at, preempted, rest = step[0].loc, self._new(), self._new(), self._new()
        self._end(Jump(at, loc))
        self._begin(at)
        self.code += (*step, Call(_ASKED.name, ASK, (), loc))
        self._end(Branch(_ASKED, preempted, rest, loc))
        self._begin(preempted)
        self.code.append(Call(None, PREEMPT, (), loc))
        self._end(Jump(at, loc))
        self._begin(rest)

    def _within(self, loc: Location) -> None:
        """Only who is preempted takes a step there."""
        step: tuple[Instruction, ...] = (Step(loc),)
        if self.owner.guard is not None:
            step += self.owner.guard.code(loc)
        preempted, back, again, rest = (self._new() for _ in range(4))
        ask, preempt = Call(_ASKED.name, ASK, (), loc), Call(None, PREEMPT, (), loc)
        self.code.append(ask)
        self._end(Branch(_ASKED, preempted, rest, loc))
        self.blocks += [
            Block(preempted, (*step, preempt), Jump(back, loc)),
            Block(back, (*step, ask), Branch(_ASKED, again, rest, loc)),
            Block(again, (preempt,), Jump(back, loc)),
        ]
        self._begin(rest)


def _fresh(name: str, labels: set[str]) -> str:
    number = len(labels)
    while f"{name}{number}" in labels:
        number += 1
    labels.add(f"{name}{number}")
    return f"{name}{number}"


def _with(function: Function, blocks: Sequence[Block]) -> Function:
    variables = {**function.variables, HERE.name: U32}
    return replace(function, blocks=tuple(blocks), variables=variables)


def _elsewhere(expr: Expr) -> Expr:
    match expr:
        case ThisCpu():
            return HERE
        case IndexAddress(base=GlobalAddress(name=name), index=index) if name == CONTEXTS:
            # The one array that goes by context.
            return replace(expr, index=ThisCpu()) if index == HERE else expr
    return expr


def _mentions(item: Instruction | Terminator) -> bool:
    return HERE in expressions(item)
