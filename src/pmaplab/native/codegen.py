"""C for the steps and the invariants of a program.

All plain functions together become one C function with a label for each point
of control, numbered as the interpreter numbers them, so that a row of cells
means the same to both.  An atomic function becomes a C function.
runtime/model.h has what the C rests on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import (
    Assert,
    Assign,
    Assume,
    Block,
    Branch,
    Call,
    Cast,
    Choose,
    CmpXchg,
    Count,
    Enter,
    Expr,
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
from pmaplab.ir.walk import expressions, items, joins
from pmaplab.native.codegen_expressions import ExpressionWriter, Lines, number
from pmaplab.search import interpreter, translate
from pmaplab.search.translate import DONE, Code

MOST_REGIONS = 64


class Unsupported(Exception):
    """The program does what the native engine does not; the text says what."""


@dataclass
class Names:
    """C identifiers; different names stay different."""

    known: dict[tuple[str, ...], str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def __call__(self, *parts: str) -> str:
        if parts not in self.known:
            plain = "_".join(
                "".join(char if char.isascii() and char.isalnum() else "_" for char in part)
                for part in parts
            )
            name, count = plain, 1
            while name in self.used:
                count += 1
                name = f"{plain}_{count}"
            self.used.add(name)
            self.known[parts] = name
        return self.known[parts]


def generate(program: Program, layout: Layout, code: Code) -> str:
    """The C text of ``program``; ``code`` is the interpreter's translation.

    Raises Unsupported.
    """
    return _Generator(program, layout, code).generate()


class _Generator:
    def __init__(self, program: Program, layout: Layout, code: Code) -> None:
        self.program = program
        self.layout = layout
        self.code = code
        self.names = Names()
        self.out = Lines()
        self.sites = 0
        self.labels = {label: bit for bit, label in enumerate(code.labels)}

    def generate(self) -> str:
        program, out = self.program, self.out
        _check_supported(program)
        wanted = reachable_functions(program, [*program.entries, *program.observers])
        functions = [program.functions[name] for name in sorted(wanted)]
        atomics = [function for function in functions if function.atomic]
        plain = [f for f in functions if not f.atomic and f.name in self.layout.frames]
        self._head()
        for function in atomics:
            out.add(f"{self.signature(function)};")
        out.add("")
        for function in atomics:
            _AtomicWriter(self, function).write()
        self._step(plain)
        self._invariants()
        return "\n".join(out.lines) + "\n"

    def site(self) -> int:
        self.sites += 1
        return self.sites

    def signature(self, function: Function) -> str:
        kind = "void" if function.result is None else "uint64_t"
        parameters = "".join(
            f", uint64_t {self.names('v', function.name, name)}" for name in function.parameters
        )
        return f"static {kind} {self.names('f', function.name)}(struct machine *m, uint64_t c" + (
            f"{parameters})"
        )

    def _head(self) -> None:
        program, out = self.program, self.out
        exempt = []
        for invariant in program.invariants:
            exempt.append(sum({1 << program.regions.index(r) for r in invariant.exempt}))
        out.lines += [
            '#include "model.h"',
            "",
            f"const unsigned model_labels = {len(self.labels)};",
            f"const unsigned model_invariants = {len(program.invariants)};",
            f"const unsigned model_cpus = {program.cpus};",
            f"const uint64_t model_regions = {self.layout.regions};",
            f"const long model_longest_step = {interpreter.LONGEST_STEP};",
            f"const uint64_t model_exempt[] = {{{', '.join(map(number, exempt)) or '0'}}};",
            "",
        ]

    def _step(self, functions: list[Function]) -> None:
        out, numbers = self.out, self.code.numbers
        body = Lines(depth=1, temporaries=out.temporaries)
        writers = [_PlainWriter(self, function, body) for function in functions]
        for writer in writers:
            writer.write()
        out.add("enum ending model_step(struct machine *m, uint64_t b, uint64_t c)")
        out.add("{")
        out.lines += ["\tuint64_t *const s = m->s;", "\tuint64_t point = s[b], result = 0;"]
        for writer in writers:
            out.lines += [f"\tuint64_t {name} = 0;" for name in writer.registers]
        out.lines += ["\t(void)result, (void)c;", "again:", "\tswitch (point) {"]
        out.lines += [f"\tcase {at}: goto p{at};" for at in numbers.values()]
        out.lines += ["\tdefault: leave(m, 0, NOT_MODELLED);", "\t}"]
        out.lines += [*body.lines, "}", ""]

    def _invariants(self) -> None:
        program, out = self.program, self.out
        out.add("void model_check(struct machine *m, unsigned invariant, uint64_t c)")
        out.lines += ["{", "\tswitch (invariant) {"]
        for index, invariant in enumerate(program.invariants):
            name = self.names("f", invariant.function)
            out.add(f"\tcase {index}: (void){name}(m, c, c); return;")
        out.lines += ["\tdefault: leave(m, 0, NOT_MODELLED);", "\t}", "}", ""]
        out.add("uint64_t model_active(struct machine *m, uint64_t c, uint64_t inside)")
        out.add("{")
        for region, function in program.exempt_when.items():
            bit, name = number(1 << program.regions.index(region)), self.names("f", function)
            out.add(f"\tif ((inside & {bit}) && !{name}(m, c, c))")
            out.add(f"\t\tinside &= ~{bit};")
        out.lines += ["\t(void)m, (void)c;", "\treturn inside;", "}"]


def _check_supported(program: Program) -> None:
    if len(program.regions) > MOST_REGIONS:
        raise Unsupported(f"more than {MOST_REGIONS} regions")
    for function in program.functions.values():
        for item in items(function):
            for sub in expressions(item):
                if isinstance(sub, Cast) and isinstance(sub.type, Pointer):
                    source = sub.operand.type
                    if isinstance(source, Int) and source.signed:
                        raise Unsupported("a signed integer becomes a pointer")


class _Writer:
    """What plain and atomic functions have in common."""

    def __init__(self, owner: _Generator, function: Function, out: Lines) -> None:
        self.owner = owner
        self.function = function
        self.out = out
        self.blocks = {block.label: block for block in function.blocks}
        self.joins = joins(function)

    def variable(self, name: str) -> str:
        return self.owner.names("v", self.function.name, name)

    def at(self, item: Instruction | Terminator) -> ExpressionWriter:
        """A writer for the expressions of ``item``, behind a comment on it."""
        place = f"{item.loc.file}:{item.loc.line}".replace("*/", "* /").replace("\n", " ")
        what = type(item).__name__.lower()
        text = "".join(char if char.isprintable() else "?" for char in f"{place} {what}")
        self.out.add(f"/* {text.replace(chr(92), '?')} */")
        return ExpressionWriter(self.owner.layout, self.out, self.variable, self.owner.site())

    def receive(self, write: ExpressionWriter, name: str, text: str) -> None:
        value = write.received(text, self.function.variables[name])
        self.out.add(f"{self.variable(name)} = {value};")

    def simple(self, item: Instruction) -> None:
        """An instruction that does not change where control goes."""
        if isinstance(item, Fence | Step | Print | Count):
            # Under sequential consistency a fence orders nothing more.
            return
        owner, out, write = self.owner, self.out, self.at(item)
        site = write.site
        match item:
            case Assign(target=target, value=value):
                kind = self.function.variables[target]
                out.add(f"{self.variable(target)} = {write.fitted(value, kind)};")
            case Load(target=target, address=address):
                self.receive(write, target, self._load(site, write.address(address)))
            case Store(address=address, value=value):
                # The value comes first, as in the interpreter.
                stored = write.fitted(value, _target(address))
                self._store(site, write.address(address), stored)
            case Rmw(target=old, op=op, address=address, operand=operand):
                self._rmw(write, old, op, address, operand)
            case CmpXchg(target=old, address=address, expected=expected, desired=desired):
                self._cmpxchg(write, old, address, expected, desired)
            case Assume(condition=condition):
                out.add(f"if (!{write.expr(condition)})")
                out.add(f"\tleave(m, {site}, DISABLED);")
            case Choose(target=target, lo=lo, hi=hi):
                kind = self.function.variables[target]
                sort = "signed" if isinstance(kind, Int) and kind.signed else "unsigned"
                least, most = write.expr(lo), write.expr(hi)
                choice = self._kept(f"choose_{sort}(m, {site}, {least}, {most})")
                self.receive(write, target, choice)
            case Assert(condition=condition, arguments=arguments):
                out.add(f"if (!{write.expr(condition)}) {{")
                out.depth += 1
                # What the message shows is evaluated, and may itself fail.
                for argument in arguments:
                    out.add(f"(void){write.expr(argument)};")
                out.add(f"failed(m, {site});")
                out.depth -= 1
                out.add("}")
            case Call(target=result, function=callee, arguments=arguments):
                call = self._call_atomic(write, callee, arguments)
                if result is None:
                    out.add(f"(void){call};")
                else:
                    self.receive(write, result, self._kept(call))
            case Sometimes(label=label):
                out.add(f"passed(m, {owner.labels[label]});")
            case Enter(region=region):
                self._region(site, f"| {self._bit(region)}")
            case Leave(region=region):
                self._region(site, f"& ~{self._bit(region)}")

    def _kept(self, text: str) -> str:
        name = self.out.temporary()
        self.out.add(f"uint64_t {name} = {text};")
        return name

    def _load(self, site: int, where: str) -> str:
        return self._kept(f"load(m, {site}, {where})")

    def _store(self, site: int, where: str, value: str) -> None:
        self.out.add(f"store(m, {site}, {where}, {value});")

    def _rmw(
        self, write: ExpressionWriter, old: str | None, op: str, address: Expr, operand: Expr
    ) -> None:
        kind, where = _target(address), write.address(address)
        before = self._load(write.site, where)
        if op == "xchg":
            after = write.fitted(operand, kind)
        else:
            assert isinstance(kind, Int)
            value = write.expr(operand)
            after = write.received(write.arithmetic(op, before, value, kind.whole), kind)
        self._store(write.site, where, after)
        if old is not None:
            self.receive(write, old, before)

    def _cmpxchg(
        self, write: ExpressionWriter, old: str, address: Expr, expected: Expr, desired: Expr
    ) -> None:
        out, where = self.out, write.address(address)
        before = self._load(write.site, where)
        out.add(f"if ({before} == {write.expr(expected)}) {{")
        out.depth += 1
        self._store(write.site, where, write.fitted(desired, _target(address)))
        out.depth -= 1
        out.add("}")
        self.receive(write, old, before)

    def _call_atomic(self, write: ExpressionWriter, name: str, arguments: tuple[Expr, ...]) -> str:
        callee = self.owner.program.functions[name]
        values = [
            write.fitted(argument, callee.variables[parameter])
            for parameter, argument in zip(callee.parameters, arguments, strict=True)
        ]
        return f"{self.owner.names('f', name)}({', '.join(['m', 'c', *values])})"

    def _bit(self, region: str) -> str:
        return number(1 << self.owner.program.regions.index(region))

    def _region(self, site: int, change: str) -> None:
        cell = f"{self.owner.layout.regions}u + c"
        self._store(site, cell, f"load(m, {site}, {cell}) {change}")

    def tree(self, label: str, index: int) -> None:
        """Code from instruction ``index`` of a block to the next points."""
        block = self.blocks[label]
        for at in range(index, len(block.instructions)):
            instruction = block.instructions[at]
            if self.stops(block, at, instruction):
                return
            self.simple(instruction)
        self._terminator(block)

    def stops(self, block: Block, index: int, instruction: Instruction) -> bool:
        return False

    def _terminator(self, block: Block) -> None:
        out, item = self.out, block.terminator
        match item:
            case Jump(block=target):
                self.goto(target)
            case Branch(condition=condition, then=then, otherwise=otherwise):
                out.add(f"if ({self.at(item).expr(condition)}) {{")
                out.depth += 1
                self.goto(then)
                out.depth -= 1
                out.add("}")
                self.goto(otherwise)
            case Return(value=value):
                write, result = self.at(item), self.function.result
                text = None if value is None or result is None else write.fitted(value, result)
                self.returns(text)

    def goto(self, label: str) -> None:
        if label in self.joins:
            self.jump(label)
        else:
            self.tree(label, 0)

    def jump(self, label: str) -> None:
        raise NotImplementedError

    def returns(self, value: str | None) -> None:
        raise NotImplementedError


class _PlainWriter(_Writer):
    """A function whose calls and steps go through points."""

    def __init__(self, owner: _Generator, function: Function, out: Lines) -> None:
        super().__init__(owner, function, out)
        self.frame = owner.layout.frames[function.name]
        self.live = owner.layout.liveness[function.name]
        self.is_entry = function.name in owner.program.entries

    @property
    def registers(self) -> list[str]:
        """The locals that no later step needs."""
        return [self.variable(n) for n in self.function.variables if n not in self.frame.locals]

    def variable(self, name: str) -> str:
        return _place(self.owner, self.function, name)

    def write(self) -> None:
        for point, at in self.owner.code.numbers.items():
            name, label, index = point
            if name != self.function.name:
                continue
            self.out.lines.append(f"p{at}: /* {self.owner.names('f', name)} */")
            self.out.add("if (--m->budget < 0)")
            self.out.add("\tleave(m, 0, NO_MEANING);")
            if index:
                previous = self.blocks[label].instructions[index - 1]
                if isinstance(previous, Call) and previous.target is not None:
                    self.receive(self.at(previous), previous.target, "result")
            self.tree(label, index)

    def stops(self, block: Block, index: int, instruction: Instruction) -> bool:
        functions = self.owner.program.functions
        if isinstance(instruction, Step):
            self._clear(self.live[block.label, index + 1])
            after = self.owner.code.numbers[self.function.name, block.label, index + 1]
            self._ends(f"{after}")
            return True
        if isinstance(instruction, Call) and not functions[instruction.function].atomic:
            self._call(block, index, instruction)
            return True
        return False

    def _ends(self, point: str) -> None:
        self.out.add(f"s[b] = {point};")
        self.out.add("return TAKEN;")

    def _call(self, block: Block, index: int, call: Call) -> None:
        owner, out, write = self.owner, self.out, self.at(call)
        callee = owner.program.functions[call.function]
        values = [
            self._kept(write.fitted(argument, callee.variables[parameter]))
            for parameter, argument in zip(callee.parameters, call.arguments, strict=True)
        ]
        for parameter, value in zip(callee.parameters, values, strict=True):
            out.add(f"{_place(owner, callee, parameter)} = {value};")
        self._clear(self.live[block.label, index + 1] - {call.target or ""})
        after = owner.code.numbers[self.function.name, block.label, index + 1]
        out.add(f"s[b + {owner.layout.frames[callee.name].return_address}] = {after};")
        out.add(f"goto p{owner.code.entries[callee.name]};")

    def _clear(self, live: frozenset[str]) -> None:
        """A dead local reads as 0, so that states do not differ in it."""
        for name, offset in self.frame.locals.items():
            if name not in live:
                self.out.add(f"s[b + {offset}] = 0; /* {self.owner.names('dead', name)} */")

    def jump(self, label: str) -> None:
        self.out.add(f"goto p{self.owner.code.numbers[self.function.name, label, 0]};")

    def returns(self, value: str | None) -> None:
        if value is not None:
            self.out.add(f"result = {value};")
        self._clear(frozenset())
        self.out.add(f"point = s[b + {self.frame.return_address}];")
        self.out.add(f"s[b + {self.frame.return_address}] = 0;")
        if self.is_entry:
            # Nobody has called the function that an agent begins with.
            self.out.add("if (point == 0) {")
            self.out.depth += 1
            self._ends(str(DONE))
            self.out.depth -= 1
            self.out.add("}")
        self.out.add("goto again;")


class _AtomicWriter(_Writer):
    """A function that runs whole within the step that calls it."""

    def __init__(self, owner: _Generator, function: Function) -> None:
        super().__init__(owner, function, owner.out)

    def write(self) -> None:
        out, function = self.out, self.function
        out.add(self.owner.signature(function))
        out.add("{")
        out.depth = 1
        for name in function.variables:
            if name not in function.parameters:
                out.add(f"uint64_t {self.variable(name)} = 0;")
        out.add(f"long turns = {translate.LONGEST_ATOMIC};")
        out.add("(void)turns, (void)c;")
        for block in function.blocks:
            if block.label in self.joins:
                out.lines.append(f"{self._label(block.label)}:")
                # A loop that turns more often has no end.
                out.add("if (--turns < 0)")
                out.add("\tleave(m, 0, NO_MEANING);")
                self.tree(block.label, 0)
        out.depth = 0
        out.lines += ["}", ""]

    def _label(self, label: str) -> str:
        return self.owner.names("l", self.function.name, label)

    def jump(self, label: str) -> None:
        self.out.add(f"goto {self._label(label)};")

    def returns(self, value: str | None) -> None:
        self.out.add("return;" if value is None else f"return {value};")


def _place(owner: _Generator, function: Function, name: str) -> str:
    """Where a local of a plain function is."""
    offset = owner.layout.frames[function.name].locals.get(name)
    if offset is None:
        return owner.names("v", function.name, name)
    return f"s[b + {offset} /* {owner.names('n', name)} */]"


def _target(address: Expr) -> Scalar:
    kind = address.type
    assert isinstance(kind, Pointer)
    target = kind.target
    assert isinstance(target, Int | Pointer)
    return target
