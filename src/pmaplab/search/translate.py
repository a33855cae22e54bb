"""From IR to Python functions, for the interpreter.

Every place where control can stand between two pieces of code is a *point*
with a number: a function's entry, a block that several others lead to, what
follows a step or a call.  The code of a point returns the next point to go
on with, the negative of the point where the step ends, or 0 when the step is
disabled.  The arguments are: ``s`` the state, ``b`` the agent's first cell,
``r`` scratch registers, ``c`` the CPU, ``x`` the context.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import (
    Assert,
    Assign,
    Assume,
    Block,
    Branch,
    Call,
    Choose,
    CmpXchg,
    Count,
    Enter,
    Fence,
    Function,
    Instruction,
    Jump,
    Leave,
    Load,
    Print,
    Program,
    Return,
    Rmw,
    Sometimes,
    Step,
    Store,
    Terminator,
)
from pmaplab.ir.types import Int, Pointer, Scalar
from pmaplab.ir.walk import joins, reads, successors, writes
from pmaplab.search.expressions import Writer

DONE = 1  # the point of an agent that has finished
FIRST_POINT = 2
# A loop of an atomic function that turns more often than this has no end.
LONGEST_ATOMIC = 100_000
ENDLESS = "an atomic loop does not end"
RESULT = 0  # the scratch register that carries a returned value


Point = tuple[str, str, int]  # function, block, instruction


@dataclass
class Code:
    """The translated program."""

    points: list[Any] = field(default_factory=lambda: [None] * FIRST_POINT)
    places: list[tuple[str, Instruction | Terminator]] = field(default_factory=list)
    entries: dict[str, int] = field(default_factory=dict)
    # Where an agent of the function begins: behind a leading Step.
    starts: dict[str, int] = field(default_factory=dict)
    numbers: dict[Point, int] = field(default_factory=dict)
    atomics: dict[str, Callable[..., Any]] = field(default_factory=dict)
    sites: list[tuple[str, Instruction | Terminator]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    scratch: int = 1


def translate(
    program: Program,
    layout: Layout,
    *,
    traced: bool,
    reset_dead_locals: bool,
    disabled: type[Exception],
    fault: type[Exception],
) -> Code:
    """Python code for every function that an agent or a property reaches."""
    return _Translator(program, layout, traced, reset_dead_locals).translate(disabled, fault)


class _Translator:
    def __init__(
        self, program: Program, layout: Layout, traced: bool, reset_dead_locals: bool
    ) -> None:
        self.reset_dead_locals = reset_dead_locals
        self.program = program
        self.layout = layout
        self.traced = traced
        self.code = Code()
        self.numbers = self.code.numbers
        self.lines: list[str] = []
        self.label_numbers: dict[str, int] = {}
        self.registers: dict[tuple[str, str], int] = {}

    def translate(self, disabled: type[Exception], fault: type[Exception]) -> Code:
        program = self.program
        atomics = [name for name, f in program.functions.items() if f.atomic]
        names = reachable_functions(program, [*program.entries, *program.observers, *atomics])
        for label in program.must_reach:
            self.label(label)
        plain = [program.functions[n] for n in sorted(names) if not program.functions[n].atomic]
        self.code.places = [("", plain[0].blocks[0].terminator)] * FIRST_POINT if plain else []
        for function in plain:
            if function.name in self.layout.frames:
                self._number(function)
        namespace: dict[str, Any] = {"Disabled": disabled, "Fault": fault}
        exec(_prelude(), namespace)
        self.code.points += [None] * len(self.numbers)
        numbers: dict[str, list[int]] = {}
        for (name, _, _), number in self.numbers.items():
            numbers.setdefault(name, []).append(number)
        for name in sorted(names):
            function = program.functions[name]
            self.lines = []
            if function.atomic:
                _AtomicEmitter(self, function).emit()
                _LateCode(self.code, self.lines, namespace).atomic(name)
            elif name in self.layout.frames:
                _PlainEmitter(self, function).emit()
                _LateCode(self.code, self.lines, namespace).plain(numbers[name])
        return self.code

    def label(self, text: str) -> int:
        if text not in self.label_numbers:
            self.label_numbers[text] = len(self.code.labels)
            self.code.labels.append(text)
        return self.label_numbers[text]

    def site(self, function: str, item: Instruction | Terminator) -> int:
        self.code.sites.append((function, item))
        return len(self.code.sites) - 1

    def _number(self, function: Function) -> None:
        """Numbers for the points of ``function``."""
        heads = joins(function)
        for block in function.blocks:
            if block.label in heads:
                self._point(function, block, 0)
            for index, instruction in enumerate(block.instructions):
                if isinstance(instruction, Step) or self._leaves(instruction):
                    self._point(function, block, index + 1)
        first = function.blocks[0]
        self.code.entries[function.name] = self.numbers[function.name, first.label, 0]
        behind = 1 if first.instructions and isinstance(first.instructions[0], Step) else 0
        self.code.starts[function.name] = self.numbers[function.name, first.label, behind]

    def _leaves(self, instruction: Instruction) -> bool:
        return (
            isinstance(instruction, Call)
            and not self.program.functions[instruction.function].atomic
        )

    def _point(self, function: Function, block: Block, index: int) -> None:
        point = (function.name, block.label, index)
        if point not in self.numbers:
            self.numbers[point] = FIRST_POINT + len(self.numbers)
            item: Instruction | Terminator = (
                block.instructions[index] if index < len(block.instructions) else block.terminator
            )
            self.code.places.append((function.name, item))


class _LateCode:
    """One function, which Python compiles when it is called first: a native search
    calls few of them."""

    def __init__(self, code: Code, lines: list[str], namespace: dict[str, Any]) -> None:
        self.code = code
        self.lines = lines
        self.namespace = namespace
        self.points: list[int] = []

    def plain(self, points: list[int]) -> None:
        """The function has these points."""
        self.points = points
        for number in points:
            self.code.points[number] = functools.partial(self._point, number)

    def atomic(self, name: str) -> None:
        """The function is atomic."""
        plain = f"a_{_plain(name)}"
        self.namespace[plain] = functools.partial(self._call, plain)
        # The function itself, when it is there: the name stands for it from then on.
        self.code.atomics[name] = lambda *arguments: self.namespace[plain](*arguments)

    def _compile(self) -> None:
        exec(compile("\n".join(self.lines), "<translated IR>", "exec"), self.namespace)
        for number in self.points:
            self.code.points[number] = self.namespace[f"p{number}"]

    def _point(self, number: int, *arguments: Any) -> Any:
        self._compile()
        return self.code.points[number](*arguments)

    def _call(self, name: str, *arguments: Any) -> Any:
        self._compile()
        return self.namespace[name](*arguments)


@functools.cache
def _prelude() -> CodeType:
    return compile(_PRELUDE, "<translated IR>", "exec")


class _Emitter:
    """What plain and atomic functions have in common."""

    def __init__(self, owner: _Translator, function: Function) -> None:
        self.owner = owner
        self.function = function
        self.blocks = {block.label: block for block in function.blocks}
        self.joins = joins(function)
        self.writer = Writer(owner.layout, self.variable)

    def variable(self, name: str) -> str:
        return f"v_{_plain(name)}"

    def line(self, depth: int, text: str) -> None:
        self.owner.lines.append("    " * depth + text)

    def assign(self, depth: int, name: str, text: str) -> None:
        self.line(depth, f"{self.variable(name)} = {text}")

    def receive(self, depth: int, write: Writer, name: str, text: str) -> None:
        """Like assign, checked against the range of the local."""
        self.assign(depth, name, write.received(text, self.function.variables[name]))

    def disabled(self) -> str:
        raise NotImplementedError

    def simple(self, depth: int, item: Instruction) -> None:
        """An instruction that does not change where control goes."""
        owner = self.owner
        site = owner.site(self.function.name, item)
        write = self.writer.at(site)
        if owner.traced:
            self.line(depth, f"x.log({site})")
        match item:
            case Assign(target=target, value=value):
                kind = self.function.variables[target]
                self.assign(depth, target, write.fitted(value, kind))
            case Load(target=target, address=address):
                self.receive(depth, write, target, f"s[{write.address(address)}]")
            case Store(address=address, value=value):
                kind = _target(address.type)
                self.line(depth, f"s[{write.address(address)}] = {write.fitted(value, kind)}")
            case Rmw(target=old, op=op, address=address, operand=operand):
                kind = _target(address.type)
                self.line(depth, f"t = {write.address(address)}")
                result = write.rmw(op, "s[t]", operand, kind)
                if old is None:
                    self.line(depth, f"s[t] = {result}")
                else:
                    self.line(depth, f"u = s[t]; s[t] = {result}")
                    self.receive(depth, write, old, "u")
            case CmpXchg(target=old, address=address, expected=expected, desired=desired):
                kind = _target(address.type)
                self.line(depth, f"t = {write.address(address)}; u = s[t]")
                self.line(depth, f"if u == {write.expr(expected)}:")
                self.line(depth + 1, f"s[t] = {write.fitted(desired, kind)}")
                self.receive(depth, write, old, "u")
            case Assume(condition=condition):
                self.line(depth, f"if not {write.expr(condition)}: {self.disabled()}")
            case Choose(target=target, lo=lo, hi=hi):
                choice = f"x.choose({write.expr(lo)}, {write.expr(hi)})"
                self.receive(depth, write, target, choice)
            case Assert(condition=condition, kind=what, message=message, arguments=arguments):
                text = write.formatted(message, arguments)
                self.line(
                    depth, f"if not {write.expr(condition)}: raise Fault({site}, {what!r}, {text})"
                )
            case Call(target=result_name, function=callee, arguments=arguments):
                kinds = self.owner.program.functions[callee]
                values = [
                    write.fitted(argument, kinds.variables[name])
                    for name, argument in zip(kinds.parameters, arguments, strict=True)
                ]
                call = f"a_{_plain(callee)}({', '.join(['s', 'c', 'x', *values])})"
                if result_name is None:
                    self.line(depth, call)
                else:
                    self.receive(depth, write, result_name, call)
            case Print(format=text_format, arguments=arguments):
                if owner.traced:
                    self.line(depth, f"x.print({write.formatted(text_format, arguments)})")
            case Count(counter=counter):
                if owner.traced:
                    self.line(depth, f"x.count({counter!r})")
            case Sometimes(label=label):
                self.line(depth, f"x.marks |= {1 << owner.label(label)}")
            case Enter(region=region):
                self.line(depth, f"s[{self._regions()}] |= {self._region(region)}")
            case Leave(region=region):
                self.line(depth, f"s[{self._regions()}] &= {~self._region(region)}")
            case Fence() | Step():
                # Under sequential consistency a fence orders nothing more.
                pass

    def _regions(self) -> str:
        return f"{self.owner.layout.regions} + c"

    def _region(self, name: str) -> int:
        return 1 << self.owner.program.regions.index(name)

    def tree(self, depth: int, label: str, index: int) -> None:
        """Code from instruction ``index`` of a block to the next points."""
        block = self.blocks[label]
        for number in range(index, len(block.instructions)):
            instruction = block.instructions[number]
            if self.stops(depth, block, number, instruction):
                return
            self.simple(depth, instruction)
        self._terminator(depth, block)

    def stops(self, depth: int, block: Block, index: int, instruction: Instruction) -> bool:
        return False

    def _terminator(self, depth: int, block: Block) -> None:
        item = block.terminator
        match item:
            case Jump(block=target):
                self.goto(depth, target)
            case Branch(condition=condition, then=then, otherwise=otherwise):
                write = self.writer.at(self.owner.site(self.function.name, item))
                # The first way never falls through to the second.
                self.line(depth, f"if {write.expr(condition)}:")
                self.goto(depth + 1, then)
                self.goto(depth, otherwise)
            case Return(value=value):
                write = self.writer.at(self.owner.site(self.function.name, item))
                result = self.function.result
                text = None if value is None or result is None else write.fitted(value, result)
                self.returns(depth, text)

    def goto(self, depth: int, label: str) -> None:
        if label in self.joins:
            self.jump(depth, label)
        else:
            self.tree(depth, label, 0)

    def jump(self, depth: int, label: str) -> None:
        raise NotImplementedError

    def returns(self, depth: int, value: str | None) -> None:
        raise NotImplementedError


class _PlainEmitter(_Emitter):
    """A function whose calls and steps go through points."""

    def __init__(self, owner: _Translator, function: Function) -> None:
        super().__init__(owner, function)
        self.frame = owner.layout.frames[function.name]
        self.live = owner.layout.liveness[function.name]
        self.is_entry = function.name in owner.program.entries
        self.registers = self._registers()

    def _registers(self) -> dict[str, str]:
        """Names for the locals that no later step needs.

        Those that only one point's code mentions become Python locals.
        """
        mentions: dict[str, set[Point]] = {name: {("", "", 0)} for name in self.function.parameters}
        for point in self._points():
            for item in self._covered(point):
                for name in reads(item) | ({writes(item) or ""} - {""}):
                    mentions.setdefault(name, set()).add(point)
        result: dict[str, str] = {}
        for name in self.function.variables:
            if name in self.frame.locals:
                result[name] = f"s[b + {self.frame.locals[name]}]"
            elif len(mentions.get(name, ())) <= 1:
                result[name] = f"v_{_plain(name)}"
            else:
                result[name] = f"r[{self._scratch_for(name)}]"
        return result

    def _scratch_for(self, name: str) -> int:
        return _scratch_register(self.owner, self.function, name)

    def _points(self) -> list[Point]:
        return [point for point in self.owner.numbers if point[0] == self.function.name]

    def _covered(self, point: Point) -> list[Instruction | Terminator]:
        """The instructions that the code of ``point`` contains."""
        result: list[Instruction | Terminator] = []
        work = [(point[1], point[2])]
        while work:
            label, index = work.pop()
            block = self.blocks[label]
            if index and self.owner._leaves(block.instructions[index - 1]):
                result.append(block.instructions[index - 1])
            for instruction in block.instructions[index:]:
                result.append(instruction)
                if isinstance(instruction, Step) or self.owner._leaves(instruction):
                    break
            else:
                result.append(block.terminator)
                work += [(t, 0) for t in successors(block.terminator) if t not in self.joins]
        return result

    def variable(self, name: str) -> str:
        return self.registers[name]

    def disabled(self) -> str:
        return "return 0"

    def emit(self) -> None:
        for point in self._points():
            _, label, index = point
            self.line(0, f"def p{self.owner.numbers[point]}(s, b, r, c, x):")
            if index:
                previous = self.blocks[label].instructions[index - 1]
                if isinstance(previous, Call) and previous.target is not None:
                    write = self.writer.at(self.owner.site(self.function.name, previous))
                    self.receive(1, write, previous.target, f"r[{RESULT}]")
            self.tree(1, label, index)

    def stops(self, depth: int, block: Block, index: int, instruction: Instruction) -> bool:
        after = self.owner.numbers.get((self.function.name, block.label, index + 1))
        if isinstance(instruction, Step):
            self._clear(depth, self.live[block.label, index + 1])
            self.line(depth, f"return -{after}")
            return True
        if isinstance(instruction, Call) and self.owner._leaves(instruction):
            self._call(depth, block, index, instruction)
            return True
        return False

    def _call(self, depth: int, block: Block, index: int, call: Call) -> None:
        owner = self.owner
        callee = owner.program.functions[call.function]
        frame = owner.layout.frames[callee.name]
        site = owner.site(self.function.name, call)
        write = self.writer.at(site)
        if owner.traced:
            self.line(depth, f"x.log({site})")
        targets = [
            f"s[b + {frame.locals[p]}]"
            if p in frame.locals
            else f"r[{_scratch_register(owner, callee, p)}]"
            for p in callee.parameters
        ]
        values = [
            write.fitted(argument, callee.variables[p])
            for p, argument in zip(callee.parameters, call.arguments, strict=True)
        ]
        if targets:
            self.line(depth, f"{', '.join(targets)} = {', '.join(values)}")
        self._clear(depth, self.live[block.label, index + 1] - {call.target or ""})
        after = owner.numbers[self.function.name, block.label, index + 1]
        self.line(depth, f"s[b + {frame.return_address}] = {after}")
        self.line(depth, f"return {owner.code.entries[callee.name]}")

    def _clear(self, depth: int, live: frozenset[str]) -> None:
        """A dead local reads as 0, so that states do not differ in it."""
        if not self.owner.reset_dead_locals:
            return
        for name, offset in self.frame.locals.items():
            if name not in live:
                self.line(depth, f"s[b + {offset}] = 0")

    def jump(self, depth: int, label: str) -> None:
        self.line(depth, f"return {self.owner.numbers[self.function.name, label, 0]}")

    def returns(self, depth: int, value: str | None) -> None:
        if value is not None:
            self.line(depth, f"r[{RESULT}] = {value}")
        self._clear(depth, frozenset())
        cell = f"s[b + {self.frame.return_address}]"
        self.line(depth, f"t = {cell}; {cell} = 0")
        # Nobody has called the function that an agent begins with.
        self.line(depth, f"return t or -{DONE}" if self.is_entry else "return t")


class _AtomicEmitter(_Emitter):
    """A function that runs whole within the step that calls it."""

    def disabled(self) -> str:
        return "raise Disabled"

    def emit(self) -> None:
        names = ", ".join(["s", "c", "x", *(self.variable(p) for p in self.function.parameters)])
        self.line(0, f"def a_{_plain(self.function.name)}({names}):")
        first = self.function.blocks[0].label
        if self.joins == {first} and first not in _targets(self.function):
            self.tree(1, first, 0)
            return
        self.order = [b.label for b in self.function.blocks if b.label in self.joins]
        self.line(1, "k = 0; n = 0")
        self.line(1, "while True:")
        site = self.owner.site(self.function.name, self.function.blocks[0].terminator)
        self.line(2, "n += 1")
        self.line(2, f"if n > {LONGEST_ATOMIC}: raise Fault({site}, 'range', {ENDLESS!r})")
        for number, label in enumerate(self.order):
            self.line(2, f"{'if' if number == 0 else 'elif'} k == {number}:")
            self.tree(3, label, 0)

    def jump(self, depth: int, label: str) -> None:
        self.line(depth, f"k = {self.order.index(label)}; continue")

    def returns(self, depth: int, value: str | None) -> None:
        self.line(depth, "return" if value is None else f"return {value}")


def _targets(function: Function) -> set[str]:
    return {t for block in function.blocks for t in successors(block.terminator)}


def _scratch_register(owner: _Translator, function: Function, name: str) -> int:
    key = (function.name, name)
    if key not in owner.registers:
        owner.registers[key] = owner.code.scratch
        owner.code.scratch += 1
    return owner.registers[key]


def _target(kind: Scalar) -> Scalar:
    assert isinstance(kind, Pointer)
    target = kind.target
    assert isinstance(target, Int | Pointer)
    return target


def _plain(name: str) -> str:
    """A Python identifier for ``name``; different names stay different."""
    return "".join(
        char if char.isascii() and char.isalnum() else f"_{ord(char):x}_" for char in name
    )


_PRELUDE = """
def null(site):
    raise Fault(site, "page fault", "a NULL pointer is dereferenced")
def outside(site, index, length):
    raise Fault(site, "page fault", f"index {index} is outside of an array of {length}")
def unfit(site, value, lo, hi):
    raise Fault(site, "range", f"the value {value} does not fit into {lo}..{hi}")
def overflow(site, value):
    raise Fault(site, "overflow", f"signed arithmetic overflows to {value}")
def badshift(site, count):
    raise Fault(site, "overflow", f"a shift by {count} is not defined")
def c_div(site, left, right, most):
    if not right:
        raise Fault(site, "divide error", "division by zero")
    quotient = abs(left) // abs(right)
    if (left < 0) != (right < 0):
        return -quotient
    return quotient if quotient <= most else overflow(site, quotient)
def c_mod(site, left, right, most):
    return left - right * c_div(site, left, right, most)
"""
