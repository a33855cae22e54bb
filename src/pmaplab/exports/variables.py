"""The variables of a system of steps (:mod:`.steps`), each with its range, and the
numbers of its points, which program counters hold.
"""

from __future__ import annotations

from collections.abc import Sequence

from pmaplab.errors import Location
from pmaplab.exports.domain import NOTHING, Values, of
from pmaplab.exports.ranges import Ranges
from pmaplab.exports.steps import ADDRESS, DONE, FIRST_POINT, Var, Variable
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import Block, Call, Function, Instruction, Program, Step
from pmaplab.ir.types import Int, Scalar
from pmaplab.ir.walk import joins

Place = tuple[str, str, int]  # function, block, instruction


def as_int(kind: Scalar) -> Int:
    """The type of a variable's value: pointers are numbers."""
    return kind if isinstance(kind, Int) else ADDRESS


def variable(name: str, kind: Int, values: Values, loc: Location) -> Variable:
    """A variable that holds ``values``."""
    # What nothing reaches holds its 0.
    values = values if values else of((0,))
    return Variable(name, kind, values.lo, values.hi, values.items, loc)


class Variables:
    """Those of ``program``, which begins with the memory ``start``; without one,
    with that of power-on.

    ``numbers`` has the points of all plain functions that agents run, ``places``
    the function and the location of each, ``starts`` those that begin a step.
    ``locals`` are the variables outside of the state, as far as they were asked for.
    """

    def __init__(self, program: Program, start: Sequence[int] | None) -> None:
        self.program = program
        self.layout = layout = Layout(program)
        memory = layout.initial() if start is None else list(start)
        self.start = memory[: layout.agents[0]]
        self.ranges = Ranges(layout, self.start)
        self.numbers: dict[Place, int] = {}
        self.places: list[tuple[str, Location]] = []
        self.starts: set[int] = set()
        self.locals: dict[str, Variable] = {}
        for name in sorted(reachable_functions(program, program.entries)):
            if not program.functions[name].atomic:
                self._number(program.functions[name])

    def initial(self) -> tuple[int, ...]:
        """The state in which the system begins."""
        layout = self.layout
        values = [*self.start, *[0] * (layout.size - len(self.start))]
        for base, agent in zip(layout.agents, self.program.agents, strict=True):
            values[base] = self._first(agent.entry)
        return tuple(int(value) for value in values)

    # --- points ------------------------------------------------------------

    def entry(self, function: str) -> int:
        """Where a call of ``function`` goes."""
        return self.numbers[function, self.program.functions[function].blocks[0].label, 0]

    def _first(self, function: str) -> int:
        """Where an agent begins: behind the Step with which it may begin."""
        block = self.program.functions[function].blocks[0]
        behind = 1 if block.instructions and isinstance(block.instructions[0], Step) else 0
        return self.numbers[function, block.label, behind]

    def plain(self, item: Instruction) -> bool:
        """Whether ``item`` calls a function that has points."""
        return isinstance(item, Call) and not self.program.functions[item.function].atomic

    def _number(self, function: Function) -> None:
        first, joined = function.blocks[0].label, joins(function)
        for block in function.blocks:
            if block.label in joined:
                number = self._point(function, block, 0)
                if block.label == first and function.name in self.program.entries:
                    self.starts.add(number)
            for index, instruction in enumerate(block.instructions):
                if isinstance(instruction, Step):
                    self.starts.add(self._point(function, block, index + 1))
                elif self.plain(instruction):
                    self._point(function, block, index + 1)

    def _point(self, function: Function, block: Block, index: int) -> int:
        place = (function.name, block.label, index)
        if place not in self.numbers:
            self.numbers[place] = FIRST_POINT + len(self.numbers)
            inside = index < len(block.instructions)
            item = block.instructions[index] if inside else block.terminator
            self.places.append((function.name, item.loc))
        return self.numbers[place]

    # --- outside of the state ----------------------------------------------

    def local(self, function: Function, name: str) -> Var:
        """A local outside of the state."""
        kind = as_int(function.variables[name])
        text = f"{function.name}.{name}"
        if text not in self.locals:
            values = self.ranges.locals.get((function.name, name), NOTHING)
            self.locals[text] = variable(text, kind, values, function.loc)
        return Var(text, kind)

    def result(self, function: Function, kind: Scalar) -> Var:
        """The variable that carries what a plain function returns."""
        name = f"{function.name}.result."
        if name not in self.locals:
            values = self.ranges.results.get(function.name, NOTHING)
            self.locals[name] = variable(name, as_int(kind), values, function.loc)
        return Var(name, as_int(kind))

    def temporary(self, function: Function, name: str, kind: Int, values: Values) -> Var:
        """One of ``function`` that holds ``values`` for a while, whatever else it holds."""
        text = f"{function.name}.{name}."
        known = self.locals.get(text)
        if known is not None:
            both = Values(known.lo, known.hi, known.few)
            values = both.join(values) if values else both
        self.locals[text] = variable(text, kind, values, function.loc)
        return Var(text, kind)

    # --- the state ---------------------------------------------------------

    def memory(self) -> dict[int, Variable]:
        """Those that all agents share, by cell."""
        layout, program = self.layout, self.program
        result: dict[int, Variable] = {}
        places = {
            layout.bases[decl.name] + offset: decl.loc
            for decl in program.globals.values()
            for offset in range(layout.size_of(decl.type))
        }
        for cell in layout.cells:
            values = self.ranges.cells[cell.index]
            kind = as_int(cell.type)
            result[cell.index] = variable(cell.name, kind, values, places[cell.index])
        mask = (1 << len(program.regions)) - 1
        place = (
            program.functions[program.agents[0].entry].loc if program.agents else Location("", 1)
        )
        for cpu in range(program.cpus):
            result[layout.regions + cpu] = Variable(
                f"regions[{cpu}]", Int(64), 0, mask, None, place
            )
        return result

    def slots(self) -> tuple[Variable, ...]:
        """Those that each agent has: its program counter, and its stack."""
        layout, program = self.layout, self.program
        size = (layout.size if len(layout.agents) < 2 else layout.agents[1]) - layout.agents[0]
        found: list[Values] = [of((0,)) for _ in range(size)]
        names: list[list[str]] = [[] for _ in range(size)]
        kinds: list[Int] = [ADDRESS for _ in range(size)]
        for place, number in self.numbers.items():
            callee = self._called_before(place)
            if callee is not None:
                slot = layout.frames[callee].return_address
                # Each number counts: this is where control can go on.
                few = (found[slot].items or frozenset()) | {number}
                found[slot] = Values(0, max(found[slot].hi, number), few)
        for name, frame in layout.frames.items():
            names[frame.return_address].append(f"return of {name}")
            for local, offset in frame.locals.items():
                values = self.ranges.locals.get((name, local), NOTHING)
                kind = as_int(program.functions[name].variables[local])
                found[offset] = found[offset].join(values)
                names[offset].append(f"{name}.{local}")
                kinds[offset] = kind
        last = FIRST_POINT + len(self.numbers) - 1
        found[0], names[0] = Values(DONE, last), ["pc"]
        loc = program.functions[program.agents[0].entry].loc
        return tuple(
            Variable(", ".join(n), k, v.lo, v.hi, v.items, loc)
            for n, k, v in zip(names, kinds, found, strict=True)
        )

    def _called_before(self, place: Place) -> str | None:
        """The function with points that the instruction before ``place`` calls."""
        name, label, index = place
        if not index:
            return None
        block = next(b for b in self.program.functions[name].blocks if b.label == label)
        item = block.instructions[index - 1]
        return item.function if isinstance(item, Call) and self.plain(item) else None
