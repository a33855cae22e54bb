"""The statements and expressions of steps as Murphi, for Rumur.

Rumur calculates in 64 bits, signed.  A value of an unsigned type of 64 bits
stands there as the signed number with the same bits; all others as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pmaplab.errors import Location, ModelError
from pmaplab.exports.names import identifiers, one_line
from pmaplab.exports.nodes import below, groups
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

# Rumur keeps a number for "undefined", and one to spare.
LEAST, MOST = -(1 << 63) + 1, (1 << 63) - 2
_SIGN = 1 << 63
_ARITHMETIC = {"add": "+", "sub": "-", "mul": "*"}
_BITS = {"and": "&", "or": "|", "xor": "^"}
_COMPARISONS = {"eq": "=", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

HELPERS = """\
function inside(x: wide; lo: wide; hi: wide): wide;
begin
  if x < lo | x > hi then error "page fault" endif;
  return x;
end;
function fitting(x: wide; lo: wide; hi: wide): wide;
begin
  if x < lo | x > hi then error "model error: a value is out of range" endif;
  return x;
end;
function exact(x: wide; lo: wide; hi: wide): wide;
begin
  if x < lo | x > hi then error "overflow" endif;
  return x;
end;
function shift_by(n: wide; bits: wide): wide;
begin
  if n < 0 | n >= bits then error "overflow" endif;
  return n;
end;
-- The least number that is x modulo m.
function low(x: wide; m: wide): wide; begin return ((x % m) + m) % m; end;
function sign_extended(x: wide; m: wide): wide;
var r: wide;
begin
  r := ((x % m) + m) % m;
  return r >= m / 2 ? r - m : r;
end;
function over(a: wide; b: wide): wide;
begin
  if b = 0 then error "divide error" endif;
  return a / b;
end;
function rest(a: wide; b: wide): wide;
begin
  if b = 0 then error "divide error" endif;
  return a % b;
end;
function unsigned(a: wide): wide;
begin
  if a < 0 then error "model error: a division of a number with bit 63" endif;
  return a;
end;
-- Of numbers of 64 bits without sign.
function below(a: wide; b: wide): boolean;
begin
  return ((a < 0) = (b < 0)) ? (a < b) : (b < 0);
end;
function shifted_right(a: wide; n: wide): wide;
begin
  if a >= 0 | n = 0 then return a >> n endif;
  return n = 1 ? (-1 - ((-1 - a) >> 1)) + 9223372036854775807 + 1
    : (-1 - ((-1 - a) >> n)) + (1 << (64 - n));
end;
function shifted_right_signed(a: wide; n: wide): wide;
begin
  return a >= 0 ? a >> n : -1 - ((-1 - a) >> n);
end;
function ones(a: wide): wide;
var n: wide; c: wide;
begin
  n := a < 0 ? -1 - a : a;
  c := 0;
  while n > 0 do c := c + n % 2; n := n / 2; endwhile;
  return c;
end;
function population(a: wide; bits: wide): wide;
begin
  return a < 0 ? bits - ones(a) : ones(a);
end;
function first_set(a: wide): wide;
var n: wide; c: wide;
begin
  if a = 0 then return 0 endif;
  n := a;
  c := 1;
  while n % 2 = 0 do n := n / 2; c := c + 1; endwhile;
  return c;
end;
function digit(ways: wide; var choice: wide; var product: wide; limit: wide): wide;
var found: wide;
begin
  if ways > 4096 | product * ways > limit then error "model error: too many choices" endif;
  product := product * ways;
  found := choice % ways;
  choice := choice / ways;
  return found;
end;
"""


def view(value: int, kind: Int) -> int:
    """How ``value`` is held."""
    unsigned = kind.bits == 64 and not kind.signed
    return value - 2 * _SIGN if unsigned and value >= _SIGN else value


def held(variable: Variable) -> tuple[int, int]:
    """The range in which a variable is held.

    Raises ModelError where it has a value that Rumur cannot hold.  A variable
    of which only the type is known gets all the numbers there are: Rumur
    itself reports a value that is none of them.
    """
    if variable.few is not None:
        values = [view(value, variable.kind) for value in variable.few]
        lo, hi = min(values), max(values)
    elif variable.hi >= _SIGN:
        return LEAST, MOST
    else:
        lo, hi = variable.lo, variable.hi
    if lo < LEAST or hi > MOST:
        worst = lo if lo < LEAST else hi
        value = worst + 2 * _SIGN if worst < 0 and not variable.kind.signed else worst
        raise ModelError(
            f"{variable.name} can be {value:#x}, which Rumur's signed numbers of 64 bits "
            "cannot hold",
            location=variable.loc,
            advice="--to promela has no such limit",
        )
    return lo, hi


def is_wide(kind: Int) -> bool:
    return kind.bits == 64 and not kind.signed


@dataclass
class Murphi:
    """Prints the code of one system."""

    system: StepSystem

    def __post_init__(self) -> None:
        system = self.system
        self.cells = identifiers((v.name for v in system.memory.values()), "g_")
        self.locals = identifiers(system.locals, "v_")
        self.routines = identifiers(system.routines, "f_")
        self.groups = groups(system)
        self.labels = {label: number for number, label in enumerate(system.labels)}
        # The routines that pass a label, and so need to be told where to note it,
        # and those that choose.
        self.markers = self._with(Mark)
        self.pickers = self._with(Pick)
        self.judging = False
        self.many_parts = False

    def _with(self, node: type) -> set[str]:
        """The routines that do so themselves or in what they invoke, which the
        system has before them."""
        found: set[str] = set()
        for routine in self.system.routines.values():
            if any(
                isinstance(n, node) or (isinstance(n, Invoke) and n.routine in found)
                for n in below(routine.parts)
            ):
                found.add(routine.name)
        return found

    def cell(self, index: int) -> str:
        return self.cells[self.system.memory[index].name]

    # --- expressions -------------------------------------------------------

    def number(self, value: int, kind: Int) -> str:
        seen = view(value, kind)
        if seen == -_SIGN:
            # A number to calculate with, though no variable can hold it.
            return "(-9223372036854775807 - 1)"
        if seen == _SIGN - 1:
            return "(9223372036854775806 + 1)"
        return str(seen) if seen >= 0 else f"({seen})"

    def expr(self, x: Expr, loc: Location) -> str:
        match x:
            case Num(value=value, kind=kind):
                return self.number(value, kind)
            case Var(name=name):
                return self.locals[name]
            case Slot(index=index):
                return f"agents[a].s{index}"
            case Cell(index=index):
                return self.cell(index)
            case Fetch(group=group, address=address, kind=kind):
                return f"load{self.groups[group, kind.signed]}({self.expr(address, loc)})"
            case Cpu():
                return "cpu"
            case Within(operand=operand, lo=lo, hi=hi, fault=fault, kind=kind):
                name = "inside" if fault == PAGE_FAULT else "fitting"
                ends = f"{self.number(lo, kind)}, {self.number(hi, kind)}"
                return f"{name}({self.expr(operand, loc)}, {ends})"
            case Op():
                if x.name in _COMPARISONS or x.name in ("land", "lor", "not"):
                    return f"({self.truth(x, loc)} ? 1 : 0)"
                return self._op(x, loc)

    def truth(self, x: Expr, loc: Location) -> str:
        """``x`` as a boolean of Murphi."""
        match x:
            case Op(name="not", operands=(operand,)):
                return f"(!{self.truth(operand, loc)})"
            case Op(name="land" | "lor" as name, operands=(left, right)):
                sign = "&" if name == "land" else "|"
                return f"({self.truth(left, loc)} {sign} {self.truth(right, loc)})"
            case Op(name=name, operands=(left, right)) if name in _COMPARISONS:
                a, b = self.expr(left, loc), self.expr(right, loc)
                if is_wide(left.kind) and name not in ("eq", "ne"):
                    first, second = (b, a) if name in ("gt", "le") else (a, b)
                    text = f"below({first}, {second})"
                    return text if name in ("lt", "gt") else f"(!{text})"
                return f"({a} {_COMPARISONS[name]} {b})"
        return f"({self.expr(x, loc)} != 0)"

    def _op(self, x: Op, loc: Location) -> str:
        kind, bits = x.kind, x.kind.bits
        parts = [self.expr(operand, loc) for operand in x.operands]
        whole = 1 << bits
        match x.name:
            case "add" | "sub" | "mul":
                left, right = parts
                text = f"({left} {_ARITHMETIC[x.name]} {right})"
                if bits == 64 or (x.exact and not kind.signed):
                    return text
                if kind.signed:
                    return f"exact({text}, {kind.minimum}, {kind.maximum})"
                if x.name == "sub":
                    text = f"({left} + {whole} - {right})"
                return f"({text} % {whole})"
            case "and" | "or" | "xor":
                # Of variables, Rumur takes & and | for those of booleans.
                return f"(({parts[0]} + 0) {_BITS[x.name]} ({parts[1]} + 0))"
            case "shl" | "shr":
                return self._shift(x, parts, loc)
            case "div" | "mod":
                name = "over" if x.name == "div" else "rest"
                if is_wide(kind):
                    parts = [f"unsigned({part})" for part in parts]
                text = f"{name}({parts[0]}, {parts[1]})"
                if kind.signed and bits < 64:
                    quotient = f"over({parts[0]}, {parts[1]})"
                    checked = f"exact({quotient}, {kind.minimum}, {kind.maximum})"
                    if x.name == "div":
                        return checked
                    return f"({parts[0]} - {parts[1]} * {checked})"
                return text
            case "neg":
                if kind.signed and bits < 64:
                    return f"exact(-{parts[0]}, {kind.minimum}, {kind.maximum})"
                return f"(-{parts[0]})" if bits == 64 else f"(({whole} - {parts[0]}) % {whole})"
            case "inv":
                top = -1 if kind.signed or bits == 64 else whole - 1
                return f"({top} - {parts[0]})"
            case "popcount":
                return f"population({parts[0]}, {x.operands[0].kind.bits})"
            case "ffs":
                return f"first_set({parts[0]})"
            case "cast":
                return self._cast(x.operands[0], parts[0], kind)
            case "select":
                return f"({self.truth(x.operands[0], loc)} ? {parts[1]} : {parts[2]})"
        raise AssertionError(x)

    def _shift(self, x: Op, parts: list[str], loc: Location) -> str:
        kind, bits, whole = x.kind, x.kind.bits, 1 << x.kind.bits
        left, by = parts[0], x.operands[1]
        known = isinstance(by, Num) and 0 <= by.value < bits
        count = parts[1] if known else f"shift_by({parts[1]}, {bits})"
        if x.name == "shr":
            if kind.signed:
                return f"shifted_right_signed({left}, {count})"
            return f"shifted_right({left}, {count})" if bits == 64 else f"({left} >> {count})"
        if bits > 32 and (kind.signed or bits < 64):
            raise ModelError(
                "a shift to the left in this type cannot be expressed with Rumur's numbers",
                location=loc,
                advice="--to promela has no such limit",
            )
        if kind.signed:
            return f"exact(({left} << {count}), {kind.minimum}, {kind.maximum})"
        return f"({left} << {count})" if bits == 64 else f"(({left} << {count}) % {whole})"

    def _cast(self, operand: Expr, text: str, kind: Int) -> str:
        source = operand.kind
        if kind.bits == 1 and not kind.signed:
            return text if source == kind else f"(({text} != 0) ? 1 : 0)"
        if kind.bits == 64:
            return text
        inside = kind.minimum <= source.minimum and source.maximum <= kind.maximum
        if inside and not is_wide(source):
            return text
        name = "sign_extended" if kind.signed else "low"
        return f"{name}({text}, {1 << kind.bits})"

    # --- statements --------------------------------------------------------

    def code(self, statements: tuple[Statement, ...], depth: int, loc: Location) -> Iterator[str]:
        tabs = "  " * depth
        for at, statement in enumerate(statements):
            match statement:
                case Note(text=text, loc=place):
                    loc = place
                    yield f"{tabs}-- {one_line(f'{place.file}:{place.line}: {text}')}"
                case When(condition=condition, then=then):
                    yield f"{tabs}if {self.truth(condition, loc)} then"
                    yield from self.code(then, depth + 1, loc)
                    yield f"{tabs}endif;"
                case If(condition=condition, then=then):
                    yield f"{tabs}if {self.truth(condition, loc)} then"
                    yield from self.code(then, depth + 1, loc)
                    yield f"{tabs}else"
                    yield from self.code(statements[at + 1 :], depth + 1, loc)
                    yield f"{tabs}endif;"
                    return
                case _:
                    for line in self.statement(statement, loc):
                        yield tabs + line

    def statement(self, statement: Statement, loc: Location) -> Iterator[str]:
        match statement:
            case Set(target=target, value=value):
                yield self.store(target, value, loc)
            case Pick(target=target, lo=lo, hi=hi):
                name, least, most = self.locals[target.name], self.expr(lo, loc), self.expr(hi, loc)
                yield f'assume {least} <= {most} "choices";'
                ways = f"{most} - {least} + 1"
                yield f"{name} := {least} + digit({ways}, choice, product, limit);"
            case Guard(condition=condition):
                yield f'assume {self.truth(condition, loc)} "possible";'
            case Require(condition=condition, site=site):
                yield self._require(condition, site, loc)
            case Invoke(target=target_or_none, routine=routine, arguments=arguments):
                call = self._call(routine, arguments, loc)
                if target_or_none is not None:
                    yield f"{self.locals[target_or_none.name]} := {call};"
                elif self.system.routines[routine].result is not None:
                    yield f"ignored := {call};"
                else:
                    yield f"{call};"
            case Mark(label=label):
                yield f"passed[{self.labels[label]}] := 1;"
            case Goto(point=point):
                yield f"n := {point};"
            case Stop(point=point):
                yield f"n := 0; agents[a].s0 := {point};"
            case Back(slot=slot):
                yield f"n := agents[a].s{slot}; agents[a].s{slot} := 0;"
                yield "if n = 0 then agents[a].s0 := 1 endif;"
            case Again(part=part):
                yield f"part := {part};"
            case Give(value=value):
                nothing = "return true;" if self.judging else "return;"
                yield nothing if value is None else f"return {self.expr(value, loc)};"

    def _require(self, condition: Expr, site: int, loc: Location) -> str:
        where = self.system.sites[site]
        text = f"{where.kind}: {where.message}: {where.function}, {where.loc.file}:{where.loc.line}"
        failed = "return false" if self.judging else f'error "{one_line(text)}"'
        return f"if !{self.truth(condition, loc)} then {failed} endif;"

    def _call(self, routine: str, arguments: tuple[Expr, ...], loc: Location) -> str:
        values = ["cpu"]
        if routine in self.markers:
            values.append("passed")
        if routine in self.pickers:
            values += ["choice", "product", "limit"]
        values += [self.expr(argument, loc) for argument in arguments]
        return f"{self.routines[routine]}({', '.join(values)})"

    def store(self, target: Target, value: Expr, loc: Location) -> str:
        text = self.expr(value, loc)
        match target:
            case Var(name=name):
                return f"{self.locals[name]} := {text};"
            case Slot(index=index):
                return f"agents[a].s{index} := {text};"
            case Cell(index=index):
                return f"{self.cell(index)} := {text};"
            case Fetch(group=group, address=address, kind=kind):
                which = self.groups[group, kind.signed]
                return f"store{which}({self.expr(address, loc)}, {text});"

    # --- accesses by number ------------------------------------------------

    def accesses(self) -> Iterator[str]:
        for (group, _), which in self.groups.items():
            loads: Iterator[str] = (
                f"  if at = {at} then return {self.cell(at)} endif;" for at in group
            )
            stores: Iterator[str] = (
                f"  if at = {at} then {self.cell(at)} := x; return; endif;" for at in group
            )
            if len(group) > _FEW:
                loads = _switch(f"  case {at}: return {self.cell(at)};" for at in group)
                stores = _switch(f"  case {at}: {self.cell(at)} := x; return;" for at in group)
            yield f"function load{which}(at: wide): wide;"
            yield "begin"
            yield from loads
            yield _WILD
            yield "end;"
            yield f"procedure store{which}(at: wide; x: wide);"
            yield "begin"
            yield from stores
            yield _WILD
            yield "end;"


def _switch(cases: Iterator[str]) -> Iterator[str]:
    yield "  switch at"
    yield from cases
    yield "  endswitch;"


# So many cells need no switch.
_FEW = 2
_WILD = """\
  if at = 0 then error "page fault: a NULL pointer is dereferenced"
  else error "model error: a wild pointer" endif;"""
