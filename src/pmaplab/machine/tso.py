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
  loads, so that nobody forgets the mark.  One that makes several stores and
  no load, which is atomic under ``sc`` to save states, is *taken apart*: its
  stores go into the buffer one by one.
* **Outside of the buffers** stay the cells that are no memory or of which no
  other CPU could tell the difference: those that no agent writes, those that
  are only reached through the running CPU's own element of a per-CPU array,
  and those that the caller names: machine registers, and what belongs to the
  running thread alone and moves on with it.
* A **direct** function reads memory itself, past the buffer and without waiting
  for it: a page walk.  The function ``settle`` runs after each store that
  reaches memory, in the same step: what the hardware derives from memory.
* A **property** looks at the machine as the CPU that it asks about sees it:
  through that CPU's buffer.
* A **mark**, a region that is entered for good, says of a CPU that its earlier
  stores are made.  Of the own CPU it holds at once, since properties see what
  waits in the own buffer; of another one only when all that was stored before
  has reached memory.  It waits for nothing that is stored after it, so what
  fails from then on is not hidden.

A search of the result covers x86-TSO exactly when no buffer ever fills, and a
part of it otherwise: the bound belongs into the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pmaplab.errors import IRError, UsageError
from pmaplab.ir.access import Key, Sharing, key_of
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.nodes import (
    STORE_BUFFER,
    Agent,
    Assume,
    Branch,
    Call,
    CmpXchg,
    Expr,
    Fence,
    Function,
    Instruction,
    Load,
    Program,
    Rmw,
    Store,
)
from pmaplab.ir.walk import calling, instructions
from pmaplab.machine.buffered import Rewriter, cell_of
from pmaplab.machine.marks import Marks, marks_of_others
from pmaplab.machine.plain import plain_functions, store_count, taken_apart
from pmaplab.machine.store_buffer import AGENT, StoreBuffers, cell_kind, in_memory, tag

LARGEST_BOUND = 255


def tso(
    program: Program,
    *,
    bound: int,
    outside: Iterable[str] = (),
    direct: Iterable[str] = (),
    forwarding: Iterable[str] = (),
    settle: str | None = None,
) -> Program:
    """``program`` with a store buffer of ``bound`` entries (1 to 255) a CPU.

    ``outside`` names cells that stay outside of the buffers: a structure
    (``cpu_registers``), a field (``thread.td_critnest``) or a global
    (``@name``).  ``direct`` and ``settle`` name atomic functions; the latter
    takes no parameters and waits for nothing.  ``forwarding`` names atomic
    functions that read through the running CPU's buffer on the hardware's own
    behalf, so that nothing the code stores depends on it.  The program is verified and its
    steps are not placed yet; a program in which no store can be seen late is
    returned as it is.  Raises UsageError for another bound, and IRError for a
    name that does not exist or that the pass needs itself.
    """
    if not 1 <= bound <= LARGEST_BOUND:
        raise UsageError(f"--store-buffer must be from 1 to {LARGEST_BOUND}, not {bound}")
    return _Pass(
        program,
        bound,
        _keys(program, outside),
        frozenset(direct),
        frozenset(forwarding),
        settle,
    ).run()


def before_buffers(program: Program, main: Program) -> Program:
    """``program``, which runs without buffers, on the memory of ``main``, which
    is what :func:`tso` made of a program with other agents."""
    marks = Marks(marks_of_others(program))
    return replace(
        program,
        structs=main.structs,
        globals=main.globals,
        regions=main.regions,
        functions={name: marks.at_once(f) for name, f in program.functions.items()}
        if main.regions != program.regions
        else program.functions,
    )


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
    def __init__(
        self,
        program: Program,
        bound: int,
        outside: frozenset[Key],
        direct: frozenset[str],
        forwarding: frozenset[str],
        settle: str | None,
    ) -> None:
        self.forwarding = forwarding
        self.program = program
        self.outside = outside
        self.settle = settle
        self.sharing = Sharing(program)
        self.locked = {name for name, f in program.functions.items() if f.atomic and self._locks(f)}
        # Those that work on memory itself.
        self.past = self.locked | direct | ({settle} if settle else set())
        self._check_direct(self.past - self.locked)
        for name in self.locked & (direct | {settle}):
            raise IRError(f"{name} is a locked operation, so it cannot read memory directly")
        # Parts of these, which others may call as well.
        self.parts = {
            name
            for name in reachable_functions(program, self.past) - self.past
            if any(map(self._is_buffered, self._instructions(name)))
        }
        plain = plain_functions(program, program.entries, self.past)
        apart = taken_apart(program, plain, self._is_buffered)
        for name in plain - apart:
            if program.functions[name].atomic:
                self._check_unmarked(program.functions[name])
        self.apart = apart
        stored = {
            cell_kind(cell_of(instruction.address))
            for name in program.functions.keys() - self.past
            for instruction in instructions(program.functions[name])
            if isinstance(instruction, Store) and self.buffered(instruction.address)
        }
        self.marks = Marks(marks_of_others(program))
        kinds = tuple(sorted(stored, key=tag))
        self.buffers = StoreBuffers(program.cpus, bound, kinds, self.marks.names)
        self.made: dict[str, Function] = {}

    def _instructions(self, name: str) -> list[Instruction]:
        """Those of a function and of all that it calls."""
        return [
            instruction
            for reached in reachable_functions(self.program, [name])
            for instruction in instructions(self.program.functions[reached])
        ]

    def _locks(self, function: Function) -> bool:
        return any(
            isinstance(instruction, Fence | Rmw | CmpXchg)
            for instruction in self._instructions(function.name)
        )

    def _check_direct(self, names: Iterable[str]) -> None:
        """Raises IRError for a direct function that cannot be one."""
        for name in names:
            function = self.program.functions.get(name)
            if function is None:
                raise IRError(f"there is no function {name!r} that could work on memory directly")
            waits = any(isinstance(item, Assume) for item in self._instructions(name))
            takes = name == self.settle and function.parameters
            if not function.atomic or waits or takes:
                raise IRError(
                    f"{name} cannot work on memory directly",
                    location=function.loc,
                    advice="it is atomic, waits for nothing and, to settle what a store has "
                    "changed, takes no parameters",
                )

    def _check_unmarked(self, function: Function) -> None:
        """Raises IRError where an atomic function can only stand for a locked
        operation, and is not marked as one."""
        names = plain_functions(self.program, [function.name], self.past | self.forwarding)
        blocks = [block for name in names for block in self.program.functions[name].blocks]
        code = [item for block in blocks for item in block.instructions]
        accesses = [item for item in code if self._is_buffered(item)]
        stores = store_count(self.program, function.name, self._is_buffered)
        decides = any(isinstance(item, Assume) for item in code) or any(
            isinstance(block.terminator, Branch) for block in blocks
        )
        if stores > 1 or (stores and decides and len(accesses) > 1):
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
            elif name in self.past:
                functions[name] = self._direct(function, name)
            else:
                function = self.marks.buffered(function, self.buffers, self.need)
                function = replace(function, atomic=function.atomic and name not in self.apart)
                functions[name] = Rewriter(function, self.buffers, self.buffered, self.need).run()
            if name in self.parts:
                functions[_at_once(name)] = self._direct(function, _at_once(name))
        self.need(self.buffers.to_memory(self.settle))
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
            regions=program.regions + tuple(map(in_memory, self.marks.names)),
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
        direct = calling(function, {part: _at_once(part) for part in self.parts})
        return self.marks.at_once(replace(direct, name=name))


def _at_once(name: str) -> str:
    return f"{name}_at_once"
