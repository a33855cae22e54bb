"""From the IR, its steps placed, to a system of steps (:mod:`.steps`) over its :mod:`.variables`.

The points are those of the interpreter's translation, and so are the places
of locals and the moments at which dead ones become 0: the states here are the
interpreter's states, cell by cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pmaplab.errors import ModelError
from pmaplab.exports.domain import NOTHING, Values, of
from pmaplab.exports.expressions import Lowering, target_of
from pmaplab.exports.nodes import fail_apart, ways
from pmaplab.exports.steps import (
    ADDRESS,
    FIRST_POINT,
    Again,
    Agent,
    Back,
    Give,
    Goto,
    Guard,
    If,
    Invoke,
    Judge,
    Mark,
    Note,
    Num,
    Op,
    Pick,
    Point,
    Require,
    Routine,
    Set,
    Site,
    Slot,
    Statement,
    StepSystem,
    Stop,
    Target,
    Var,
    When,
)
from pmaplab.exports.steps import Expr as X
from pmaplab.exports.variables import Variables, as_int, variable
from pmaplab.ir.callgraph import callees, reachable_functions
from pmaplab.ir.nodes import (
    Assert,
    Assign,
    Assume,
    Block,
    Branch,
    Call,
    Choose,
    CmpXchg,
    Enter,
    Expr,
    Function,
    Instruction,
    Jump,
    Leave,
    Load,
    Program,
    Return,
    Rmw,
    Sometimes,
    Step,
    Store,
    Terminator,
)
from pmaplab.ir.printer import print_line
from pmaplab.ir.types import BOOL, Int
from pmaplab.ir.walk import joins

# More ways to go on from one state than this are no model checker's business.
MOST_CHOICES = 4096


def step_system(program: Program, start: Sequence[int] | None = None) -> StepSystem:
    """The steps of ``program``, which begins with the memory ``start``; without
    one, with that of power-on.

    Raises ModelError for what cannot be exported.
    """
    return _Builder(program, start).build()


class _Builder:
    def __init__(self, program: Program, start: Sequence[int] | None) -> None:
        self.program = program
        self.variables = Variables(program, start)
        self.sites: list[Site] = []
        self.labels: list[str] = list(program.must_reach)

    def build(self) -> StepSystem:
        program, variables = self.program, self.variables
        agents = reachable_functions(program, program.entries)
        names = agents | reachable_functions(program, program.observers)
        points: list[Point] = []
        for name in sorted(agents):
            if not program.functions[name].atomic:
                points += _Plain(self, program.functions[name]).points()
        routines = {}
        for name in self._callees_first(names):
            routines[name] = _Atomic(self, program.functions[name]).routine()
        system = StepSystem(
            memory=variables.memory(),
            regions={name: 1 << bit for bit, name in enumerate(program.regions)},
            first_region=variables.layout.regions,
            cpus=program.cpus,
            slots=variables.slots(),
            locals=variables.locals,
            agents=tuple(Agent(a.name, a.cpu, a.context) for a in program.agents),
            points=tuple(sorted(points, key=lambda point: point.number)),
            routines=routines,
            judges=self._judges(),
            sites=tuple(self.sites),
            labels=tuple(self.labels),
            must_reach=program.must_reach,
            initial=variables.initial(),
        )
        return replace(system, points=tuple(self._with_choices(system)))

    def _with_choices(self, system: StepSystem) -> Iterator[Point]:
        found = ways(system)
        for point in system.points:
            number = found.get(point.number, 1)
            if number > MOST_CHOICES:
                raise ModelError(
                    f"a step that begins here can go on in more than {MOST_CHOICES} ways",
                    location=point.loc,
                    advice="choose from fewer values, or in several steps",
                )
            yield replace(point, choices=number)

    def site(self, function: str, item: Instruction | Terminator) -> int:
        """The number of a new site, for what can fail in ``item``."""
        kind, message = "", ""
        if isinstance(item, Assert):
            kind, message = item.kind, item.message
        self.sites.append(Site(kind, message, function, item.loc))
        return len(self.sites) - 1

    def _callees_first(self, names: set[str]) -> Iterator[str]:
        seen: set[str] = set()

        def visit(name: str) -> Iterator[str]:
            if name in seen:
                return
            seen.add(name)
            for callee in callees(self.program.functions[name]):
                yield from visit(callee)
            if self.program.functions[name].atomic:
                yield name

        for name in sorted(names):
            yield from visit(name)

    def _judges(self) -> tuple[Judge, ...]:
        program = self.program
        return tuple(
            Judge(
                invariant.property,
                invariant.function,
                tuple(
                    (1 << program.regions.index(region), program.exempt_when.get(region))
                    for region in invariant.exempt
                ),
            )
            for invariant in program.invariants
        )


@dataclass
class _Body:
    """What plain and atomic functions have in common."""

    owner: _Builder
    function: Function

    def __post_init__(self) -> None:
        self.variables = self.owner.variables
        self.blocks = {block.label: block for block in self.function.blocks}
        self.joins = joins(self.function)
        self.lowering = Lowering(self.variables.layout, self.variables.ranges, self.read)

    def read(self, name: str) -> Var | Slot:
        return self.variables.local(self.function, name)

    def assign(self, name: str, value: X, site: int) -> Iterator[Statement]:
        target = self.read(name)
        kind = self.function.variables[name]
        yield Set(target, self.lowering.at(site).received(value, kind))

    def simple(self, item: Instruction) -> Iterator[Statement]:
        """An instruction that does not change where control goes."""
        owner = self.owner
        site = owner.site(self.function.name, item)
        write = self.lowering.at(site)
        match item:
            case Assign(target=target, value=value):
                kind = self.function.variables[target]
                yield Set(self.read(target), write.fitted(value, kind))
            case Load(target=target, address=address):
                yield from self.assign(target, write.place(address), site)
            case Store(address=address, value=value):
                kind = target_of(address)
                place, stored = write.place(address), write.fitted(value, kind)
                if fail_apart(stored, (place,)):
                    kept = self._temporary("stored", stored.kind.whole, self._held(address))
                    yield Set(kept, stored)
                    stored = kept
                yield Set(place, stored)
            case Rmw(target=old, op=op):
                yield from self._rmw(item, old, op, write, site)
            case CmpXchg():
                yield from self._cmpxchg(item, write, site)
            case Assume(condition=condition):
                yield Guard(write.expr(condition))
            case Choose():
                yield from self._choose(item, write, site)
            case Assert(condition=condition):
                yield Require(write.expr(condition), site)
            case Call(target=result, function=callee, arguments=arguments):
                called = owner.program.functions[callee]
                given = [
                    write.fitted(argument, called.variables[name])
                    for name, argument in zip(called.parameters, arguments, strict=True)
                ]
                yield from self._in_turn(called, given)
                yield from self._invoke(called, result, tuple(given), site)
            case Sometimes(label=label):
                if label not in owner.labels:
                    owner.labels.append(label)
                yield Mark(label)
            case Enter(region=region):
                mask, bit = self._region(region)
                yield Set(mask, Op("or", (mask, bit), ADDRESS, site, True))
            case Leave(region=region):
                mask, bit = self._region(region)
                inverse = Num((1 << 64) - 1 ^ bit.value, ADDRESS)
                yield Set(mask, Op("and", (mask, inverse), ADDRESS, site, True))

    def _temporary(self, name: str, kind: Int, values: Values) -> Var:
        return self.variables.temporary(self.function, name, kind, values)

    def _in_turn(self, called: Function, given: list[X]) -> Iterator[Statement]:
        """Compute first, in order, those of some arguments where the order matters."""
        for number, name in enumerate(called.parameters):
            if fail_apart(given[number], given[number + 1 :]):
                values = self.variables.ranges.locals.get((called.name, name), NOTHING)
                kept = self._temporary(f"argument{number}", given[number].kind.whole, values)
                yield Set(kept, given[number])
                given[number] = kept

    def _held(self, address: Expr) -> Values:
        """What the cells hold that ``address`` may be."""
        values = NOTHING
        for cell in self.variables.ranges.candidates(address):
            values = values.join(self.variables.ranges.cells[cell])
        return values

    def _rmw(
        self, item: Rmw, old: str | None, op: str, write: Lowering, site: int
    ) -> Iterator[Statement]:
        kind = target_of(item.address)
        place, plain = write.place(item.address), as_int(kind).whole
        before = self._temporary(f"old{plain}", plain, self._held(item.address))
        yield Set(before, place)
        operand = write.expr(item.operand)
        if op == "xchg":
            value = write.fitted(item.operand, kind)
        else:
            sum_kind = as_int(kind).whole
            exact = id(item) not in self.variables.ranges.wraps
            value = write.received(Op(op, (before, operand), sum_kind, site, exact), kind)
        yield Set(place, value)
        if old is not None:
            yield from self.assign(old, before, site)

    def _cmpxchg(self, item: CmpXchg, write: Lowering, site: int) -> Iterator[Statement]:
        kind = target_of(item.address)
        place, plain = write.place(item.address), as_int(kind).whole
        before = self._temporary(f"old{plain}", plain, self._held(item.address))
        yield Set(before, place)
        same = Op("eq", (before, write.expr(item.expected)), BOOL)
        yield When(same, (Set(place, write.fitted(item.desired, kind)),))
        yield from self.assign(item.target, before, site)

    def _choose(self, item: Choose, write: Lowering, site: int) -> Iterator[Statement]:
        kind = as_int(self.function.variables[item.target])
        values = self.variables.ranges.picked.get(id(item), of((0,)))
        picked = self._temporary(f"pick{site}", kind.whole, values)
        yield Pick(picked, write.expr(item.lo), write.expr(item.hi))
        yield from self.assign(item.target, picked, site)

    def _invoke(
        self, called: Function, result: str | None, values: tuple[X, ...], site: int
    ) -> Iterator[Statement]:
        if result is None or called.result is None:
            yield Invoke(None, called.name, values)
            return
        kind = as_int(called.result)
        found = self.variables.ranges.results.get(called.name, NOTHING)
        given = self._temporary(f"given{kind.whole}", kind.whole, found)
        yield Invoke(given, called.name, values)
        yield from self.assign(result, given, site)

    def _region(self, name: str) -> tuple[Target, Num]:
        bit = 1 << self.owner.program.regions.index(name)
        return self.lowering.own_mask(), Num(bit, ADDRESS)

    # --- control -----------------------------------------------------------

    def tree(self, label: str, index: int) -> Iterator[Statement]:
        """From instruction ``index`` of a block to the next points."""
        block = self.blocks[label]
        for number in range(index, len(block.instructions)):
            instruction = block.instructions[number]
            yield Note(print_line(instruction, self.function.variables), instruction.loc)
            ends = self.ends(block, number, instruction)
            if ends is not None:
                yield from ends
                return
            yield from self.simple(instruction)
        item = block.terminator
        match item:
            case Jump(block=target):
                yield from self.goto(target)
            case Branch(condition=condition, then=then, otherwise=otherwise):
                write = self.lowering.at(self.owner.site(self.function.name, item))
                yield Note(print_line(item, self.function.variables), item.loc)
                yield If(write.expr(condition), tuple(self.goto(then)))
                yield from self.goto(otherwise)
            case Return(value=value):
                write = self.lowering.at(self.owner.site(self.function.name, item))
                kind = self.function.result
                given = value is not None and kind is not None
                yield Note(print_line(item, self.function.variables), item.loc)
                yield from self.returns(write.fitted(value, kind) if given else None)  # type: ignore[arg-type]

    def goto(self, label: str) -> Iterator[Statement]:
        yield from (self.jump(label) if label in self.joins else self.tree(label, 0))

    def ends(self, block: Block, index: int, item: Instruction) -> Iterator[Statement] | None:
        return None

    def jump(self, label: str) -> Iterator[Statement]:
        raise NotImplementedError

    def returns(self, value: X | None) -> Iterator[Statement]:
        raise NotImplementedError


class _Plain(_Body):
    """A function with points of its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.frame = self.variables.layout.frames[self.function.name]
        self.live = self.variables.layout.liveness[self.function.name]

    def read(self, name: str) -> Var | Slot:
        if name in self.frame.locals:
            return Slot(self.frame.locals[name], as_int(self.function.variables[name]))
        return super().read(name)

    def points(self) -> Iterator[Point]:
        owner = self.owner
        for (name, label, index), number in list(self.variables.numbers.items()):
            if name != self.function.name:
                continue
            code: list[Statement] = []
            if index:
                before = self.blocks[label].instructions[index - 1]
                if isinstance(before, Call) and before.target is not None:
                    called = owner.program.functions[before.function]
                    if called.result is not None and self.variables.plain(before):
                        site = owner.site(name, before)
                        given = self.variables.result(called, called.result)
                        code += self.assign(before.target, given, site)
            code += self.tree(label, index)
            place, loc = self.variables.places[number - FIRST_POINT]
            starts = number in self.variables.starts
            yield Point(number, place, loc, tuple(code), starts, 1)

    def ends(self, block: Block, index: int, item: Instruction) -> Iterator[Statement] | None:
        if isinstance(item, Step):
            return self._step(block, index)
        if isinstance(item, Call) and self.variables.plain(item):
            return self._call(block, index, item)
        return None

    def _step(self, block: Block, index: int) -> Iterator[Statement]:
        yield from self._clear(self.live[block.label, index + 1])
        yield Stop(self.variables.numbers[self.function.name, block.label, index + 1])

    def _call(self, block: Block, index: int, call: Call) -> Iterator[Statement]:
        owner = self.owner
        callee = owner.program.functions[call.function]
        inside = _Plain(owner, callee)
        write = self.lowering.at(owner.site(self.function.name, call))
        for name, argument in zip(callee.parameters, call.arguments, strict=True):
            yield Set(inside.read(name), write.fitted(argument, callee.variables[name]))
        yield from self._clear(self.live[block.label, index + 1] - {call.target or ""})
        after = self.variables.numbers[self.function.name, block.label, index + 1]
        frame = self.variables.layout.frames[callee.name]
        yield Set(Slot(frame.return_address, ADDRESS), Num(after, ADDRESS))
        yield Goto(self.variables.entry(callee.name))

    def _clear(self, live: frozenset[str]) -> Iterator[Statement]:
        """A dead local reads as 0, so that states do not differ in it."""
        for name, offset in self.frame.locals.items():
            if name not in live:
                kind = as_int(self.function.variables[name])
                yield Set(Slot(offset, kind), Num(0, kind))

    def jump(self, label: str) -> Iterator[Statement]:
        yield Goto(self.variables.numbers[self.function.name, label, 0])

    def returns(self, value: X | None) -> Iterator[Statement]:
        if value is not None:
            assert self.function.result is not None
            yield Set(self.variables.result(self.function, self.function.result), value)
        yield from self._clear(frozenset())
        yield Back(self.frame.return_address)


class _Atomic(_Body):
    """A function that runs whole within the step that calls it."""

    def routine(self) -> Routine:
        function = self.function
        self.order = [b.label for b in function.blocks if b.label in self.joins]
        parts = tuple(tuple(self.tree(label, 0)) for label in self.order)
        for name in function.parameters:
            self.variables.local(function, name)
        result = None
        if function.result is not None:
            values = self.variables.ranges.results.get(function.name, NOTHING)
            result = variable("result", as_int(function.result), values, function.loc)
        parameters = tuple(f"{function.name}.{name}" for name in function.parameters)
        return Routine(function.name, parameters, result, parts, function.loc)

    def jump(self, label: str) -> Iterator[Statement]:
        yield Again(self.order.index(label))

    def returns(self, value: X | None) -> Iterator[Statement]:
        yield Give(value)
