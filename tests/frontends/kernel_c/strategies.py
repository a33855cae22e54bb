"""Random C whose result C defines, but for arithmetic that is undefined now and then.

Operands between which C leaves the order open never write what the other reads or
writes: an expression carries the objects that it reads and writes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from frontends.kernel_c.differential import SCALARS, CText

BITS = {
    "signed char": 8, "u_char": -8, "short": 16, "u_short": -16, "int": 32, "u_int": -32,
    "long": 64, "u_long": -64, "bool": -1, "enum colour": 32,
}  # fmt: skip
TYPES = tuple(BITS)
NAMES = ("x", "y", "z", "i", "gu", "w")  # gu hides a global
PAIR = {
    "a": "u_int", "in_.x": "u_int", "in_.y": "short", "c": "long", "e[0]": "signed char",
    "e[1]": "signed char", "b": "bool", "z": "u_short",
}  # fmt: skip
PLAIN = {"i": "int", "uc": "u_char", "sh[0]": "short", "sh[1]": "short", "in_.x": "u_int"}
# A bit field wider than int keeps its width in GCC, but not in clang: always cast.
BIT_FIELDS = {"lo": "u_int", "mid": "int", "top": "u_char", "on": "bool"}
NUMBERS = (
    "0", "1", "2", "3", "5", "7", "-1", "-2", "'A'", "100", "127", "128", "255", "256", "65535",
    "0x7fffffff", "0x80000000", "0xffffffff", "4294967296", "1UL << 40", "~0UL", "-5L", "0x12345u",
    "GREEN", "BLUE", "DARK", "LIMIT", "sizeof(int)", "sizeof(struct pair)", "sizeof gsh",
)  # fmt: skip

Roots = frozenset[str]
NONE: Roots = frozenset()


@dataclass(frozen=True)
class Expr:
    """C text of the type ``type``, with what it reads and writes."""

    text: str
    type: str
    reads: Roots = NONE
    writes: Roots = NONE

    def also(self, *others: Expr) -> tuple[Roots, Roots]:
        every = (self, *others)
        return (
            NONE.union(*(each.reads for each in every)),
            NONE.union(*(each.writes for each in every)),
        )


@dataclass(frozen=True)
class Limits:
    """What an expression must not read and not write."""

    reads: Roots = NONE
    writes: Roots = NONE

    def beside(self, other: Expr) -> Limits:
        return Limits(self.reads | other.writes, self.writes | other.reads | other.writes)

    def keeping(self, roots: Roots) -> Limits:
        return Limits(self.reads, self.writes | roots)


FREE = Limits()


@dataclass(frozen=True)
class Variable:
    """An object that can be read and written: its ``roots``, and those of a pointer
    on the way to it."""

    text: str
    type: str
    root: str
    through: Roots = NONE
    constant: bool = False


@dataclass(frozen=True)
class Helper:
    name: str
    parameters: tuple[str, ...]
    result: str
    reads: Roots
    writes: Roots


GLOBALS = tuple(Variable(name, kind, name) for name, (kind, _) in SCALARS.items() if name[0] == "g")
MEMORY = (
    *GLOBALS,
    *(Variable(f"gs.{name}", kind, "gs") for name, kind in PAIR.items()),
    *(Variable(f"gp[{n}].{name}", kind, "gp") for n in (0, 2) for name, kind in PAIR.items()),
    Variable("ga[1]", "u_int", "ga"),
    Variable("gl[0]", "u_long", "gl"),
    Variable("go.w", "u_long", "go"),
)


def promoted(*kinds: str) -> str:
    """The usual arithmetic conversions."""
    best = "int"
    for kind in kinds:
        bits = BITS[kind]
        if abs(bits) > abs(BITS[best]) or (abs(bits) == abs(BITS[best]) and bits < 0):
            best = kind
    return best


@dataclass
class Writer:
    """Writes one program; ``upto`` draws a number from 0 to another."""

    upto: Callable[[int], int]
    number: int
    scopes: list[dict[str, list[Variable]]] = field(default_factory=lambda: [{}])
    pointers: list[dict[str, tuple[str, Roots]]] = field(default_factory=lambda: [{}])
    helpers: list[Helper] = field(default_factory=list)
    reads: Roots = NONE
    writes: Roots = NONE
    counter: int = 0
    loops: int = 0
    inside: list[str] = field(default_factory=list)  # loop or switch
    result: str = "void"
    lines: list[str] = field(default_factory=list)

    # --- drawing -------------------------------------------------------------------

    def chance(self, one_in: int) -> bool:
        return self.upto(one_in - 1) == 0

    def pick(self, values: Sequence[str]) -> str:
        return values[self.upto(len(values) - 1)]

    def fresh(self, stem: str) -> str:
        self.counter += 1
        return f"{stem}{self.counter}"

    # --- names -----------------------------------------------------------------------

    def visible(self) -> list[Variable]:
        found: dict[str, list[Variable]] = {}
        for scope in self.scopes:
            found.update(scope)
        hidden = set(found)
        local = [each for group in found.values() for each in group]
        shown = [each for each in MEMORY if each.text.split(".")[0].split("[")[0] not in hidden]
        return local * 3 + shown

    def declared(self, name: str, variables: list[Variable]) -> None:
        for pointers in self.pointers:
            pointers.pop(name, None)
        self.scopes[-1][name] = variables

    def variable(self, limits: Limits, *, write: bool) -> Variable | None:
        forbidden = limits.writes if write else limits.reads
        found = [
            each
            for each in self.visible()
            if each.root not in forbidden
            and not each.through & limits.reads
            and not (write and each.constant)
        ]
        return found[self.upto(len(found) - 1)] if found else None

    # --- expressions -------------------------------------------------------------------

    def number_(self) -> Expr:
        text = self.pick(NUMBERS)
        kinds = {"0xffffffff": "u_int", "0x80000000": "u_int", "4294967296": "long"}
        kind = kinds.get(text, "u_long" if "UL" in text or "size" in text else "int")
        kind = {"-5L": "long", "0x12345u": "u_int"}.get(text, kind)
        return Expr(f"({text})", kind)

    def leaf(self, limits: Limits) -> Expr:
        way = self.upto(9)
        if way <= 1:
            return self.number_()
        if way == 2:
            index = self.variable(limits, write=False)
            name, kind, length = (("ga", "u_int", 4), ("gl", "u_long", 2))[self.upto(1)]
            if index is not None and name not in limits.reads:
                reads = frozenset({index.root, name}) | index.through
                return Expr(f"{name}[{index.text} & {length - 1}]", kind, reads)
        if way == 3:
            found = self.dereferenced(limits, write=False)
            if found is not None:
                return found
        variable = self.variable(limits, write=False)
        if variable is None:
            return self.number_()
        return Expr(variable.text, variable.type, frozenset({variable.root}) | variable.through)

    def dereferenced(self, limits: Limits, *, write: bool) -> Expr | None:
        """An object through a pointer; as one that is read."""
        every = [
            (name, kind, targets)
            for scope in self.pointers
            for name, (kind, targets) in scope.items()
            if not targets & (limits.writes if write else limits.reads)
            and f"*{name}" not in limits.reads
        ]
        if not every:
            return None
        name, kind, targets = every[self.upto(len(every) - 1)]
        reads = targets | {f"*{name}"}
        if kind == "u_int":
            return Expr(self.pick((f"*{name}", f"(*{name})")), kind, reads)
        member = self.pick(tuple(PAIR))
        text = self.pick((f"{name}->{member}", f"(*{name}).{member}"))
        return Expr(text, PAIR[member], reads)

    def value(self, depth: int, limits: Limits = FREE) -> Expr:
        if depth <= 0:
            return self.leaf(limits)
        ways: list[Callable[[int, Limits], Expr]] = [
            self.arithmetic, self.arithmetic, self.arithmetic, self.shift, self.division,
            self.comparison, self.comparison, self.logic, self.logic, self.conditional,
            self.conditional, self.cast, self.unary, self.assignment, self.assignment,
            self.compound, self.step, self.step, self.comma, self.called, self.called,
            self.statements, self.macro, self.atomic,
        ]  # fmt: skip
        return ways[self.upto(len(ways) - 1)](depth - 1, limits)

    def operands(self, depth: int, limits: Limits) -> tuple[Expr, Expr]:
        a = self.value(depth, limits)
        return a, self.value(depth - self.upto(1), limits.beside(a))

    def arithmetic(self, depth: int, limits: Limits) -> Expr:
        a, b = self.operands(depth, limits)
        op = self.pick(("+", "-", "*", "&", "|", "^", "+", "-"))
        kind = promoted(a.type, b.type)
        text = f"{a.text} {op} {b.text}"
        # GCC folds constants, and products of u_short, before it looks for overflows.
        folded = not (a.reads | b.reads) or max(abs(BITS[a.type]), abs(BITS[b.type])) < 32
        if op in "+-*" and BITS[kind] > 0 and (folded or not self.chance(12)):
            # Unsigned, so that it is defined.
            kind = "u_int" if kind == "int" else "u_long"
            text = f"({kind}){a.text} {op} {b.text}"
        return Expr(f"({text})", kind, *a.also(b))

    def shift(self, depth: int, limits: Limits) -> Expr:
        a, b = self.operands(depth, limits)
        kind = promoted(a.type)
        if self.chance(2):
            kind, left = "u_long", f"(u_long){a.text}"
        elif BITS[kind] > 0:
            left = f"({a.text} & 0xff)"
            kind = promoted(kind, "int")
        else:
            left = a.text
        most = abs(BITS[kind]) - 1
        op = self.pick((">>", ">>", "<<"))
        if BITS[kind] > 0:
            most = 15
        count = b.text if self.chance(12) else f"({b.text} & {most})"
        return Expr(f"({left} {op} {count})", kind, *a.also(b))

    def division(self, depth: int, limits: Limits) -> Expr:
        a, b = self.operands(depth, limits)
        op = self.pick(("/", "%"))
        if self.chance(3):
            c = self.leaf(limits.beside(a))
            guard = f"({c.text} != 0 ? {a.text} {op} {c.text} : {a.text})"
            return Expr(guard, promoted(a.type, c.type), *a.also(c))
        divisor = b.text if self.chance(15) else f"({b.text} | 1)"
        return Expr(f"({a.text} {op} {divisor})", promoted(a.type, b.type, "int"), *a.also(b))

    def comparison(self, depth: int, limits: Limits) -> Expr:
        a, b = self.operands(depth, limits)
        op = self.pick(("==", "!=", "<", "<=", ">", ">="))
        return Expr(f"({a.text} {op} {b.text})", "int", *a.also(b))

    def logic(self, depth: int, limits: Limits) -> Expr:
        a, b = self.value(depth, limits), self.value(depth, limits)
        return Expr(f"({a.text} {self.pick(('&&', '||'))} {b.text})", "int", *a.also(b))

    def conditional(self, depth: int, limits: Limits) -> Expr:
        a, b, c = (self.value(depth, limits) for _ in range(3))
        return Expr(f"({a.text} ? {b.text} : {c.text})", promoted(b.type, c.type), *a.also(b, c))

    def cast(self, depth: int, limits: Limits) -> Expr:
        a, kind = self.value(depth, limits), self.pick(TYPES)
        return Expr(f"({kind}){a.text}", kind, *a.also())

    def unary(self, depth: int, limits: Limits) -> Expr:
        a = self.value(depth, limits)
        op = self.pick(("!", "~", "-", "+", "!!"))
        if op[0] == "!":
            return Expr(f"({op}{a.text})", "int", *a.also())
        kind = promoted(a.type)
        if op == "-" and BITS[kind] > 0 and not self.chance(10):
            return Expr(f"(-(u_long){a.text})", "u_long", *a.also())
        return Expr(f"({op} {a.text})", kind, *a.also())

    def target(self, limits: Limits) -> Expr | None:
        """An object to write, as one that is read to find it: without itself."""
        if self.chance(4):
            found = self.dereferenced(limits, write=True)
            if found is not None:
                return found
        if self.chance(5):
            name, kind, length = (("ga", "u_int", 4), ("gl", "u_long", 2))[self.upto(1)]
            index = self.variable(limits, write=False)
            if index is not None and name not in limits.writes and index.root != name:
                reads = frozenset({index.root}) | index.through
                return Expr(f"{name}[{index.text} & {length - 1}]", kind, reads, frozenset({name}))
        variable = self.variable(limits, write=True)
        if variable is None:
            return None
        root = frozenset({variable.root})
        return Expr(variable.text, variable.type, variable.through, root)

    def written(self, limits: Limits) -> tuple[Expr, Roots] | None:
        """An object to write, and what its side must leave alone."""
        target = self.target(limits)
        if target is None:
            return None
        if not target.writes:  # through a pointer
            pointer = frozenset(each for each in target.reads if each[0] == "*")
            target = replace(target, reads=pointer, writes=target.reads - pointer)
        return target, target.reads | target.writes

    def assignment(self, depth: int, limits: Limits) -> Expr:
        found = self.written(limits)
        if found is None:
            return self.leaf(limits)
        target, kept = found
        a = self.value(depth, limits.keeping(kept))
        return Expr(f"({target.text} = {a.text})", target.type, *target.also(a))

    def compound(self, depth: int, limits: Limits) -> Expr:
        found = self.written(limits)
        if found is None or found[0].writes & limits.reads:
            return self.leaf(limits)
        target, kept = found
        a = self.value(depth, limits.keeping(kept))
        reads, writes = target.also(a)
        op = self.pick(("+=", "-=", "*=", "&=", "|=", "^=", "/=", "%=", "<<=", ">>="))
        text, narrow = a.text, abs(BITS[target.type]) < 32
        if op in ("/=", "%="):
            text = f"({text} | 1)"
        elif op in ("<<=", ">>="):
            op = op if BITS[target.type] < -8 else ">>="
            text = f"({text} & {max(min(abs(BITS[target.type]), 31) - 1, 0)})"
        elif op == "*=" or (op in ("+=", "-=") and (narrow or not self.chance(12))):
            text = f"(u_long){text}"
        return Expr(f"({target.text} {op} {text})", target.type, reads | writes, writes)

    def step(self, depth: int, limits: Limits) -> Expr:
        found = self.written(limits)
        if found is None or found[0].writes & limits.reads:
            return self.leaf(limits)
        target, _ = found
        op = self.pick(("++", "--"))
        text = f"{op}{target.text}" if self.chance(2) else f"({target.text}){op}"
        reads, writes = target.also()
        return Expr(f"({text})", target.type, reads | writes, writes)

    def comma(self, depth: int, limits: Limits) -> Expr:
        a, b = self.value(depth, limits), self.value(depth, limits)
        return Expr(f"({a.text}, {b.text})", b.type, *a.also(b))

    def called(self, depth: int, limits: Limits) -> Expr:
        allowed = [
            each
            for each in self.helpers
            if not each.writes & (limits.reads | limits.writes) and not each.reads & limits.reads
        ]
        if not allowed:
            return self.leaf(limits)
        helper = allowed[self.upto(len(allowed) - 1)]
        arguments: list[Expr] = []
        inner = limits
        for kind in helper.parameters:
            if kind == "struct pair *":
                pool = ("&gs", "&gp[0]", "&gp[2]", *(n for n, k in self.known("pair")))
                arguments.append(Expr(self.pick(pool), "int"))
            elif kind == "u_int *":
                pool = ("&ga[0]", "&ga[3]", "&gs.a", *(n for n, k in self.known("u_int")))
                arguments.append(Expr(self.pick(pool), "int"))
            else:
                argument = self.value(depth - 1, inner)
                inner = inner.beside(argument)
                arguments.append(argument)
        text = ", ".join(each.text for each in arguments)
        call = Expr(f"{helper.name}({text})", helper.result, helper.reads, helper.writes)
        reads, writes = call.also(*arguments)
        pointers = frozenset(f"*{each.text}" for each in arguments)
        return Expr(call.text, helper.result, reads | pointers, writes)

    def known(self, kind: str) -> list[tuple[str, str]]:
        return [(n, k) for scope in self.pointers for n, (k, _) in scope.items() if k == kind]

    def statements(self, depth: int, limits: Limits) -> Expr:
        """({ ... })"""
        kind = self.pick(TYPES)
        name = self.fresh("t")
        a = self.value(depth, limits)
        self.scopes.append({name: [Variable(name, kind, name)]})
        self.pointers.append({})
        b, c = self.value(depth, limits), self.value(depth, limits)
        middle = f"if ({b.text}) {name}++;" if self.chance(3) else f"{b.text};"
        last = self.pick((name, c.text, f"{name}++", f"({name} ^= 1)"))
        if last != c.text:
            c = Expr("", kind)
        self.scopes.pop()
        self.pointers.pop()
        text = f"({{ {kind} {name} = {a.text}; {middle} {last}; }})"
        return Expr(text, kind if last != c.text else c.type, *a.also(b, c))

    def macro(self, depth: int, limits: Limits) -> Expr:
        a = self.leaf(limits)
        b = self.leaf(limits.beside(a))
        name = self.pick(("MAX", "MIN"))
        a, b = (
            replace(e, text=f"+{e.text}") if e.text.split(".")[-1] in BIT_FIELDS else e
            for e in (a, b)
        )
        return Expr(f"{name}({a.text}, {b.text})", promoted(a.type, b.type), *a.also(b))

    def atomic(self, depth: int, limits: Limits) -> Expr:
        width, cell, root = (
            ("int", "&gu", "gu"), ("int", "&ga[2]", "ga"), ("int", "&gs.a", "gs"),
            ("long", "&gul", "gul"), ("long", "&gl[1]", "gl"), ("long", "&go.w", "go"),
        )[self.upto(5)]  # fmt: skip
        roots = frozenset({root})
        hidden = any(root in scope for scope in self.scopes)
        if hidden or roots & (limits.reads | limits.writes):
            return self.leaf(limits)
        a = self.value(depth - 1, limits)
        b = self.leaf(limits.beside(a))
        kind = f"u_{width}"
        name = self.pick(
            ("fetchadd", "swap", "cmpset", "load_acq", "readandclear", "add", "set", "clear",
             "subtract", "store_rel", "ffs")
        )  # fmt: skip
        reads, writes = a.also(b)
        match name:
            case "ffs":
                return Expr(f"{self.pick(('ffs', 'ffsl'))}({a.text})", "int", *a.also())
            case "fetchadd" | "swap":
                text = f"atomic_{name}_{width}({cell}, {a.text})"
            case "cmpset":
                first = self.pick((cell[1:], a.text))
                text, kind = f"atomic_cmpset_{width}({cell}, {first}, {b.text})", "int"
                if roots & writes:
                    return self.leaf(limits)
            case "load_acq" | "readandclear":
                text = f"atomic_{name}_{width}({cell})"
            case _:
                text = f"(atomic_{name}_{width}({cell}, {a.text}), {cell[1:]})"
        return Expr(text, kind, reads | roots, writes | roots)

    # --- statements ----------------------------------------------------------------------

    def full(self, depth: int) -> str:
        """A full expression, noted in what the function reads and writes."""
        found = self.value(depth)
        self.reads |= found.reads
        self.writes |= found.writes
        return found.text

    def emit(self, text: str) -> None:
        self.lines.append(text)

    def local(self) -> None:
        """A declaration."""
        if len(self.scopes[-1]) > 4:
            return
        name = self.pick(NAMES)
        if name in self.scopes[-1] or name in self.pointers[-1]:
            return
        way = self.upto(9)
        root = self.fresh(f"{name}@")
        if way <= 4:
            kind = self.pick(TYPES)
            # The name hides the outer one in its own initializer.
            outer, self.scopes = self.scopes, [*self.scopes, {name: []}]
            gone = [(scope, scope.pop(name)) for scope in self.pointers if name in scope]
            text = self.full(2)
            self.scopes = outer
            del gone
            self.emit(f"{self.pick(('', 'const ', 'volatile '))}{kind} {name} = {text};")
            constant = self.lines[-1].startswith("const ")
            self.declared(name, [Variable(name, kind, root, constant=constant)])
            return
        if way == 5:
            kind = self.pick(TYPES)
            outer, self.scopes = self.scopes, [*self.scopes, {name: []}]
            for scope in self.pointers:
                scope.pop(name, None)
            a, b, c = self.full(1), self.full(1), self.full(1)
            self.scopes = outer
            self.emit(f"{kind} {name}; if ({a}) {name} = {b}; else {name} = {c};")
            self.declared(name, [Variable(name, kind, root)])
            return
        tag, members = (
            ("struct pair", PAIR), ("struct plain", PLAIN), ("struct bits", BIT_FIELDS),
            ("u_int", {"[0]": "u_int", "[1]": "u_int"}),
        )[way - 6]  # fmt: skip
        for scope in self.pointers:
            scope.pop(name, None)
        self.scopes[-1][name] = []
        dot = "" if tag == "u_int" else "."
        self.emit(f"{tag} {name}{'[2]' if not dot else ''};")
        found: list[Variable] = []
        if tag == "struct pair" and self.chance(2):
            self.emit(f"{name} = {self.pick(('gs', 'gp[0]', 'gp[2]'))};")
            self.reads |= {"gs", "gp"}
        else:
            for member in members:
                self.emit(f"{name}{dot}{member} = {self.full(1)};")
        for member, kind in members.items():
            found.append(Variable(f"{name}{dot}{member}", kind, root))
        self.declared(name, found)

    def pointer(self) -> None:
        name = self.fresh("p")
        if self.chance(2):
            targets = ("&gs", "&gp[1]", f"&gp[{self.full(1)} & 1]")
            self.emit(f"struct pair *{name} = {targets[self.upto(2)]};")
            self.pointers[-1][name] = ("pair", frozenset({"gs", "gp"}))
            again = "&gp[2]"
        else:
            self.emit(f"u_int *{name} = {self.pick(('&ga[1]', '&gs.a', '&ga[3]'))};")
            self.pointers[-1][name] = ("u_int", frozenset({"ga", "gs"}))
            again = "&ga[2]"
        if self.chance(3):
            self.emit(f"if ({self.full(1)}) {name} = {again};")

    def block(self, depth: int, most: int = 3) -> None:
        self.emit("{")
        self.scopes.append({})
        self.pointers.append({})
        kept = [dict(scope) for scope in self.pointers]
        for _ in range(1 + self.upto(most - 1)):
            self.statement(depth)
        self.pointers = kept[:-1]
        self.scopes.pop()
        self.emit("}")

    def statement(self, depth: int) -> None:
        plain: list[Callable[[], None]] = [
            lambda: self.emit(f"{self.full(2)};"), lambda: self.emit(f"{self.full(3)};"),
            self.store, self.store, self.local, self.local, self.pointer, self.copied, self.leave,
        ]  # fmt: skip
        nested: list[Callable[[int], None]] = [
            self.branch, self.branch, self.loop, self.loop, self.switch, self.jump, self.block,
        ]  # fmt: skip
        way = self.upto(len(plain) + (len(nested) if depth > 0 else 0) - 1)
        if way < len(plain):
            plain[way]()
        else:
            nested[way - len(plain)](depth - 1)

    def store(self) -> None:
        found = self.assignment(2, FREE) if self.chance(2) else self.compound(2, FREE)
        self.reads |= found.reads
        self.writes |= found.writes
        self.emit(f"{found.text};")

    def copied(self) -> None:
        local = [
            name
            for scope in self.scopes
            for name, group in scope.items()
            if any(each.text == f"{name}.in_.y" for each in group)
        ]
        shown = [n for n in local if n in self.shown()]
        pool = ["gs", "gp[0]", "gp[2]", f"gp[{self.full(1)} & 1]", *shown]
        to, source = self.pick(pool), self.pick(pool)
        if to == source or (to.startswith("gp") and source.startswith("gp")):
            return
        part = self.pick(("", "", ".in_"))
        self.emit(f"{to}{part} = {source}{part};")
        self.reads |= {"gs", "gp"}
        self.writes |= {"gs", "gp"}

    def shown(self) -> set[str]:
        """The names whose innermost meaning is a pair."""
        found: dict[str, list[Variable]] = {}
        for scope in self.scopes:
            found.update(scope)
        return {n for n, g in found.items() if any(v.text == f"{n}.in_.y" for v in g)}

    def leave(self) -> None:
        if not self.inside or self.chance(2):
            if self.chance(4) and len(self.scopes) > 2:
                text = "" if self.result == "void" else f" ({self.full(2)})"
                self.emit(f"if ({self.full(1)}) return{text};")
            return
        word = "break"
        if "loop" in self.inside and self.chance(2):
            word = "continue"
        self.emit(f"if ({self.full(1)}) {word};")

    def branch(self, depth: int) -> None:
        self.emit(f"if ({self.full(2)})")
        self.block(depth)
        while self.chance(3):
            self.emit(f"else if ({self.full(1)})")
            self.block(depth)
        if self.chance(2):
            self.emit("else")
            self.block(depth)

    def loop(self, depth: int) -> None:
        if self.loops >= 2:
            self.block(depth)
            return
        self.loops += 1
        n = self.fresh("n")
        most = 1 + self.upto(3)
        kind = self.pick(("int", "u_int", "u_char", "long"))
        self.scopes.append({n: [Variable(n, kind, n, constant=True)]})
        self.pointers.append({})
        kept = [dict(scope) for scope in self.pointers]
        self.inside.append("loop")
        a = self.full(1)
        heads = (
            f"for ({n} = 0; {n} < {most}; {n}++)",
            f"for ({n} = 0; {n}++ < {most}; )",
            f"for ({n} = 0; {n} < {most} && {a}; ++{n})",
            f"for ({n} = 0; ({a}, {n} < {most}); {n} += 1)",
            f"for ({n} = {most}; {n}; {n}--, {a})",
            f"for ({n} = {most}; {n}-- > 0 || 0; )",
            f"for (int {n} = 0; {n} < {most}; {n}++)",
            f"for ({n} = 0, {a}; {n} < {most}; {n} = {n} + 1)",
            f"{n} = 0; while ({n}++ < {most})",
            f"{n} = {most}; while ({a} || {n} > 0) if ({n}-- == 0) break; else",
            f"{n} = 0; for (;;) if ({n}++ == {most}) break; else",
            f"{n} = 0; while ({a}, ++{n} < {most})",
        )
        way = self.upto(len(heads) + 1)
        self.emit(f"{{ {kind} {n};")
        if way < len(heads):
            self.emit(heads[way])
            self.block(depth)
        else:
            self.emit(f"{n} = 0; do")
            self.block(depth)
            self.emit(f"while ({n}++ < {most});" if way % 2 else f"while (++{n} < {most} && {a});")
        if self.chance(6):
            self.emit(f"{n} = {most}; while ({n}-- > 1) ;")
        self.emit("}")
        self.inside.pop()
        self.pointers = kept[:-1]
        self.scopes.pop()
        self.loops -= 1

    def switch(self, depth: int) -> None:
        self.inside.append("switch")
        self.emit(f"switch ({self.full(2)} {self.pick(('& 3', '& 7', '', '% 3'))}) {{")
        labels = ["case 0:", "case 1:", "case 2:", "case BLUE:", "case -1:", "default:"]
        labels += ["case 6 ... 8:", "case 3: case 4:", "case 'A':", "case -5:"]
        for _ in range(1 + self.upto(3)):
            label = labels.pop(self.upto(len(labels) - 1))
            self.emit(label)
            self.block(depth)
            if self.chance(2):
                self.emit("break;")
        self.emit("}")
        self.inside.pop()

    def jump(self, depth: int) -> None:
        label = self.fresh("out")
        self.emit(f"if ({self.full(1)}) goto {label};")
        self.block(depth)
        self.emit(f"{label}: {self.full(1)};")

    # --- functions -------------------------------------------------------------------------

    def function(self, name: str, parameters: Sequence[str], result: str, size: int) -> str:
        names = ("x", "y", "i")[: len(parameters)]
        self.scopes, self.pointers = [{}], [{}]
        self.reads = self.writes = NONE
        self.lines, self.result, self.inside, self.loops = [], result, [], 0
        for parameter, kind in zip(names, parameters, strict=True):
            match kind:
                case "struct pair *":
                    self.pointers[0][parameter] = ("pair", frozenset({"gs", "gp"}))
                case "u_int *":
                    self.pointers[0][parameter] = ("u_int", frozenset({"ga", "gs"}))
                case _:
                    self.scopes[0][parameter] = [Variable(parameter, kind, f"{parameter}@")]
        self.scopes.append({})
        self.pointers.append({})
        for _ in range(1 + self.upto(size - 1)):
            self.statement(2)
        if result != "void":
            self.emit(f"return ({self.full(2)});")
        text = ", ".join(f"{k} {n}" for k, n in zip(parameters, names, strict=True))
        static = self.pick(("static", "static inline"))
        body = "\n".join(self.lines)
        return f"{static} {result}\n{name}({text or 'void'})\n{{ {{\n{body}\n}} }}\n"

    def program(self) -> CText:
        texts: list[str] = []
        for each in range(self.upto(3)):
            name = f"help{each}_{self.number}"
            kinds = (*TYPES, "struct pair *", "u_int *")
            parameters = tuple(self.pick(kinds) for _ in range(self.upto(3)))
            result = self.pick(TYPES)
            texts.append(self.function(name, parameters, result, 3))
            local = {r for r in self.reads | self.writes if "@" in r or r[0] in "*tn"}
            reads, writes = self.reads - local, self.writes - local
            self.helpers.append(Helper(name, parameters, result, reads, writes))
        self.function("", (), "void", 6)
        lines = ["gs.a = 7; gs.in_.y = -3; gs.c = -1L << 40 >> 3; gp[0].e[1] = -100; ga[1] = 9;"]
        lines[0] = lines[0].replace("-1L << 40 >> 3", "-(1L << 37)")
        lines += self.lines
        scope = self.scopes[-1]
        seen = [v for g in scope.values() for v in g][:3]
        lines += [f"o{n} = {v.text};" for n, v in enumerate(seen)]
        body = "\n".join(lines)
        text = "\n".join((*texts, f"void\nentry_{self.number}(void)\n{{\n{body}\n}}\n"))
        return CText(text, self.number)


@st.composite
def c_programs(draw: st.DrawFn, number: int = 0) -> CText:
    """A program; ``number`` ends its names."""
    return Writer(lambda most: draw(st.integers(0, most)), number).program()


def seeded(seed: int, number: int = 0) -> CText:
    """The program of a seed."""
    generator = random.Random(seed)
    return Writer(lambda most: generator.randint(0, most), number).program()


def batches(size: int) -> st.SearchStrategy[tuple[CText, ...]]:
    """Programs that can be compiled together."""
    return st.tuples(*(c_programs(number) for number in range(size)))
