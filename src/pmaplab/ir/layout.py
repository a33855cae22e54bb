"""Where every variable of a program lives in the state.

The state is a flat sequence of integers.  Cell 0 is never used, so that a
pointer of 0 is NULL.  Then come the globals, one region mask per CPU, and for
each agent its program counter and its stack.  There is no recursion, so the
stack is static: a function's frame lies behind those of all its callers, and
holds the return address and the locals that a later step still needs (all of them,
where dead locals are not reset).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pmaplab.errors import IRError
from pmaplab.ir.callgraph import callees, reachable_functions
from pmaplab.ir.liveness import Liveness, assigned_before, kept_across_steps, live_before
from pmaplab.ir.nodes import DEAD_LOCALS, Function, GlobalAddress, Program
from pmaplab.ir.types import Array, Int, Pointer, Scalar, Struct, Type

_PATH = re.compile(r"\.(\w+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Cell:
    """One scalar of the state that is not a local."""

    index: int
    name: str
    type: Scalar


@dataclass(frozen=True, slots=True)
class Frame:
    """Offsets from an agent's first cell, its program counter."""

    return_address: int
    locals: dict[str, int]
    end: int


@dataclass
class Layout:
    """Cell numbers for one program (after :func:`pmaplab.ir.cut.cut`)."""

    program: Program
    sizes: dict[str, int] = field(default_factory=dict)
    offsets: dict[tuple[str, str], int] = field(default_factory=dict)
    bases: dict[str, int] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    liveness: dict[str, Liveness] = field(default_factory=dict)
    frames: dict[str, Frame] = field(default_factory=dict)
    regions: int = 0
    agents: list[int] = field(default_factory=list)
    size: int = 0
    _scalars: dict[Type, Sequence[tuple[str, Scalar]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for name in self.program.structs:
            self._size_of_struct(name)
        free = 1
        for decl in self.program.globals.values():
            self.bases[decl.name] = free
            for path, kind in self.scalars(decl.type):
                self.cells.append(Cell(free, decl.name + path, kind))
                free += 1
        self.regions = free
        free += self.program.cpus
        stack = self._place_frames()
        for _ in self.program.agents:
            self.agents.append(free)
            free += stack
        self.size = free

    def size_of(self, kind: Type) -> int:
        """The number of cells of a ``kind``."""
        match kind:
            case Struct(name=name):
                return self._size_of_struct(name)
            case Array(element=element, length=length):
                return length * self.size_of(element)
        return 1

    def _size_of_struct(self, name: str) -> int:
        if name not in self.sizes:
            offset = 0
            for field_name, kind in self.program.structs[name].fields:
                self.offsets[name, field_name] = offset
                offset += self.size_of(kind)
            self.sizes[name] = offset
        return self.sizes[name]

    def scalars(self, kind: Type) -> Sequence[tuple[str, Scalar]]:
        """The scalar cells of a ``kind`` in order, each with its path."""
        known = self._scalars.get(kind)
        if known is not None:
            return known
        match kind:
            case Struct(name=name):
                found = [
                    (f".{field_name}{path}", scalar)
                    for field_name, field_type in self.program.structs[name].fields
                    for path, scalar in self.scalars(field_type)
                ]
            case Array(element=element, length=length):
                inner = self.scalars(element)
                found = [
                    (f"[{index}]{path}", scalar)
                    for index in range(length)
                    for path, scalar in inner
                ]
            case Int() | Pointer():
                found = [("", kind)]
        self._scalars[kind] = found
        return found

    def address(self, name: str, path: str = "") -> int:
        """The cell of ``name.path[i]...``; raises IRError for a wrong path."""
        decl = self.program.globals[name]
        cell, kind = self.bases[name], decl.type
        position = 0
        while position < len(path):
            match = _PATH.match(path, position)
            if match is None:
                raise IRError(f"bad path {path!r} below {name}", location=decl.loc)
            member, index = match.groups()
            if member and isinstance(kind, Struct):
                inner = self.program.structs[kind.name].field_type(member)
                if inner is None:
                    raise IRError(f"{kind.name} has no field {member}", location=decl.loc)
                cell += self.offsets[kind.name, member]
                kind = inner
            elif index and isinstance(kind, Array) and int(index) < kind.length:
                cell += int(index) * self.size_of(kind.element)
                kind = kind.element
            else:
                raise IRError(f"bad path {path!r} below {name}", location=decl.loc)
            position = match.end()
        return cell

    def _place_frames(self) -> int:
        """Frames behind those of all callers; the size of an agent's part."""
        program = self.program
        held = assigned_before if DEAD_LOCALS in program.without else live_before
        order: list[Function] = []
        seen: set[str] = set()

        def visit(name: str) -> None:
            if name not in seen:
                seen.add(name)
                for callee in sorted(callees(program.functions[name])):
                    visit(callee)
                order.append(program.functions[name])

        for entry in sorted(reachable_functions(program, program.entries)):
            visit(entry)
        start = {function.name: 1 for function in order}
        end = 1
        for function in reversed(order):
            if function.atomic:
                continue
            live = held(function)
            self.liveness[function.name] = live
            kept = kept_across_steps(program, function, live)
            slot = start[function.name] + 1
            places = {name: slot + i for i, name in enumerate(sorted(kept))}
            frame = Frame(start[function.name], places, slot + len(places))
            self.frames[function.name] = frame
            end = max(end, frame.end)
            for callee in callees(function):
                start[callee] = max(start[callee], frame.end)
        return end

    def initial(self) -> list[int]:
        """The state before any step; agents' program counters are 0."""
        state = [0] * self.size
        for decl in self.program.globals.values():
            for path, value in decl.initial.items():
                cell = self.address(decl.name, path)
                if isinstance(value, GlobalAddress):
                    state[cell] = self.bases[value.name]
                else:
                    state[cell] = value.value
        return state
