"""Which accesses to memory another agent can see.

A *key* names the cells that one kind of access touches: a field of a
structure, or a global scalar.  From all the accesses of a program it follows
which keys are never written (constants), and which are written only through
the running CPU's own element of a per-CPU array (``index(@__pcpu, cpu)``).  A
load of such a key cannot be told apart from one made earlier or later, so it
needs no step of its own.  Every store to a key that a property may read is
visible, because properties are observers too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.nodes import (
    FUSION,
    Assign,
    Assume,
    Call,
    Cast,
    CmpXchg,
    Expr,
    FieldAddress,
    Function,
    GlobalAddress,
    IndexAddress,
    Instruction,
    Load,
    Local,
    Program,
    Rmw,
    Terminator,
    ThisCpu,
)
from pmaplab.ir.types import Int, Pointer
from pmaplab.ir.walk import address_of, expressions, instructions, subexpressions, values_of

Key = tuple[str, str]


def key_of(address: Expr) -> Key | None:
    """The cells that ``address`` may stand for; None when anything may be."""
    match address:
        case FieldAddress(struct=struct, field=name):
            return (struct, name)
        case IndexAddress(base=base):
            return key_of(base)
        case GlobalAddress(name=name):
            return ("@", name)
    return None


def other_uses(item: Instruction | Terminator) -> set[Key]:
    """The fields that ``item`` uses otherwise than by a load or a store of theirs: what a
    locked operation works on, and those whose addresses are parts of its values."""
    found = {
        (sub.struct, sub.field)
        for value in values_of(item)
        for sub in subexpressions(value)
        if isinstance(sub, FieldAddress)
    }
    if isinstance(item, Rmw | CmpXchg):
        key = key_of(item.address)
        found |= set() if key is None else {key}
    return found


def _own_locals(function: Function) -> frozenset[str]:
    """Pointers that only ever hold addresses below the own per-CPU element."""
    values: dict[str, list[Expr | None]] = {name: [None] for name in function.parameters}
    for instruction in instructions(function):
        if isinstance(instruction, Assign):
            values.setdefault(instruction.target, []).append(instruction.value)
        elif isinstance(instruction, Load | Rmw | CmpXchg | Call) and instruction.target:
            values.setdefault(instruction.target, []).append(None)
    return frozenset(
        name
        for name, sources in values.items()
        if all(value is not None and _is_own(value, frozenset()) for value in sources)
    )


def _is_own(address: Expr, own: frozenset[str]) -> bool:
    match address:
        case IndexAddress(base=GlobalAddress(), index=ThisCpu()):
            return True
        case IndexAddress(base=base) | FieldAddress(base=base):
            return _is_own(base, own)
        case Local(name=name):
            return name in own
    return False


@dataclass
class Sharing:
    """The sharing of every key, computed from the functions that agents reach.

    Interrupt contexts are agents of the same CPU: what they write is visible
    to the thread context even through its own element.

    ``code``, if given, is what a pass has made of ``program`` that leaves its
    own accesses to functions which get the addresses: what else it accesses is
    as private and as constant as it was in ``program``.
    """

    program: Program
    code: Program | None = None
    _written: set[Key] = field(default_factory=set)
    _written_by_others: set[Key] = field(default_factory=set)
    _written_by_interrupts: set[Key] = field(default_factory=set)
    _touched_by_others: set[Key] = field(default_factory=set)
    _touched_by_other_cpus: set[Key] = field(default_factory=set)
    _own: dict[str, frozenset[str]] = field(default_factory=dict)
    _wild_write: bool = False
    _wild_read: bool = False
    _visible_calls: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        program = self.program
        threads = [a.entry for a in program.agents if a.context == "thread"]
        interrupts = [a.entry for a in program.agents if a.context != "thread"]
        self._collect(reachable_functions(program, threads), interrupt=False)
        self._collect(reachable_functions(program, interrupts), interrupt=True)
        for name in reachable_functions(program, program.observers):
            for instruction in instructions(program.functions[name]):
                if isinstance(instruction, Load):
                    self._note_read_by_other(instruction.address)
        for decl in program.globals.values():
            for value in decl.initial.values():
                if isinstance(value, GlobalAddress) and _is_scalar(value):
                    self._escapes(("@", value.name))

    def _note_read_by_other(self, address: Expr) -> None:
        key = key_of(address)
        if key is not None:
            self._touched_by_others.add(key)
        elif isinstance(address, IndexAddress):
            # What a mere pointer to a scalar reaches is among the escapes.
            self._wild_read = True

    def _collect(self, names: Iterable[str], *, interrupt: bool) -> None:
        for name in names:
            function = self.program.functions[name]
            own = self._own.setdefault(name, _own_locals(function))
            for instruction in instructions(function):
                self._collect_escapes(instruction)
                address = address_of(instruction)
                if address is None:
                    continue
                key = key_of(address)
                others = interrupt or not _is_own(address, own)
                if others:
                    self._note_read_by_other(address)
                if key is not None and not _is_own(address, own):
                    self._touched_by_other_cpus.add(key)
                if isinstance(instruction, Load):
                    continue
                if key is None:
                    self._wild_write = self._wild_write or isinstance(address, IndexAddress)
                    continue
                self._written.add(key)
                if not _is_own(address, own):
                    self._written_by_others.add(key)
                if interrupt:
                    self._written_by_interrupts.add(key)

    def _collect_escapes(self, instruction: Instruction) -> None:
        """A pointer to a scalar that is stored or passed can be used anywhere."""
        if any(
            isinstance(sub, Cast) and isinstance(sub.type, Pointer)
            for sub in expressions(instruction)
        ):
            self._wild_read = self._wild_write = True
        for value in values_of(instruction):
            for sub in subexpressions(value):
                if isinstance(sub, FieldAddress | IndexAddress | GlobalAddress) and _is_scalar(sub):
                    key = key_of(sub)
                    if key is not None and not _is_inner(sub, value):
                        self._escapes(key)

    def _escapes(self, key: Key) -> None:
        self._written.add(key)
        self._written_by_others.add(key)
        self._touched_by_others.add(key)
        self._touched_by_other_cpus.add(key)

    def constant(self, key: Key) -> bool:
        """Whether no agent writes the cells of ``key``."""
        return key not in self._written and not self._wild_write

    def private(self, key: Key) -> bool:
        """Whether no agent of another CPU touches the cells of ``key``.

        Properties may: they are no part of the machine.
        """
        wild = self._wild_read or self._wild_write
        return key not in self._touched_by_other_cpus and not wild

    def own(self, function: Function, address: Expr) -> bool:
        """Whether ``address`` in ``function`` is below the own per-CPU element."""
        return _is_own(address, self._own.get(function.name, frozenset()))

    def visible(self, function: Function, instruction: Instruction) -> bool:
        """Whether ``instruction`` of ``function`` needs a step of its own.

        All accesses do where none are fused."""
        if isinstance(instruction, Call):
            callee = (self.code or self.program).functions[instruction.function]
            return callee.atomic and self._atomic_visible(callee)
        address = address_of(instruction)
        if address is None:
            return False
        key = key_of(address)
        if key is None or FUSION in (self.code or self.program).without:
            return True
        own = self.own(function, address)
        if isinstance(instruction, Load):
            if self._wild_write:
                return True
            if key not in self._written:
                return False
            return not own or key in self._written_by_others or key in self._written_by_interrupts
        return not own or key in self._touched_by_others or self._wild_read

    def _atomic_visible(self, function: Function) -> bool:
        known = self._visible_calls.get(function.name)
        if known is None:
            known = any(
                isinstance(instruction, Assume) or self.visible(function, instruction)
                for instruction in instructions(function)
            )
            self._visible_calls[function.name] = known
        return known


def _is_scalar(address: FieldAddress | IndexAddress | GlobalAddress) -> bool:
    return isinstance(address.type.target, Int | Pointer)


def _is_inner(sub: Expr, whole: Expr) -> bool:
    """Whether ``sub`` only serves to compute the address of a field below it."""
    return any(
        isinstance(other, FieldAddress | IndexAddress) and other.base is sub
        for other in subexpressions(whole)
    )
