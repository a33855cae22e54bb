"""Random well-formed programs.

The programs are well formed, not sensible: a pointer may be NULL and a loop
need not end.  Names that need quotes, ranged integers and every instruction
occur.  Functions call only functions made before them, so nothing recurses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hypothesis import strategies as st

from pmaplab.errors import Location
from pmaplab.ir.nodes import (
    ARITHMETIC,
    COMPARISONS,
    LOGIC,
    RMW_OPS,
    Agent,
    Assert,
    Assign,
    Assume,
    Binary,
    Block,
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
    IndexAddress,
    InRegion,
    Instruction,
    Invariant,
    Jump,
    Leave,
    Load,
    Local,
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
from pmaplab.ir.types import (
    BOOL,
    U8,
    U16,
    U32,
    U64,
    Array,
    Int,
    Pointer,
    Scalar,
    Struct,
    Type,
    same_kind,
)

REGIONS = ("smr", "delayed invl")
INTS = (
    BOOL,
    U8,
    U16,
    U32,
    U64,
    Int(64, signed=True),
    Int(7, signed=True),
    Int(1, signed=True),
    Int(8, lo=2, hi=5),
    Int(32, lo=3),
    Int(32, signed=True, hi=-1),
    Int(1, lo=0, hi=1),
)

# Functions that may step, functions that run within a step, and functions
# that besides only look at the state.
Sort = Literal["plain", "atomic", "observer"]

_awkward = st.sampled_from(["u32", "bool", "var", "return", "null", "a.b-1", "a b", 'q"\\', "π\n"])
texts = st.text(max_size=6) | st.sampled_from(['%s "quoted"\n', "tab\there", "\\n", "pte %#lx"])
numbers = st.integers(1, 10**6)


def _names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


@st.composite
def locations(draw: st.DrawFn) -> Location:
    column = draw(st.integers(1, 200))
    end = column + draw(st.integers(0, 40))
    file = draw(st.sampled_from(["pmap.py", "a b/c.py", 'x"\\.py', "é\t.ir"]))
    return Location(file, draw(numbers), column, end)


@st.composite
def constants(draw: st.DrawFn, kind: Scalar) -> Const:
    if isinstance(kind, Pointer):
        return Const(0, kind)
    edges = st.sampled_from([kind.minimum, kind.maximum])
    return Const(draw(edges | st.integers(kind.minimum, kind.maximum)), kind)


@dataclass
class _Scope:
    """What a program declares so far."""

    structs: dict[str, StructDecl] = field(default_factory=dict)
    globals: dict[str, GlobalDecl] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    sorts: dict[str, Sort] = field(default_factory=dict)
    # The types of the locals of the function at hand that have a value.
    known: dict[str, Scalar] = field(default_factory=dict)

    def arrays(self) -> list[Array]:
        kinds = [kind for decl in self.structs.values() for _, kind in decl.fields]
        kinds += [decl.type for decl in self.globals.values()]
        found = [kind for kind in kinds if isinstance(kind, Array)]
        return found + [kind.element for kind in found if isinstance(kind.element, Array)]


# --- types -----------------------------------------------------------------


@st.composite
def _types(draw: st.DrawFn, structs: Sequence[str], targets: Sequence[str]) -> Type:
    """A type that holds ``structs`` and points to ``targets``."""
    kinds: list[Type] = [*INTS, *(Struct(name) for name in structs)]
    kinds += [Pointer(Struct(name)) for name in targets]
    kinds += [Pointer(U32), Pointer(Pointer(U8)), Pointer(Array(U16, 2))]
    kind = draw(st.sampled_from(kinds))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        kind = Array(kind, draw(st.integers(1, 3)))
    return kind


@st.composite
def _scalars(draw: st.DrawFn, scope: _Scope) -> Scalar:
    below: list[Type] = [U32, Pointer(U32)]
    below += [decl.type for decl in scope.globals.values()]
    below += [kind for decl in scope.structs.values() for _, kind in decl.fields]
    below += [kind for array in scope.arrays() for kind in (array, array.element)]
    kinds: list[Scalar] = [*INTS, *INTS, *(Pointer(kind) for kind in below)]
    return draw(st.sampled_from(kinds))


def _cells(structs: Mapping[str, StructDecl], kind: Type, path: str) -> list[tuple[str, Scalar]]:
    match kind:
        case Struct(name):
            return [
                cell
                for name, below in structs[name].fields
                for cell in _cells(structs, below, f"{path}.{name}")
            ]
        case Array(element, length):
            return [
                cell
                for index in range(length)
                for cell in _cells(structs, element, f"{path}[{index}]")
            ]
    return [(path, kind)]


# --- expressions -----------------------------------------------------------


@st.composite
def exprs(draw: st.DrawFn, scope: _Scope, kind: Scalar, depth: int = 2) -> Expr:
    """An expression that may stand where ``kind`` is expected."""

    def sub(wanted: Scalar) -> Expr:
        return draw(exprs(scope, wanted, depth - 1))

    def leaf() -> Expr:
        found: list[Const | Local | GlobalAddress | ThisCpu] = [
            Local(name, known) for name, known in scope.known.items() if same_kind(kind, known)
        ]
        found += [
            GlobalAddress(decl.name, Pointer(decl.type))
            for decl in scope.globals.values()
            if kind == Pointer(decl.type)
        ]
        if same_kind(kind, U32):
            found.append(ThisCpu())
        constant = draw(st.booleans())
        if found and not constant:
            return draw(st.sampled_from(found))
        return draw(constants(kind))

    def cast() -> Expr:
        return Cast(sub(draw(_scalars(scope))), kind)

    def select() -> Expr:
        return Select(sub(BOOL), sub(kind), sub(kind), kind)

    if depth == 0:
        return leaf()
    ways = [leaf, leaf, cast, select]
    ways += _int_ways(draw, scope, kind, sub) if isinstance(kind, Int) else []
    ways += 2 * _address_ways(scope, kind, sub) if isinstance(kind, Pointer) else []
    return draw(st.sampled_from(ways))()


def _int_ways(
    draw: st.DrawFn, scope: _Scope, kind: Int, sub: Callable[[Scalar], Expr]
) -> list[Callable[[], Expr]]:
    whole = kind.whole

    def unary() -> Expr:
        return Unary(draw(st.sampled_from(["neg", "inv"])), sub(whole), whole)

    def arithmetic() -> Expr:
        op = draw(st.sampled_from(ARITHMETIC))
        amount = draw(st.sampled_from([U8, U32])) if op in ("shl", "shr") else whole
        return Binary(op, sub(whole), sub(amount), whole)

    def bits() -> Expr:
        return Unary(draw(st.sampled_from(["popcount", "ffs"])), sub(U64), whole)

    def compare() -> Expr:
        operand = draw(_scalars(scope))
        return Binary(draw(st.sampled_from(COMPARISONS)), sub(operand), sub(operand), BOOL)

    def logic() -> Expr:
        op = draw(st.sampled_from(LOGIC))
        return Binary(op, sub(BOOL), sub(BOOL), BOOL)

    def negation() -> Expr:
        return Unary("not", sub(BOOL), BOOL)

    def inside() -> Expr:
        return InRegion(sub(U32), draw(st.sampled_from(REGIONS)))

    ways = [unary, arithmetic]
    if whole.maximum >= 64:
        ways.append(bits)
    if whole == BOOL:
        ways += [compare, logic, negation, inside]
    return ways


def _address_ways(
    scope: _Scope, kind: Pointer, sub: Callable[[Scalar], Expr]
) -> list[Callable[[], Expr]]:
    def member(struct: str, name: str) -> Callable[[], Expr]:
        return lambda: FieldAddress(sub(Pointer(Struct(struct))), struct, name, kind)

    def element(array: Array) -> Callable[[], Expr]:
        return lambda: IndexAddress(sub(Pointer(array)), sub(U32), array.length, kind)

    ways = [
        member(decl.name, name)
        for decl in scope.structs.values()
        for name, below in decl.fields
        if below == kind.target
    ]
    return ways + [element(array) for array in scope.arrays() if array.element == kind.target]


# --- functions -------------------------------------------------------------


@st.composite
def _instructions(
    draw: st.DrawFn, scope: _Scope, variables: Mapping[str, Scalar], sort: Sort
) -> Instruction:
    loc = draw(locations())
    target = draw(st.sampled_from(list(variables)))
    kind = variables[target]

    def value(wanted: Scalar) -> Expr:
        return draw(exprs(scope, wanted))

    def arguments() -> tuple[Expr, ...]:
        kinds = draw(st.lists(_scalars(scope), max_size=2))
        return tuple(value(wanted) for wanted in kinds)

    def call() -> Instruction:
        allowed = {
            "plain": ("plain", "atomic", "observer"),
            "atomic": ("atomic", "observer"),
            "observer": ("observer",),
        }[sort]
        names = [name for name, made in scope.sorts.items() if made in allowed]
        if not names:
            return Count("nobody to call", loc)
        callee = scope.functions[draw(st.sampled_from(names))]
        given = tuple(value(callee.variables[name]) for name in callee.parameters)
        takers: list[str | None] = [None]
        if callee.result is not None:
            takers += [name for name, own in variables.items() if same_kind(own, callee.result)]
        return Call(draw(st.sampled_from(takers)), callee.name, given, loc)

    def rmw() -> Instruction:
        ops = RMW_OPS if isinstance(kind, Int) else ("xchg",)
        taker = draw(st.sampled_from([None, target]))
        return Rmw(taker, draw(st.sampled_from(ops)), value(Pointer(kind)), value(kind), loc)

    def region() -> str:
        return draw(st.sampled_from(REGIONS))

    ways: list[Callable[[], Instruction]] = [
        lambda: Assign(target, value(kind), loc),
        lambda: Load(target, value(Pointer(kind)), loc),
        lambda: Assert(value(BOOL), draw(_awkward), draw(texts), arguments(), loc),
        lambda: Count(draw(texts), loc),
        lambda: Sometimes(draw(texts), loc),
        call,
    ]
    if sort != "observer":
        ways += [
            lambda: Store(value(Pointer(kind)), value(kind), loc),
            rmw,
            lambda: CmpXchg(target, value(Pointer(kind)), value(kind), value(kind), loc),
            lambda: Fence(loc),
            lambda: Assume(value(BOOL), loc),
            lambda: Print(draw(texts), arguments(), loc),
            lambda: Enter(region(), loc),
            lambda: Leave(region(), loc),
        ]
        if isinstance(kind, Int):
            ways.append(lambda: Choose(target, value(kind), value(kind), loc))
    if sort == "plain":
        ways.append(lambda: Step(loc))
    return draw(st.sampled_from(ways))()


@st.composite
def _functions(
    draw: st.DrawFn,
    scope: _Scope,
    name: str,
    sort: Sort,
    parameters: Sequence[Scalar] | None = None,
    result: Scalar | None = None,
) -> Function:
    if parameters is None:
        parameters = draw(st.lists(_scalars(scope), max_size=2))
        result = draw(st.none() | _scalars(scope))
    given = dict(zip(_names("p", len(parameters)), parameters, strict=True))
    local_names = [draw(_awkward), *_names("v", draw(st.integers(0, 3)))]
    variables = {**given, **{local: draw(_scalars(scope)) for local in local_names}}
    labels = [draw(_awkward), *_names("b", draw(st.integers(0, 3)))]
    # What has a value at the end of the entry has one in all later blocks, but
    # a branch may lead back to the entry, where only parameters have one.
    everywhere = given
    blocks: list[Block] = []
    for number, label in enumerate(labels):
        scope.known = dict(everywhere)
        lines: list[Instruction] = []
        for _ in range(draw(st.integers(0, 3))):
            line = draw(_instructions(scope, variables, sort))
            lines.append(line)
            target = getattr(line, "target", None)
            if target is not None:
                scope.known[target] = variables[target]
        if number == 0:
            everywhere = dict(scope.known)
        ending = draw(_terminators(scope, labels, number, result))
        blocks.append(Block(label, tuple(lines), ending))
    scope.known = {}
    loc = draw(locations())
    return Function(name, tuple(given), variables, result, tuple(blocks), sort != "plain", loc)


@st.composite
def _terminators(
    draw: st.DrawFn, scope: _Scope, labels: Sequence[str], number: int, result: Scalar | None
) -> Terminator:
    """Leads to the next block at least, so that every block is reachable."""
    loc = draw(locations())
    if number + 1 == len(labels):
        return Return(None if result is None else draw(exprs(scope, result)), loc)
    following = labels[number + 1]
    if draw(st.booleans()):
        return Jump(following, loc)
    other = draw(st.sampled_from(labels))
    ways = draw(st.permutations([following, other]))
    return Branch(draw(exprs(scope, BOOL)), ways[0], ways[1], loc)


# --- programs --------------------------------------------------------------


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """A program that :func:`pmaplab.ir.verify.verify` accepts."""
    scope = _Scope()
    struct_names = [draw(_awkward), *_names("s", draw(st.integers(0, 2)))]
    for number, name in enumerate(struct_names):
        field_names = _names("f", draw(st.integers(1, 3)))
        members = tuple(
            (member, draw(_types(struct_names[:number], struct_names))) for member in field_names
        )
        scope.structs[name] = StructDecl(name, members, draw(locations()))
    for name in [draw(_awkward), *_names("g", draw(st.integers(0, 2)))]:
        kind = draw(_types(struct_names, struct_names))
        scope.globals[name] = GlobalDecl(name, kind, {}, draw(locations()))
    for decl in list(scope.globals.values()):
        scope.globals[decl.name] = draw(_initialized(scope, decl))
    for name in [draw(_awkward), *_names("f", draw(st.integers(0, 2)))]:
        sort: Sort = draw(st.sampled_from(["plain", "atomic", "observer"]))
        _declare(scope, draw(_functions(scope, name, sort)), sort)
    _declare(scope, draw(_functions(scope, "holds", "observer", [U32])), "observer")
    _declare(scope, draw(_functions(scope, "counts", "observer", [U32], BOOL)), "observer")
    _declare(scope, draw(_functions(scope, "main", "plain", [])), "plain")
    cpus = draw(st.integers(1, 3))
    contexts = st.sampled_from(["thread", "IPI 0xf3"])
    return Program(
        structs=scope.structs,
        globals=scope.globals,
        functions=scope.functions,
        agents=tuple(
            Agent(name, draw(st.integers(0, cpus - 1)), draw(contexts), "main")
            for name in draw(st.lists(_awkward, unique=True, max_size=2))
        ),
        regions=REGIONS,
        invariants=tuple(
            Invariant(name, "holds", tuple(draw(st.lists(st.sampled_from(REGIONS), max_size=2))))
            for name in draw(st.lists(texts, max_size=2))
        ),
        must_reach=tuple(draw(st.lists(texts, max_size=2))),
        cpus=cpus,
        exempt_when=dict.fromkeys(draw(st.lists(st.sampled_from(REGIONS), unique=True)), "counts"),
    )


def _declare(scope: _Scope, function: Function, sort: Sort) -> None:
    scope.functions[function.name] = function
    scope.sorts[function.name] = sort


@st.composite
def _initialized(draw: st.DrawFn, scope: _Scope, decl: GlobalDecl) -> GlobalDecl:
    cells = _cells(scope.structs, decl.type, "")
    chosen = draw(st.lists(st.sampled_from(cells), unique_by=lambda cell: cell[0], max_size=3))
    initial: dict[str, Const | GlobalAddress] = {}
    for path, kind in chosen:
        addresses = [
            GlobalAddress(other.name, kind)
            for other in scope.globals.values()
            if kind == Pointer(other.type) and isinstance(kind, Pointer)
        ]
        values = st.sampled_from(addresses) | constants(kind) if addresses else constants(kind)
        initial[path] = draw(values)
    return GlobalDecl(decl.name, decl.type, initial, decl.loc)
