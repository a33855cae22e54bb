"""Programs as text, in a format that :mod:`pmaplab.ir.parser` reads back.

::

    cpus 2
    region smr

    struct pmap { ; "pmap.h":10:1-12
      active: u32
      pcids: [2 x u16{0..4}]
    }

    global @kernel_pmap: pmap { ; "pmap.c":3:1
      ".pcids[1]" = 4:u16
    }

    atomic function @mark(%pmap: *pmap, %bit: u32) -> u32 { ; "pmap.c":7:1-20
      var %old: u32
    entry:
      enter smr ; "pmap.c":8:5
      %old = rmw or field(%pmap, active):*u32, shl(1:u32, %bit) ; "pmap.c":9:5-31
      branch eq(%old, 0:u32), first, again ; "pmap.c":10:8
    ...

One item or instruction stands on a line, and its location after a semicolon
at the end of the line.  ``%x`` is a local, ``@x`` a global or a function,
``value:type`` an expression with its type; a type that follows from the
operands is left out.  A name that does not look like one is quoted.  In text
written by hand, ``#`` starts a comment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pmaplab.errors import Location
from pmaplab.ir.nodes import (
    Agent,
    Assert,
    Assign,
    Assume,
    Binary,
    Branch,
    Call,
    Cast,
    Choose,
    CmpXchg,
    Const,
    Count,
    Enter,
    Expr,
    Fence,
    FieldAddress,
    Function,
    GlobalAddress,
    GlobalDecl,
    Held,
    IndexAddress,
    InRegion,
    Instruction,
    Invariant,
    Jump,
    Leave,
    Load,
    Local,
    Owned,
    Place,
    Print,
    Program,
    Return,
    Rmw,
    Select,
    Sometimes,
    Step,
    Store,
    StructDecl,
    Terminator,
    ThisCpu,
    Unary,
)
from pmaplab.ir.text import (
    array_below,
    binary_type,
    location_text,
    name_text,
    quote,
    struct_below,
    type_text,
    unary_type,
)
from pmaplab.ir.types import BOOL, U32, Pointer, Scalar, Type


def print_program(program: Program, *, locations: bool = True) -> str:
    """The whole program; without ``locations``, equal for equal behaviour
    of programs that differ only in where they were written."""
    head = [f"cpus {program.cpus}"]
    head += [f"region {name_text(region)}" for region in program.regions]
    head += [f"without {name_text(reduction)}" for reduction in program.without]
    head += [f"must_reach {name_text(label)}" for label in program.must_reach]
    tail = [_agent(agent) for agent in program.agents]
    tail += [_invariant(invariant) for invariant in program.invariants]
    tail += [
        f"exempt_when {name_text(region)} @{name_text(function)}"
        for region, function in program.exempt_when.items()
    ]
    parts = ["\n".join(head)]
    parts += [_struct(decl, locations) for decl in program.structs.values()]
    if program.globals:
        parts.append("\n".join(_global(decl, locations) for decl in program.globals.values()))
    parts += [print_function(fn, locations=locations) for fn in program.functions.values()]
    if tail:
        parts.append("\n".join(tail))
    parts += [_owned(owned, locations) for owned in program.owned]
    return "\n\n".join(parts) + "\n"


def print_function(fn: Function, *, locations: bool = True) -> str:
    """One function, as it stands in the program, without a last newline."""
    parameters = ", ".join(_declared(name, fn.variables.get(name)) for name in fn.parameters)
    atomic = "atomic " if fn.atomic else ""
    result = "" if fn.result is None else f" -> {type_text(fn.result)}"
    head = f"{atomic}function @{name_text(fn.name)}({parameters}){result} {{"
    lines = [_located(head, fn.loc, locations)]
    lines += [
        f"  var {_declared(name, kind)}"
        for name, kind in fn.variables.items()
        if name not in fn.parameters
    ]
    for block in fn.blocks:
        lines.append(f"{name_text(block.label)}:")
        for line in (*block.instructions, block.terminator):
            text = _instruction(line, fn.variables)
            lines.append(_located(f"  {text}", line.loc, locations))
    return "\n".join([*lines, "}"])


def print_line(line: Instruction | Terminator, variables: Mapping[str, Scalar]) -> str:
    """An instruction of a function with these variables, without its location."""
    return _instruction(line, variables)


def print_expr(expr: Expr) -> str:
    """One expression, with the types of its locals."""
    return _expr(expr, {})


# --- declarations ----------------------------------------------------------


def _located(text: str, loc: Location, locations: bool) -> str:
    return f"{text} ; {location_text(loc)}" if locations else text


def _local(name: str) -> str:
    return f"%{name_text(name)}"


def _declared(name: str, kind: Scalar | None) -> str:
    return _local(name) if kind is None else f"{_local(name)}: {type_text(kind)}"


def _struct(decl: StructDecl, locations: bool) -> str:
    head = _located(f"struct {name_text(decl.name)} {{", decl.loc, locations)
    fields = [f"  {name_text(name)}: {type_text(kind)}" for name, kind in decl.fields]
    return "\n".join([head, *fields, "}"])


def _global(decl: GlobalDecl, locations: bool) -> str:
    head = f"global @{name_text(decl.name)}: {type_text(decl.type)}"
    if not decl.initial:
        return _located(head, decl.loc, locations)
    cells = [f"  {quote(path)} = {_expr(value, {})}" for path, value in decl.initial.items()]
    return "\n".join([_located(f"{head} {{", decl.loc, locations), *cells, "}"])


def _agent(agent: Agent) -> str:
    return (
        f"agent {name_text(agent.name)} cpu {agent.cpu}"
        f" context {name_text(agent.context)} entry @{name_text(agent.entry)}"
    )


def _invariant(invariant: Invariant) -> str:
    exempt = ", ".join(map(name_text, invariant.exempt))
    return (
        f"invariant {name_text(invariant.property)} @{name_text(invariant.function)}"
        f"{f' exempt {exempt}' if exempt else ''}"
    )


def _owned(owned: Owned, locations: bool) -> str:
    cpu = "nobody" if owned.cpu is None else f"cpu {owned.cpu}"
    head = f"owned {name_text(owned.name)} {cpu}{' shared' if owned.shared else ''} {{"
    lines = [_located(head, owned.loc, locations)]
    lines += [f"  cell {_place(place)}" for place in owned.cells]
    lines += [f"  when {_held(held)}" for held in owned.when]
    lines += [f"  outside {name_text(region)}" for region in owned.outside]
    return "\n".join([*lines, "}"])


def _held(held: Held) -> str:
    value = held.value if isinstance(held.value, int) else _place(held.value)
    return f"{_place(held.place)} {held.relation} {value}"


def _place(place: Place) -> str:
    return f"@{name_text(place.name)} {quote(place.path)}"


# --- instructions ----------------------------------------------------------


def _instruction(line: Instruction | Terminator, variables: Mapping[str, Scalar]) -> str:
    def show(*exprs: Expr) -> str:
        return _exprs(exprs, variables)

    match line:
        case Assign(target, value):
            return f"{_local(target)} = {show(value)}"
        case Load(target, address):
            return f"{_local(target)} = load {show(address)}"
        case Store(address, value):
            return f"store {show(address, value)}"
        case Rmw(target_or_none, op, address, operand):
            return f"{_into(target_or_none)}rmw {op} {show(address, operand)}"
        case CmpXchg(target, address, expected, desired):
            return f"{_local(target)} = cmpxchg {show(address, expected, desired)}"
        case Fence():
            return "fence"
        case Step():
            return "step"
        case Assume(condition):
            return f"assume {show(condition)}"
        case Choose(target, lo, hi):
            return f"{_local(target)} = choose {show(lo, hi)}"
        case Assert(condition, kind, message, arguments):
            check = f"assert {show(condition)}, {name_text(kind)}, {quote(message)}"
            return ", ".join([check, *map(show, arguments)])
        case Call(target_or_none, function, arguments):
            call = f"call @{name_text(function)}({show(*arguments)})"
            return f"{_into(target_or_none)}{call}"
        case Print(format, arguments):
            return ", ".join([f"print {quote(format)}", *map(show, arguments)])
        case Count(counter):
            return f"count {name_text(counter)}"
        case Sometimes(label):
            return f"sometimes {name_text(label)}"
        case Enter(region):
            return f"enter {name_text(region)}"
        case Leave(region):
            return f"leave {name_text(region)}"
        case Jump(block):
            return f"jump {name_text(block)}"
        case Branch(condition, then, otherwise):
            return f"branch {show(condition)}, {name_text(then)}, {name_text(otherwise)}"
        case Return(result):
            return "return" if result is None else f"return {show(result)}"


def _into(target: str | None) -> str:
    return "" if target is None else f"{_local(target)} = "


# --- expressions -----------------------------------------------------------


def _exprs(exprs: Iterable[Expr], variables: Mapping[str, Scalar]) -> str:
    return ", ".join(_expr(expr, variables) for expr in exprs)


def _expr(expr: Expr, variables: Mapping[str, Scalar]) -> str:
    def show(*exprs: Expr) -> str:
        return _exprs(exprs, variables)

    match expr:
        case Const(value, kind):
            if kind == BOOL and value in (0, 1):
                return "true" if value else "false"
            null = isinstance(kind, Pointer) and value == 0
            return f"{'null' if null else f'{value:d}'}:{type_text(kind)}"
        case Local(name, kind):
            return _local(name) + _suffix(kind, variables.get(name))
        case GlobalAddress(name, kind):
            return f"@{name_text(name)}:{type_text(kind)}"
        case FieldAddress(base, struct, field, kind):
            owner = "" if struct_below(base.type) == struct else f"{name_text(struct)}::"
            return f"field({show(base)}, {owner}{name_text(field)}):{type_text(kind)}"
        case IndexAddress(base, index, length, kind):
            array = array_below(base.type)
            known = array is not None and array.length == length
            explicit = "" if known else f", {length}"
            suffix = _suffix(kind, Pointer(array.element) if array else None)
            return f"index({show(base, index)}{explicit}){suffix}"
        case ThisCpu(kind):
            return f"cpu{_suffix(kind, U32)}"
        case InRegion(cpu, region, kind):
            return f"in_region({show(cpu)}, {name_text(region)}){_suffix(kind, BOOL)}"
        case Unary(op, operand, kind):
            return f"{op}({show(operand)}){_suffix(kind, unary_type(op, operand.type))}"
        case Binary(op, left, right, kind):
            return f"{op}({show(left, right)}){_suffix(kind, binary_type(op, left.type))}"
        case Cast(operand, kind):
            return f"cast({show(operand)}):{type_text(kind)}"
        case Select(condition, then, otherwise, kind):
            return f"select({show(condition, then, otherwise)}){_suffix(kind, then.type)}"


def _suffix(kind: Type, understood: Type | None) -> str:
    return "" if kind == understood else f":{type_text(kind)}"
