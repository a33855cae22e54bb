"""Which cells of the memory code may read and write, from a given state on.

An inclusion-based analysis without regard to the order of instructions: every
local and every cell has the set of values that it may ever hold, numbers of
cells among them, or None for any value.  It begins with the values of a state;
agents add what they store.  A pointer of which nothing is known leads to any
object of its type, or anywhere if the program makes pointers out of integers.
Sets of cells are integers with a bit for each.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product

from pmaplab.ir.callgraph import callees, reachable_functions
from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import (
    Assign,
    Binary,
    Call,
    Cast,
    Choose,
    CmpXchg,
    Const,
    Enter,
    Expr,
    FieldAddress,
    Function,
    GlobalAddress,
    IndexAddress,
    InRegion,
    Instruction,
    Leave,
    Load,
    Local,
    Program,
    Return,
    Rmw,
    Select,
    Store,
    Terminator,
    ThisCpu,
)
from pmaplab.ir.types import Array, Int, Pointer, Struct, Type
from pmaplab.ir.walk import expressions, items

Values = frozenset[int] | None

# More values than these are any value; so are more pairs of operands.
MOST_VALUES = 64
MOST_PAIRS = 256

_NOTHING: frozenset[int] = frozenset()


@dataclass
class Effect:
    """What some code may do: the cells that it may read and write, and the regions
    that it may enter and leave.  ``unguarded`` are the reads without those into the local that
    only guards read."""

    reads: int = 0
    unguarded: int = 0
    writes: int = 0
    enters: frozenset[str] = frozenset()
    leaves: frozenset[str] = frozenset()


# An instruction, with the CPUs that its expressions ask for regions.
_Line = tuple[Instruction | Terminator, tuple[Expr, ...]]


@dataclass
class _Run:
    """One agent's code, or that of an invariant asked for one CPU.

    ``loads`` are the cells that each function loads; ``pending`` are the functions
    to look at, again or for the first time.
    """

    cpu: int
    functions: dict[str, Function]
    callers: dict[str, set[str]]
    pending: dict[str, None]
    locals: dict[tuple[str, str], Values] = field(default_factory=dict)
    results: dict[str, Values] = field(default_factory=dict)
    loads: dict[str, int] = field(default_factory=dict)
    effect: Effect = field(default_factory=Effect)


class Effects:
    """The effects of every agent from ``start`` on, whatever is run when, and those
    of functions that only observe."""

    def __init__(self, layout: Layout, start: Sequence[int], guard: str | None = None) -> None:
        self.layout = layout
        self.guard = guard
        self.program: Program = layout.program
        self.memory = layout.regions + self.program.cpus
        self.all = (1 << self.memory) - 2
        self._objects: dict[Type, frozenset[int]] = {}
        self._contents: list[Values] = [frozenset([int(v)]) for v in start[: self.memory]]
        for cpu in range(self.program.cpus):
            self._contents[layout.regions + cpu] = None
        self._wild = any(_makes_pointers(f) for f in self.program.functions.values())
        self._lines: dict[str, list[_Line]] = {}
        self._changed = 0
        runs = [self._run(agent.cpu, agent.entry, ()) for agent in self.program.agents]
        self._settle(runs)
        self.agents = [run.effect for run in runs]

    def observer(self, functions: Iterable[str], cpu: int) -> Effect:
        """The effect of functions that are asked for a CPU, their argument."""
        result = Effect()
        for name in functions:
            run = self._run(cpu, name, (frozenset([cpu]),))
            self._settle([run])
            result.reads |= run.effect.reads
            result.writes |= run.effect.writes
        return result

    def _run(self, cpu: int, entry: str, arguments: tuple[Values, ...]) -> _Run:
        names = sorted(reachable_functions(self.program, [entry]))
        functions = {name: self.program.functions[name] for name in names}
        callers: dict[str, set[str]] = {name: set() for name in names}
        for name, function in functions.items():
            for callee in callees(function):
                callers[callee].add(name)
            if name not in self._lines:
                self._lines[name] = list(_lines(function))
        run = _Run(cpu, functions, callers, dict.fromkeys(names))
        for name, values in zip(self.program.functions[entry].parameters, arguments, strict=True):
            run.locals[entry, name] = values
        return run

    def _settle(self, runs: list[_Run]) -> None:
        while any(run.pending for run in runs):
            for run in runs:
                while run.pending:
                    name = next(iter(run.pending))
                    del run.pending[name]
                    function = run.functions[name]
                    for item, asked in self._lines[name]:
                        self._item(run, function, item, asked)
                    changed, self._changed = self._changed, 0
                    if changed:
                        for other in runs:
                            again = [n for n, cells in other.loads.items() if cells & changed]
                            other.pending.update(dict.fromkeys(again))

    # --- instructions ----------------------------------------------------------

    def _item(
        self,
        run: _Run,
        function: Function,
        item: Instruction | Terminator,
        asked: tuple[Expr, ...],
    ) -> None:
        for cpu in asked:
            self._reads(run, self._region(run, function, cpu))
        match item:
            case Assign(target=target, value=value):
                self._set(run, function, target, self._value(run, function, value))
            case Choose(target=target, lo=lo, hi=hi):
                ends = (self._value(run, function, lo), self._value(run, function, hi))
                self._set(run, function, target, _between(*ends))
            case Load(target=target, address=address):
                cells = self._cells(run, function, address)
                if target == self.guard:
                    run.effect.reads |= cells
                else:
                    self._reads(run, cells)
                self._set(run, function, target, self._content(run, function, cells))
            case Store(address=address, value=value):
                cells = self._cells(run, function, address)
                self._store(run, cells, self._value(run, function, value))
            case Rmw(target=old, address=address, op=op, operand=operand):
                cells = self._cells(run, function, address)
                self._reads(run, cells)
                self._set(run, function, old, self._content(run, function, cells))
                left = self._value(run, function, operand) if op == "xchg" else None
                self._store(run, cells, left)
            case CmpXchg(target=old, address=address, desired=desired):
                cells = self._cells(run, function, address)
                self._reads(run, cells)
                self._set(run, function, old, self._content(run, function, cells))
                self._store(run, cells, self._value(run, function, desired))
            case Call(target=target, function=callee, arguments=arguments):
                called = self.program.functions[callee]
                for name, argument in zip(called.parameters, arguments, strict=True):
                    self._set(run, called, name, self._value(run, function, argument))
                self._set(run, function, target, run.results.get(callee, _NOTHING))
            case Return(value=value) if value is not None:
                known = run.results.get(function.name, _NOTHING)
                new = _union(known, self._value(run, function, value))
                if new != known:
                    run.results[function.name] = new
                    run.pending.update(dict.fromkeys(run.callers[function.name]))
            case Enter() | Leave():
                cell = 1 << self.layout.regions + run.cpu
                self._reads(run, cell)
                run.effect.writes |= cell
                if isinstance(item, Leave):
                    run.effect.leaves |= {item.region}
                else:
                    run.effect.enters |= {item.region}

    def _reads(self, run: _Run, cells: int) -> None:
        run.effect.reads |= cells
        run.effect.unguarded |= cells

    def _set(self, run: _Run, function: Function, name: str | None, values: Values) -> None:
        if name is None:
            return
        known = run.locals.get((function.name, name), _NOTHING)
        new = _union(known, values)
        if new != known:
            run.locals[function.name, name] = new
            run.pending[function.name] = None

    def _store(self, run: _Run, cells: int, values: Values) -> None:
        run.effect.writes |= cells
        for cell in bits(cells):
            known = self._contents[cell]
            new = _union(known, values)
            if new != known:
                self._contents[cell] = new
                self._changed |= 1 << cell

    def _content(self, run: _Run, function: Function, cells: int) -> Values:
        run.loads[function.name] = run.loads.get(function.name, 0) | cells
        result: Values = _NOTHING
        for cell in bits(cells):
            result = _union(result, self._contents[cell])
            if result is None:
                break
        return result

    def _region(self, run: _Run, function: Function, cpu: Expr) -> int:
        first, cpus = self.layout.regions, range(self.program.cpus)
        values = self._value(run, function, cpu)
        return sum(1 << first + n for n in cpus if values is None or n in values)

    # --- expressions -------------------------------------------------------------

    def _cells(self, run: _Run, function: Function, address: Expr) -> int:
        values = self._value(run, function, address)
        if values is None:
            return self.all
        return sum(1 << cell for cell in values if 0 < cell < self.memory)

    def _value(self, run: _Run, function: Function, expr: Expr) -> Values:
        match expr:
            case Const(value=value):
                return frozenset([value])
            case ThisCpu():
                return frozenset([run.cpu])
            case Local(name=name):
                return run.locals.get((function.name, name), _NOTHING)
            case GlobalAddress(name=name):
                return frozenset([self.layout.bases[name]])
            case FieldAddress(base=base, struct=struct, field=name):
                offset = self.layout.offsets[struct, name]
                bases = self._bases(run, function, base)
                return None if bases is None else frozenset(b + offset for b in bases)
            case IndexAddress(base=base, index=index, length=length):
                bases = self._bases(run, function, base)
                if bases is None:
                    return None
                kind = base.type
                assert isinstance(kind, Pointer) and isinstance(kind.target, Array)
                stride = self.layout.size_of(kind.target.element)
                found = self._value(run, function, index)
                places = [i for i in range(length) if found is None or i in found]
                # No limit here: an address of too many cells is no address of any.
                return frozenset(b + i * stride for b in bases for i in places)
            case Cast(operand=operand, type=Int() as kind):
                values = self._value(run, function, operand)
                fits = values is not None and all(kind.minimum <= v <= kind.maximum for v in values)
                return values if fits else None
            case Cast(operand=operand):
                return self._value(run, function, operand)
            case Select(then=then, otherwise=otherwise):
                return _union(
                    self._value(run, function, then), self._value(run, function, otherwise)
                )
            case Binary(op=op, left=left, right=right, type=kind):
                ends = (self._value(run, function, left), self._value(run, function, right))
                return _binary(op, *ends, kind)
        return None

    def _bases(self, run: _Run, function: Function, base: Expr) -> Values:
        """The objects that ``base`` may point to."""
        values = self._value(run, function, base)
        if values is not None:
            return values - {0}
        kind = base.type
        if self._wild or not isinstance(kind, Pointer):
            return None
        if kind.target not in self._objects:
            found: list[int] = []
            for decl in self.program.globals.values():
                self._find(kind.target, decl.type, self.layout.bases[decl.name], found)
            self._objects[kind.target] = frozenset(found)
        return self._objects[kind.target]

    def _find(self, wanted: Type, kind: Type, at: int, found: list[int]) -> None:
        """The places below ``at``, where there is a ``kind``, of what is wanted."""
        if kind == wanted:
            found.append(at)
        if isinstance(kind, Struct):
            for name, inner in self.program.structs[kind.name].fields:
                self._find(wanted, inner, at + self.layout.offsets[kind.name, name], found)
        elif isinstance(kind, Array):
            size = self.layout.size_of(kind.element)
            for index in range(kind.length):
                self._find(wanted, kind.element, at + index * size, found)


def _lines(function: Function) -> Iterable[_Line]:
    for item in items(function):
        yield item, tuple(sub.cpu for sub in expressions(item) if isinstance(sub, InRegion))


def union(sets: Iterable[int]) -> int:
    """What is in any of some sets."""
    return functools.reduce(operator.or_, sets, 0)


def bits(cells: int) -> Iterable[int]:
    """The numbers of the bits that are set."""
    while cells:
        low = cells & -cells
        yield low.bit_length() - 1
        cells ^= low


def _makes_pointers(function: Function) -> bool:
    return any(
        isinstance(sub, Cast) and isinstance(sub.type, Pointer)
        for item in items(function)
        for sub in expressions(item)
    )


def _union(left: Values, right: Values) -> Values:
    if left is None or right is None:
        return None
    if right <= left:
        return left
    result = left | right
    return result if len(result) <= MOST_VALUES else None


def _between(lo: Values, hi: Values) -> Values:
    if lo is None or hi is None:
        return None
    if not lo or not hi:
        return _NOTHING
    least, most = min(lo), max(hi)
    return frozenset(range(least, most + 1)) if most - least < MOST_VALUES else None


def _binary(op: str, left: Values, right: Values, kind: Int) -> Values:
    """Sums and comparisons of few values; the rest is any value."""
    if op in ("eq", "ne", "lt", "le", "gt", "ge", "land", "lor"):
        return frozenset([0, 1])
    if left is None or right is None or len(left) * len(right) > MOST_PAIRS:
        return None
    found: set[int] = set()
    for a, b in product(left, right):
        match op:
            case "add":
                value = a + b
            case "sub":
                value = a - b
            case "mul":
                value = a * b
            case _:
                return None
        if not kind.minimum <= value <= kind.maximum:
            return None
        found.add(value)
    return frozenset(found) if len(found) <= MOST_VALUES else None
