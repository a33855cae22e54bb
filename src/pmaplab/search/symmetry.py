"""Permutations of states: what becomes of a row of cells where interchangeable
objects change places.

A *kind* declares objects (processes, CPUs) by the arrays whose elements they are,
and which integers tell one of them.  A permutation moves cells, agents and CPUs, maps
every pointer as it moves cells, and the integers as they are declared to; all else
stays as it is.  Whatever is declared, permutations are one to one and form a group.
Whether the system behaves alike under them is another question, which the search
asks at every step (search/symmetric.py, docs/reductions.md).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import factorial, prod

from pmaplab.errors import IRError, Location
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.footprint import cells_by_key, may_read, written_cells
from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import Agent, Call, Enter, Leave, Program
from pmaplab.ir.types import Array, Pointer, Struct, Type
from pmaplab.ir.walk import instructions

# A larger group costs more than it saves.
MOST_PERMUTATIONS = 48

# How an integer tells objects: by their number, by one bit for each, or as the
# object's constant field does.
INDEX, SET, LIKE = "index", "set", "like"

WORD = (1 << 64) - 1

# Numbers of value maps that are not declared: the value moves with its cell, is a
# pointer, or stays where it is.
PLAIN, POINTER, STAYS, DECLARED = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Values:
    """Integers that tell objects of a kind.

    ``fields`` are ``struct.field``, a global, or a path below one, in which ``[]`` is any
    element and ``[n]`` one below n.  ``locals`` are ``function.local``, where a ``*``
    stands for all.  ``how`` is INDEX (``blocks`` times: k * count + number), SET (of so
    many ``bits`` each), or LIKE; ``like`` is then ``array.field``, whose first values tell
    the objects.  Of a value, the bits in ``mask`` are looked at.
    """

    how: str
    fields: tuple[str, ...] = ()
    locals: tuple[str, ...] = ()
    blocks: int = 1
    bits: int = 1
    like: str = ""
    mask: int = WORD


@dataclass(frozen=True, slots=True)
class Kind:
    """The first ``count`` elements of each array in ``objects`` (a global, or
    ``struct.field``) are one object each; with ``cpus`` these are the CPUs, with
    their agents and the marks of regions.  ``where`` says where it is declared."""

    name: str
    count: int
    objects: tuple[str, ...]
    values: tuple[Values, ...] = ()
    cpus: bool = False


@dataclass(frozen=True, slots=True)
class ToldApart:
    """What tells objects of a kind apart, so that they are no symmetry: a step of
    ``function`` at ``loc``, or an invariant, or (``function`` is empty) a constant
    ``cell``."""

    kind: str
    function: str
    loc: Location
    cell: str = ""


@dataclass(frozen=True)
class Point:
    """What is in an agent's part while control is there: where the return address of
    the function lies, and the slots with the number of a value map."""

    return_address: int
    slots: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ValueMap:
    """Integers that change, of which the bits in ``mask`` are looked at; or, if there is
    no table, bits that change places, once those in ``other`` are turned."""

    table: Mapping[int, int] | None
    mask: int = WORD
    bits: tuple[int, ...] = ()
    other: int = 0

    def image(self, value: int) -> int:
        if self.table is not None:
            seen = value & self.mask
            return value ^ seen ^ self.table.get(seen, seen)
        value ^= self.other
        result = value >> len(self.bits) << len(self.bits)
        for bit, to in enumerate(self.bits):
            result |= (value >> bit & 1) << to
        return result


@dataclass(frozen=True)
class Permutation:
    """``cells``, ``agents`` and ``cpus`` have by number where each goes; ``kinds`` are
    those whose objects change places.  ``values`` has the declared value maps by
    number, from DECLARED on."""

    kinds: tuple[str, ...]
    cells: tuple[int, ...]
    agents: tuple[int, ...]
    cpus: tuple[int, ...]
    values: tuple[ValueMap, ...]

    def value(self, number: int, value: int) -> int:
        """The image of a value to which a value map applies."""
        if number == PLAIN:
            return value
        if number == POINTER:
            return self.cells[value] if 0 <= value < len(self.cells) else value
        return self.values[number - DECLARED].image(value)


@dataclass(frozen=True)
class Symmetry:
    """A group: all permutations but the identity, those of single kinds first.

    ``maps`` has by cell of the memory the number of its value map, ``points`` by
    number of the point what agents' parts hold there.
    """

    permutations: tuple[Permutation, ...]
    maps: tuple[int, ...]
    points: tuple[Point, ...]

    @property
    def order(self) -> int:
        """How many there are, the identity included."""
        return 1 + len(self.permutations)

    def memory(self, p: Permutation, memory: Sequence[int]) -> list[int]:
        """The image of a memory."""
        result = list(memory)
        for cell, number in enumerate(self.maps):
            if number != STAYS:
                to = p.cells[cell]
                result[to] = memory[cell] if number == PLAIN else p.value(number, memory[cell])
        return result

    def part(self, p: Permutation, part: Sequence[int]) -> list[int]:
        """The image of an agent's part, which is that of the agent's image."""
        result, point = list(part), part[0]
        while point:
            at = self.points[point]
            for slot, number in at.slots:
                result[slot] = p.value(number, part[slot])
            point = part[at.return_address] if at.return_address else 0
        return result

    def orbit(self, memory: Sequence[int], parts: Sequence[Sequence[int]]) -> int:
        """How many different images a state has, itself included."""
        found = {(tuple(memory), tuple(map(tuple, parts)))}
        for p in self.permutations:
            images = [self.part(p, part) for part in parts]
            placed = sorted(zip(p.agents, images, strict=True))
            found.add((tuple(self.memory(p, memory)), tuple(tuple(part) for _, part in placed)))
        return len(found)


def symmetry_of(
    layout: Layout,
    numbers: Mapping[tuple[str, str, int], int],
    start: Sequence[int],
    kinds: Sequence[Kind],
) -> tuple[Symmetry | None, tuple[Kind, ...], tuple[ToldApart, ...]]:
    """The group of the kinds that a program has, these kinds, and which of them
    constants tell apart; None where there is nothing to permute.

    ``numbers`` are those of the points (search/translate), ``start`` is the first state.
    Kinds that would make the group larger than MOST_PERMUTATIONS are left out, the last
    ones first.
    """
    present = [kind for each in kinds if (kind := _there(layout, each)) is not None]
    told: list[ToldApart] = []
    builder = _Builder(layout, start, present)
    for kind in present.copy():
        cell = builder.constant_that_differs(kind)
        if cell is not None:
            present.remove(kind)
            told.append(
                ToldApart(kind.name, "", builder.declared_at(cell), layout.cells[cell].name)
            )
    while prod(factorial(kind.count) for kind in present) > MOST_PERMUTATIONS:
        present.pop()
    if not present:
        return None, (), tuple(told)
    return _Builder(layout, start, present).symmetry(numbers), tuple(present), tuple(told)


def _readable(layout: Layout) -> tuple[int, ...]:
    program = layout.program
    readers = (*program.entries, *program.observers)
    return may_read(layout, cells_by_key(layout), readers)


def _there(layout: Layout, kind: Kind) -> Kind | None:
    """The kind with those of its arrays that a program has, and that have an element
    for each object; None where there are no several objects."""
    program = layout.program
    if kind.count < 2 or (kind.cpus and kind.count != program.cpus):
        return None
    if kind.cpus and any(
        _agent_on(program.agents, agent, cpu) is None
        for agent in program.agents
        for cpu in range(kind.count)
    ):
        return None
    found = {name: _array(program, name) for name in kind.objects}
    names = tuple(name for name, a in found.items() if a is not None and a.length >= kind.count)
    return replace(kind, objects=names) if names else None


def _array(program: Program, name: str) -> Array | None:
    """The array of objects, where the program has it."""
    struct, _, field = name.partition(".")
    found: Type | None = None
    if not field and name in program.globals:
        found = program.globals[name].type
    elif field and struct in program.structs:
        found = program.structs[struct].field_type(field)
    return found if isinstance(found, Array) else None


@dataclass(frozen=True)
class _Cell:
    """A cell: its field, and which elements of which arrays it lies in, each with the
    element's size."""

    name: str
    within: tuple[tuple[str, int, int], ...]


class _Builder:
    def __init__(self, layout: Layout, start: Sequence[int], kinds: Sequence[Kind]) -> None:
        self.layout = layout
        self.program = layout.program
        self.start = start
        self.kinds = kinds
        self.cells = {0: _Cell("", ())}
        for decl in self.program.globals.values():
            for offset, cell in enumerate(self._walk(decl.type, decl.name, ())):
                self.cells[layout.bases[decl.name] + offset] = cell
        self.memory = layout.regions + self.program.cpus
        # What nobody reads or writes stays where it is.
        self.written = written_cells(layout)
        self.used = self.written.union(_readable(layout))
        # Value maps by what is declared of a cell or local; or by CPU, of its regions.
        self.numbers: dict[tuple[tuple[Kind, Values], ...] | int, int] = {(): PLAIN}
        # The regions that somebody enters or leaves.
        self.regions = sum(
            {
                1 << self.program.regions.index(item.region)
                for name in reachable_functions(self.program, self.program.entries)
                for item in instructions(self.program.functions[name])
                if isinstance(item, Enter | Leave)
            }
        )

    def _walk(
        self, kind: Type, name: str, within: tuple[tuple[str, int, int], ...]
    ) -> Iterator[_Cell]:
        match kind:
            case Struct(name=struct):
                for field, inner in self.program.structs[struct].fields:
                    yield from self._walk(inner, f"{struct}.{field}", within)
            case Array(element=element, length=length):
                size = self.layout.size_of(element)
                for index in range(length):
                    yield from self._walk(element, name, (*within, (name, index, size)))
            case _:
                yield _Cell(name, within)

    # --- where things go -----------------------------------------------------------

    def _moved(self, moves: Mapping[str, tuple[Kind, tuple[int, ...]]], cell: int) -> int:
        """Where a cell goes; ``moves`` has by array what becomes of its elements."""
        result = cell
        for array, index, size in self.cells[cell].within:
            if array in moves and index < moves[array][0].count:
                result += (moves[array][1][index] - index) * size
        return result

    def _permutation(self, chosen: Sequence[tuple[int, ...]]) -> Permutation:
        """That which permutes the objects of each kind so."""
        program, layout = self.program, self.layout
        moves = {
            array: (kind, order)
            for kind, order in zip(self.kinds, chosen, strict=True)
            for array in kind.objects
        }
        cpus = tuple(range(program.cpus))
        for kind, order in zip(self.kinds, chosen, strict=True):
            cpus = order if kind.cpus else cpus
        cells = [self._moved(moves, cell) for cell in range(layout.regions)]
        cells += [layout.regions + cpu for cpu in cpus]
        return Permutation(
            tuple(
                kind.name
                for kind, order in zip(self.kinds, chosen, strict=True)
                if order != tuple(range(kind.count))
            ),
            tuple(cells),
            tuple(self._agents(cpus)),
            cpus,
            tuple(
                self._stay(of, cpus)
                if isinstance(of, int)
                else self._value_map(of, dict(zip(self.kinds, chosen, strict=True)))
                for of in self.numbers
                if of != ()
            ),
        )

    def _agents(self, cpus: Sequence[int]) -> Iterator[int]:
        agents = self.program.agents
        for agent in agents:
            to = _agent_on(agents, agent, cpus[agent.cpu])
            assert to is not None, "a kind without an agent on each CPU is left out"
            yield to

    def symmetry(self, numbers: Mapping[tuple[str, str, int], int]) -> Symmetry:
        maps = tuple(self._map_of_cell(cell) for cell in range(self.memory))
        points = self._points(numbers)
        orders = [tuple(itertools.permutations(range(kind.count))) for kind in self.kinds]
        found = [self._permutation(chosen) for chosen in itertools.product(*orders)]
        found.sort(key=lambda p: len(p.kinds))
        return Symmetry(tuple(found[1:]), maps, points)

    # --- values ------------------------------------------------------------------------

    def _number(self, declared: tuple[tuple[Kind, Values], ...] | int) -> int:
        return self.numbers.setdefault(declared, len(self.numbers) + DECLARED - 1)

    def _map_of_cell(self, cell: int) -> int:
        if cell >= self.layout.regions:
            return self._number(cell - self.layout.regions)
        if cell not in self.used:
            return STAYS
        if isinstance(self.layout.cells[cell - 1].type, Pointer):
            return POINTER
        names = self.cells[cell].name, self.layout.cells[cell - 1].name
        return self._number(
            tuple(
                (k, v)
                for k in self.kinds
                for v in k.values
                if any(_is_field(field, *names) for field in v.fields)
            )
        )

    def _map_of_local(self, function: str, name: str) -> int:
        if isinstance(self.program.functions[function].variables[name], Pointer):
            return POINTER
        names = {f"{function}.{name}", f"{function}.*", f"*.{name}"}
        return self._number(
            tuple((k, v) for k in self.kinds for v in k.values if names.intersection(v.locals))
        )

    def _points(self, numbers: Mapping[tuple[str, str, int], int]) -> tuple[Point, ...]:
        result = [Point(0, ())] * (1 + max(numbers.values(), default=1))
        for (name, label, index), number in numbers.items():
            function, frame = self.program.functions[name], self.layout.frames[name]
            live = self.layout.liveness[name][label, index]
            block = next(block for block in function.blocks if block.label == label)
            before = block.instructions[index - 1] if index else None
            if isinstance(before, Call):
                live -= {before.target or ""}
            slots = [
                (frame.locals[n], self._map_of_local(name, n))
                for n in sorted(live)
                if n in frame.locals
            ]
            result[number] = Point(frame.return_address, tuple(s for s in slots if s[1]))
        return tuple(result)

    def _stay(self, cpu: int, cpus: Sequence[int]) -> ValueMap:
        """Regions that nobody enters or leaves stay with their CPU."""
        regions = self.layout.regions
        differ = int(self.start[regions + cpu]) ^ int(self.start[regions + cpus[cpu]])
        return ValueMap(None, other=differ & ~self.regions)

    def _value_map(
        self, declared: Sequence[tuple[Kind, Values]], orders: Mapping[Kind, tuple[int, ...]]
    ) -> ValueMap:
        kind, values = declared[0]
        if values.how == SET:
            bits = values.bits
            return ValueMap(
                None, bits=tuple(n * bits + bit for n in orders[kind] for bit in range(bits))
            )
        # Of declarations that contradict each other the first one counts.
        table: dict[int, int] = {}
        for kind, others in declared:
            for told in self._told(kind, others) if others.mask == values.mask else ():
                if len(set(told)) == kind.count and not table.keys() & set(told):
                    table |= {v: told[orders[kind][number]] for number, v in enumerate(told)}
        return ValueMap(table, values.mask)

    def _told(self, kind: Kind, values: Values) -> list[list[int]]:
        """The integers that tell the objects, by their numbers; none where the program has
        other ones."""
        if values.how == INDEX:
            return [[k * kind.count + n for n in range(kind.count)] for k in range(values.blocks)]
        array, _, field = values.like.partition(".")
        if values.how == SET or array not in self.program.globals:
            return []
        try:
            cells = [self.layout.address(array, f"[{n}].{field}") for n in range(kind.count)]
        except IRError:
            return []
        told = [int(self.start[cell]) for cell in cells]
        return [told] if all(value & values.mask == value for value in told) else []

    # --- constants ------------------------------------------------------------------------

    def constant_that_differs(self, kind: Kind) -> int | None:
        """A cell that nobody writes and that is another one's after a permutation: its
        index in Layout.cells."""
        alone = _Builder(self.layout, self.start, [kind])
        group = alone.symmetry({})
        for p in group.permutations:
            for cell in sorted(self.used - self.written):
                value = p.value(group.maps[cell], int(self.start[cell]))
                if value != int(self.start[p.cells[cell]]):
                    return cell - 1
        return None

    def declared_at(self, cell: int) -> Location:
        """Where a cell of Layout.cells is declared."""
        name = self.layout.cells[cell].name
        return self.program.globals[name.replace("[", ".").split(".")[0]].loc


def _is_field(declared: str, field: str, path: str) -> bool:
    """Whether a cell, by the name of its field and its path, is declared so."""
    if "[" not in declared:
        return declared == field
    limits = re.findall(r"\[(\d*)\]", declared)
    found = re.fullmatch(re.sub(r"\\\[\d*\\\]", r"\\[(\\d+)\\]", re.escape(declared)), path)
    return found is not None and all(
        limit == "" or int(index) < int(limit)
        for index, limit in zip(found.groups(), limits, strict=True)
    )


def _agent_on(agents: Sequence[Agent], agent: Agent, cpu: int) -> int | None:
    """The agent that does on a CPU what ``agent`` does on its own, if there is one."""

    def alike(on: int) -> list[int]:
        of = (on, agent.entry, agent.context)
        return [n for n, a in enumerate(agents) if (a.cpu, a.entry, a.context) == of]

    mine, there = alike(agent.cpu), alike(cpu)
    own = next(place for place, number in enumerate(mine) if agents[number] is agent)
    return there[own] if own < len(there) else None
