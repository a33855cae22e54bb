"""The memory model tso: a program whose CPUs have store buffers.

A pass from IR to IR, before the steps are placed (:mod:`pmaplab.ir.cut`), so
that every engine and every export gets the memory model for nothing.  What it
makes of a program:

* A store appends to the own buffer, and waits while that is full; a load looks
  into the own buffer and then into memory; ``Rmw``, ``CmpXchg`` and ``Fence``
  wait until the own buffer is empty.
* Each CPU has one more agent, context ``store buffer``, that takes the oldest
  store to memory.  All agents of one CPU share its buffer: an interrupt
  handler sees the stores of the code that it interrupts.
* An **atomic function** with a ``Fence``, ``Rmw`` or ``CmpXchg`` in it, or in
  what it calls, is a *locked operation* as a whole: it waits until the own
  buffer is empty, and then works on memory itself.  A machine event that
  serializes (MOV to CR3 and CR4, INVLPG, INVPCID, taking an interrupt, IRET),
  the sending of an IPI behind earlier stores, and what stands for a critical
  section under a lock are marked by a ``Fence``, which means nothing under
  ``sc``.  Any other atomic function loads and stores like plain code, all at
  once; it makes at most one store, and one that does not depend on what it
  loads, so that nobody forgets the mark.
* **Outside of the buffers** stay the cells that are no memory or of which no
  other CPU could tell the difference: those that no agent writes, those that
  are only reached through the running CPU's own element of a per-CPU array,
  and those that the caller names: machine registers, and what belongs to the
  running thread alone and moves on with it.
* A **property** looks at the machine as the CPU that it asks about sees it:
  through that CPU's buffer.

A search of the result covers x86-TSO exactly when no buffer ever fills, and a
part of it otherwise: the bound belongs into the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from pmaplab.errors import IRError, Location, UsageError
from pmaplab.ir.access import Key, Sharing, key_of
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.nodes import (
    STORE_BUFFER,
    Agent,
    Assert,
    Assign,
    Assume,
    Binary,
    Branch,
    Call,
    Cast,
    CmpXchg,
    Const,
    Expr,
    Fence,
    FieldAddress,
    Function,
    GlobalAddress,
    IndexAddress,
    Instruction,
    Load,
    Local,
    Program,
    Rmw,
    Store,
)
from pmaplab.ir.types import BOOL, Int, Pointer, Scalar, same_kind
from pmaplab.machine.store_buffer import (
    AGENT,
    StoreBuffers,
    cell_kind,
    tag,
)

LARGEST_BOUND = 255


def tso(program: Program, *, bound: int, outside: Iterable[str] = ()) -> Program:
    """``program`` with a store buffer of ``bound`` entries (1 to 255) a CPU.

    ``outside`` names cells that stay outside of the buffers: a structure
    (``cpu_registers``), a field (``thread.td_critnest``) or a global
    (``@name``).  The program is verified and its steps are not placed yet; a
    program in which no store can be seen late is returned as it is.  Raises
    UsageError for another bound, and IRError for a name that does not exist or
    that the pass needs itself.
    """
    if not 1 <= bound <= LARGEST_BOUND:
        raise UsageError(f"--store-buffer must be from 1 to {LARGEST_BOUND}, not {bound}")
    return _Pass(program, bound, _keys(program, outside)).run()


def _keys(program: Program, names: Iterable[str]) -> frozenset[Key]:
    keys: set[Key] = set()
    for name in names:
        struct, _, member = name.partition(".")
        found: list[Key] = []
        if name.startswith("@"):
            found = [("@", name[1:])] if name[1:] in program.globals else []
        elif struct in program.structs:
            found = [(struct, f) for f, _ in program.structs[struct].fields if member in ("", f)]
        if not found:
            raise IRError(f"there is no {name!r} to keep out of the store buffers")
        keys.update(found)
    return frozenset(keys)


class _Pass:
    def __init__(self, program: Program, bound: int, outside: frozenset[Key]) -> None:
        self.program = program
        self.outside = outside
        self.sharing = Sharing(program)
        self.locked = {name for name, f in program.functions.items() if f.atomic and self._locks(f)}
        # Parts of locked operations, which others may call as well.
        self.parts = {
            name
            for name in reachable_functions(program, self.locked) - self.locked
            if any(map(self._is_buffered, self._instructions(name)))
        }
        agents = [agent.entry for agent in program.agents]
        for name in reachable_functions(program, agents) - self.locked:
            if program.functions[name].atomic:
                self._check_unmarked(program.functions[name])
        stored = {
            cell_kind(_cell(instruction.address))
            for name in program.functions.keys() - self.locked
            for instruction in self._instructions(name)
            if isinstance(instruction, Store) and self.buffered(instruction.address)
        }
        self.buffers = StoreBuffers(program.cpus, bound, tuple(sorted(stored, key=tag)))
        self.made: dict[str, Function] = {}

    def _instructions(self, name: str) -> list[Instruction]:
        """Those of a function and of all that it calls."""
        return [
            instruction
            for reached in reachable_functions(self.program, [name])
            for block in self.program.functions[reached].blocks
            for instruction in block.instructions
        ]

    def _locks(self, function: Function) -> bool:
        return any(
            isinstance(instruction, Fence | Rmw | CmpXchg)
            for instruction in self._instructions(function.name)
        )

    def _check_unmarked(self, function: Function) -> None:
        """Raises IRError where an atomic function can only stand for a locked
        operation, and is not marked as one."""
        names = reachable_functions(self.program, [function.name])
        blocks = [block for name in names for block in self.program.functions[name].blocks]
        code = [item for block in blocks for item in block.instructions]
        accesses = [item for item in code if self._is_buffered(item)]
        stores = [item for item in accesses if isinstance(item, Store)]
        decides = any(isinstance(item, Assume) for item in code) or any(
            isinstance(block.terminator, Branch) for block in blocks
        )
        if len(stores) > 1 or (stores and decides and len(accesses) > 1):
            raise IRError(
                f"{function.name} is atomic, and its stores could wait in a store buffer",
                location=function.loc,
                advice="where it stands for a locked operation, or for a section under a lock, "
                "it begins with atomic_thread_fence_seq_cst()",
            )

    def _is_buffered(self, instruction: Instruction) -> bool:
        return isinstance(instruction, Load | Store) and self.buffered(instruction.address)

    def buffered(self, address: Expr) -> bool:
        """Whether loads and stores of ``address`` go through the buffer."""
        key = key_of(address)
        return key is None or not (
            key in self.outside or self.sharing.constant(key) or self.sharing.private(key)
        )

    def run(self) -> Program:
        program = self.program
        if not self.buffers.kinds:
            return program
        functions: dict[str, Function] = {}
        for name, function in program.functions.items():
            if name in self.locked:
                functions[name] = self._waiting(function)
            else:
                functions[name] = _Rewriter(self, function).run()
            if name in self.parts:
                functions[_at_once(name)] = self._direct(function, _at_once(name))
        self.need(self.buffers.to_memory())
        self.need(self.buffers.agent())
        buffers = self.buffers
        for ours, theirs in (
            (self.made, functions),
            (buffers.structs, program.structs),
            (buffers.globals, program.globals),
        ):
            for name in ours.keys() & theirs.keys():
                raise IRError(f"the memory model tso needs the name {name!r} for itself")
        cpus = dict.fromkeys(agent.cpu for agent in program.agents)
        agents = tuple(Agent(f"cpu{n}.store_buffer", n, STORE_BUFFER, AGENT) for n in cpus)
        return replace(
            program,
            structs={**program.structs, **buffers.structs},
            globals={**program.globals, **buffers.globals},
            functions={**functions, **self.made},
            agents=program.agents + agents,
        )

    def need(self, function: Function) -> str:
        """The name of one of the buffer's functions, which the program gets."""
        self.made[function.name] = function
        return function.name

    def _waiting(self, function: Function) -> Function:
        """A locked operation: it waits, and works on memory itself."""
        direct = self._direct(function, function.name)
        first, *others = direct.blocks
        wait = Call(None, self.need(self.buffers.wait_empty()), (), function.loc)
        first = replace(first, instructions=(wait, *first.instructions))
        return replace(direct, blocks=(first, *others))

    def _direct(self, function: Function, name: str) -> Function:
        """``function`` as a part of a locked operation."""

        def direct(instruction: Instruction) -> Instruction:
            if isinstance(instruction, Call) and instruction.function in self.parts:
                return replace(instruction, function=_at_once(instruction.function))
            return instruction

        blocks = tuple(
            replace(block, instructions=tuple(map(direct, block.instructions)))
            for block in function.blocks
        )
        return replace(function, name=name, blocks=blocks)


class _Rewriter:
    """One function whose accesses go through the buffer."""

    def __init__(self, owner: _Pass, function: Function) -> None:
        self.owner = owner
        self.buffers = owner.buffers
        self.function = function
        self.variables = dict(function.variables)

    def run(self) -> Function:
        blocks = []
        for block in self.function.blocks:
            code = chain.from_iterable(map(self._new, block.instructions))
            blocks.append(replace(block, instructions=tuple(code)))
        return replace(self.function, blocks=tuple(blocks), variables=self.variables)

    def _new(self, item: Instruction) -> list[Instruction]:
        match item:
            case Load(target=target, address=address) if self.owner.buffered(address):
                kind = cell_kind(_cell(address))
                return self._call(target, self.buffers.load(kind), item, kind, ())
            case Store(address=address, value=value) if self.owner.buffered(address):
                kind = cell_kind(_cell(address))
                checked, fits = self._fitted(value, _cell(address), item.loc)
                return fits + self._call(None, self.buffers.store(kind), item, kind, (checked,))
            case Rmw(target=old, op=op, address=address, operand=operand):
                kind = _exact_kind(_cell(address))
                return self._call(old, self.buffers.locked(op, kind), item, kind, (operand,))
            case CmpXchg(target=old, address=address, expected=expected, desired=desired):
                kind = _exact_kind(_cell(address))
                values = (expected, desired)
                return self._call(old, self.buffers.cmpxchg(kind), item, kind, values)
            case Fence(loc=loc):
                return [Call(None, self.owner.need(self.buffers.wait_empty()), (), loc)]
        return [item]

    def _call(
        self,
        target: str | None,
        function: Function,
        item: Load | Store | Rmw | CmpXchg,
        kind: Scalar,
        values: tuple[Expr, ...],
    ) -> list[Instruction]:
        """``function(address, values)`` with everything cast to and from ``kind``."""
        address, loc = item.address, item.loc
        code: list[Instruction] = []
        if not isinstance(address, FieldAddress | IndexAddress | GlobalAddress):
            # The address of an object is checked where it is computed.
            null = Const(0, address.type)
            checked = Binary("ne", address, null, BOOL)
            code.append(Assert(checked, "page fault", "a NULL pointer is dereferenced", (), loc))
        arguments = (_as(address, Pointer(kind)), *(_as(value, kind) for value in values))
        name = self.owner.need(function)
        wanted = None if target is None else self.variables[target]
        if isinstance(wanted, Pointer) and wanted != kind:
            found = self._temporary(kind)
            code.append(Call(found.name, name, arguments, loc))
            code.append(Assign(target or "", Cast(found, wanted), loc))
        else:
            code.append(Call(target, name, arguments, loc))
        return code

    def _fitted(self, value: Expr, kind: Scalar, loc: Location) -> tuple[Expr, list[Instruction]]:
        """``value``, checked against a declared range where it is stored, and
        not only when it reaches memory."""
        if not isinstance(kind, Int) or not kind.ranged:
            return value, []
        if isinstance(value, Const) and kind.minimum <= value.value <= kind.maximum:
            return value, []
        fitting = self._temporary(kind)
        return Local(fitting.name, kind.whole), [Assign(fitting.name, value, loc)]

    def _temporary(self, kind: Scalar) -> Local:
        name = f".tso{len(self.variables)}"
        self.variables[name] = kind
        return Local(name, kind)


def _at_once(name: str) -> str:
    return f"{name}_at_once"


def _cell(address: Expr) -> Scalar:
    kind = address.type
    assert isinstance(kind, Pointer) and isinstance(kind.target, Int | Pointer)
    return kind.target


def _exact_kind(kind: Scalar) -> Scalar:
    """Like cell_kind(), with the range, which a locked operation checks itself."""
    return kind if isinstance(kind, Int) else cell_kind(kind)


def _as(value: Expr, kind: Scalar) -> Expr:
    return value if same_kind(kind, value.type) else Cast(value, kind)
