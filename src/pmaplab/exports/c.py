"""The statements and expressions of steps as C, for Promela's embedded code.

Values are ``U`` (uint64_t) or ``I`` (int64_t), as their type is unsigned or
signed; the state holds them in the smallest type that has their range.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pmaplab.exports.names import identifiers, one_line
from pmaplab.exports.nodes import groups
from pmaplab.exports.steps import (
    PAGE_FAULT,
    Again,
    Back,
    Cell,
    Cpu,
    Expr,
    Fetch,
    Give,
    Goto,
    Guard,
    If,
    Invoke,
    Mark,
    Note,
    Num,
    Op,
    Pick,
    Require,
    Set,
    Slot,
    Statement,
    StepSystem,
    Stop,
    Target,
    Var,
    Variable,
    When,
    Within,
)
from pmaplab.ir.types import Int

_PLAIN = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "and": "&",
    "or": "|",
    "xor": "^",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "land": "&&",
    "lor": "||",
}
# What the code below calls, apart from the accesses by number.
HELPERS = """\
static void disabled(void) { longjmp(*out, 1); }
static void fault(int kind, int site) { fault_kind = kind; fault_site = site; longjmp(*out, 2); }
static U require(int holds, int site) { if (!holds) fault(0, site); return 1; }
static U inside(U x, U lo, U hi, int kind, int site) {
    if (x < lo || x > hi) fault(kind, site);
    return x;
}
static I inside_signed(I x, I lo, I hi, int kind, int site) {
    if (x < lo || x > hi) fault(kind, site);
    return x;
}
static U shift_by(U n, U bits, int site) {
    if (n >= bits) fault(OVERFLOW, site);
    return n;
}
static I exact(__int128 x, I lo, I hi, int site) {
    if (x < lo || x > hi) fault(OVERFLOW, site);
    return (I)x;
}
static I shifted(I x, U n, I lo, I hi, int site) {
    return exact((__int128)x * ((__int128)1 << n), lo, hi, site);
}
static U over(U a, U b, int site) { if (!b) fault(DIVIDE, site); return a / b; }
static U rest(U a, U b, int site) { if (!b) fault(DIVIDE, site); return a % b; }
static I over_signed(I a, I b, I lo, I hi, int site) {
    if (!b) fault(DIVIDE, site);
    return exact((__int128)a / b, lo, hi, site);
}
static I rest_signed(I a, I b, I lo, I hi, int site) {
    return (I)(a - (__int128)b * over_signed(a, b, lo, hi, site));
}
static U digit(U ways) {
    U found = choice % ways;
    choice /= ways;
    if (product > MOST_CHOICES || ways > MOST_CHOICES) fault(RANGE, 0);
    product *= ways;
    if (product > choices_here) fault(RANGE, 0);
    return found;
}
static U pick(U lo, U hi) {
    if (hi < lo) disabled();
    if (hi - lo >= MOST_CHOICES) fault(RANGE, 0);
    return lo + digit(hi - lo + 1);
}
static I pick_signed(I lo, I hi) {
    if (hi < lo) disabled();
    if ((U)hi - (U)lo >= MOST_CHOICES) fault(RANGE, 0);
    return (I)((U)lo + digit((U)hi - (U)lo + 1));
}
"""


def storage(variable: Variable) -> str:
    """The smallest C type for the values of a variable."""
    lo, hi = variable.lo, variable.hi
    for bits in (8, 16, 32):
        if lo >= 0 and hi < 1 << bits:
            return f"uint{bits}_t"
        if -(1 << bits - 1) <= lo and hi < 1 << bits - 1:
            return f"int{bits}_t"
    return "int64_t" if lo < 0 else "uint64_t"


def number(value: int, kind: Int) -> str:
    if not kind.signed:
        return f"{value}ull" if value > 9 else f"{value}u"
    if value == -(1 << 63):
        return "(-9223372036854775807ll - 1)"
    return f"{value}ll" if value >= 0 else f"({value}ll)"


@dataclass
class C:
    """Prints the code of one system."""

    system: StepSystem

    def __post_init__(self) -> None:
        system = self.system
        self.cells = identifiers((v.name for v in system.memory.values()), "g_")
        self.locals = identifiers(system.locals, "v_")
        self.routines = identifiers(system.routines, "f_")
        self.groups = groups(system)
        self.labels = {label: number for number, label in enumerate(system.labels)}

    def cell(self, index: int) -> str:
        return f"next.memory.{self.cells[self.system.memory[index].name]}"

    # --- expressions -------------------------------------------------------

    def expr(self, x: Expr) -> str:
        match x:
            case Num(value=value, kind=kind):
                return number(value, kind)
            case Var(name=name):
                return self.locals[name]
            case Slot(index=index, kind=kind):
                return f"({_c(kind)})me->s{index}"
            case Cell(index=index, kind=kind):
                return f"({_c(kind)}){self.cell(index)}"
            case Fetch(group=group, address=address, kind=kind, site=site):
                which = self.groups[group, kind.signed]
                return f"load{which}({self.expr(address)}, {site})"
            case Cpu():
                return "(U)cpu"
            case Within(operand=operand, lo=lo, hi=hi, fault=fault, site=site, kind=kind):
                name = "inside_signed" if kind.signed else "inside"
                code = "PAGE_FAULT" if fault == PAGE_FAULT else "RANGE"
                ends = f"{number(lo, kind)}, {number(hi, kind)}"
                return f"{name}({self.expr(operand)}, {ends}, {code}, {site})"
            case Op():
                return self._op(x)

    def _op(self, x: Op) -> str:
        kind, site = x.kind, x.site
        parts = [self.expr(operand) for operand in x.operands]
        whole = f"{(1 << kind.bits) - 1:#x}ull"
        ends = f"{number(kind.minimum, kind)}, {number(kind.maximum, kind)}, {site}"
        match x.name:
            case "add" | "sub" | "mul":
                left, right = parts
                if kind.signed:
                    return f"exact((__int128){left} {_PLAIN[x.name]} {right}, {ends})"
                text = f"({left} {_PLAIN[x.name]} {right})"
                return text if x.exact or kind.bits == 64 else f"({text} & {whole})"
            case "shl" | "shr":
                left, right = parts
                by = x.operands[1]
                if not (isinstance(by, Num) and 0 <= by.value < kind.bits):
                    right = f"shift_by((U)({right}), {kind.bits}, {site})"
                if x.name == "shr":
                    return f"({left} >> {right})"
                if kind.signed:
                    return f"shifted({left}, {right}, {ends})"
                return f"(({left} << {right}) & {whole})"
            case "div" | "mod":
                name = "over" if x.name == "div" else "rest"
                if kind.signed:
                    return f"{name}_signed({parts[0]}, {parts[1]}, {ends})"
                return f"{name}({parts[0]}, {parts[1]}, {site})"
            case "neg":
                if kind.signed:
                    return f"exact(-(__int128){parts[0]}, {ends})"
                return f"((0 - {parts[0]}) & {whole})"
            case "inv":
                return f"(~{parts[0]})" if kind.signed else f"({parts[0]} ^ {whole})"
            case "not":
                return f"(U)!{parts[0]}"
            case "popcount":
                bits = (1 << x.operands[0].kind.bits) - 1
                return f"({_c(kind)})__builtin_popcountll((U){parts[0]} & {bits:#x}ull)"
            case "ffs":
                return f"({_c(kind)})__builtin_ffsll((I){parts[0]})"
            case "cast":
                return self._cast(parts[0], kind)
            case "select":
                return f"({parts[0]} ? {parts[1]} : {parts[2]})"
            case "and" | "or" | "xor":
                return f"({parts[0]} {_PLAIN[x.name]} {parts[1]})"
        return f"(U)({parts[0]} {_PLAIN[x.name]} {parts[1]})"

    def _cast(self, text: str, kind: Int) -> str:
        if kind.bits == 1 and not kind.signed:
            return f"(U)({text} != 0)"
        if not kind.signed:
            whole = f"{(1 << kind.bits) - 1:#x}ull"
            return f"(U){text}" if kind.bits == 64 else f"((U){text} & {whole})"
        if kind.bits == 64:
            return f"(I){text}"
        return f"((I)((U){text} << {64 - kind.bits}) >> {64 - kind.bits})"

    # --- statements --------------------------------------------------------

    def code(self, statements: tuple[Statement, ...], depth: int = 1) -> Iterator[str]:
        tabs = "    " * depth
        for statement in statements:
            match statement:
                case Note(text=text, loc=loc):
                    yield f"{tabs}/* {one_line(f'{loc.file}:{loc.line}: {text}')} */"
                case If(condition=condition, then=then) | When(condition=condition, then=then):
                    yield f"{tabs}if ({self.expr(condition)}) {{"
                    yield from self.code(then, depth + 1)
                    yield f"{tabs}}}"
                case _:
                    yield tabs + self.statement(statement)

    def statement(self, statement: Statement) -> str:
        match statement:
            case Set(target=target, value=value):
                return self.store(target, value)
            case Pick(target=target, lo=lo, hi=hi):
                name = "pick_signed" if target.kind.signed else "pick"
                return f"{self.locals[target.name]} = {name}({self.expr(lo)}, {self.expr(hi)});"
            case Guard(condition=condition):
                return f"if (!({self.expr(condition)})) disabled();"
            case Require(condition=condition, site=site):
                return f"require({self.expr(condition)} != 0, {site});"
            case Invoke(target=result, routine=routine, arguments=arguments):
                call = f"{self.routines[routine]}({', '.join(map(self.expr, arguments))});"
                return call if result is None else f"{self.locals[result.name]} = {call}"
            case Mark(label=label):
                at = self.labels[label]
                return f"passed[{at // 64}] |= {1 << at % 64:#x}ull;"
            case Goto(point=point):
                return f"return {point};"
            case Stop(point=point):
                return f"return -{point};"
            case Back(slot=slot):
                return f"back = me->s{slot}; me->s{slot} = 0; return back ? back : -DONE;"
            case Again(part=part):
                return f"turn(&turns); goto part{part};"
            case Give(value=value):
                return "return 0;" if value is None else f"return {self.expr(value)};"
        raise AssertionError(statement)

    def store(self, target: Target, value: Expr) -> str:
        match target:
            case Var(name=name):
                return f"{self.locals[name]} = {self.expr(value)};"
            case Slot(index=index):
                return f"me->s{index} = {self.fitted(value, self.system.slots[index])};"
            case Cell(index=index):
                return f"{self.cell(index)} = {self.fitted(value, self.system.memory[index])};"
            case Fetch(group=group, address=address, kind=kind, site=site):
                which = self.groups[group, kind.signed]
                return f"store{which}({self.expr(address)}, {self.expr(value)}, {site});"

    def fitted(self, value: Expr, variable: Variable) -> str:
        """``value``, checked against the range that the variable is thought to have."""
        text = self.expr(value)
        if isinstance(value, Num) and variable.lo <= value.value <= variable.hi:
            return text
        return self.checked(text, variable, value.kind)

    def checked(self, text: str, variable: Variable, kind: Int) -> str:
        lo, hi = variable.lo, variable.hi
        if kind.signed:
            lo, hi = max(lo, -(1 << 63)), min(hi, (1 << 63) - 1)
        else:
            lo = max(lo, 0)
        if (lo, hi) == (kind.minimum, kind.maximum) or (lo == 0 and hi == (1 << 64) - 1):
            return text
        name = "inside_signed" if kind.signed else "inside"
        return f"{name}({text}, {number(lo, kind)}, {number(hi, kind)}, RANGE, 0)"

    # --- accesses by number ------------------------------------------------

    def accesses(self) -> Iterator[str]:
        for (group, signed), which in self.groups.items():
            kind = Int(64, signed)
            yield f"static {_c(kind)} load{which}(U at, int site) {{"
            yield "    switch (at) {"
            for index in group:
                yield f"    case {index}: return ({_c(kind)}){self.cell(index)};"
            yield "    }"
            yield "    fault(at ? RANGE : PAGE_FAULT, site);"
            yield "    return 0;"
            yield "}"
            yield f"static void store{which}(U at, {_c(kind)} x, int site) {{"
            yield "    switch (at) {"
            for index in group:
                value = self.checked("x", self.system.memory[index], kind)
                yield f"    case {index}: {self.cell(index)} = {value}; return;"
            yield "    }"
            yield "    fault(at ? RANGE : PAGE_FAULT, site);"
            yield "}"


def _c(kind: Int) -> str:
    return "I" if kind.signed else "U"
