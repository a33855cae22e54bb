"""Names with their types and values: structures, objects, constants."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from pmaplab.errors import did_you_mean
from pmaplab.frontends.kernel_python.declarations import Declaration, Declarations, is_name, string
from pmaplab.frontends.kernel_python.source import SourceFile
from pmaplab.ir.nodes import Const, GlobalAddress, GlobalDecl, StructDecl
from pmaplab.ir.types import (
    BOOL,
    I32,
    I64,
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
)

INTEGERS: dict[str, Int] = {
    "bool": BOOL,
    "u8": U8,
    "u16": U16,
    "u32": U32,
    "u64": U64,
    "i32": I32,
    "i64": I64,
}
_NO_INDICES: Mapping[str, int] = {}


def _divided(left: int, right: int) -> int:
    """C's quotient, towards 0."""
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: int, right: int) -> int:
    return left - right * _divided(left, right)


_OPERATORS: dict[type[ast.AST], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: _divided,
    ast.Mod: _remainder,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


@dataclass(frozen=True)
class Constant:
    """A named number; without a type it takes that of its surroundings."""

    value: int
    type: Int | None


@dataclass
class Scope:
    """The declarations of a system, resolved on demand.

    ``options`` are the numbers that the mode and the bounds give; the ones
    that were asked for are kept in ``options_used``.
    """

    declarations: Declarations
    options: Mapping[str, int]
    options_used: set[str] = field(default_factory=set)
    structs: dict[str, StructDecl] = field(default_factory=dict)
    counters: set[tuple[str, str]] = field(default_factory=set)
    globals: dict[str, GlobalDecl] = field(default_factory=dict)
    owns: dict[str, str] = field(default_factory=dict)
    _constants: dict[str, Constant] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    def resolve(self) -> None:
        """Give every structure, object and constant its type and value."""
        self.declarations.resolve_conditionals(
            lambda source, node: bool(self.constant_expression(source, node))
        )
        for declaration in self.declarations.names.values():
            if declaration.kind == "struct":
                self.struct(declaration.name)
            elif declaration.kind == "constant":
                self.constant(declaration.name)
        for declaration in self.declarations.names.values():
            if declaration.kind == "object":
                self._object(declaration)
        for name, array in self.owns.items():
            self._check_own(self.declarations.names[name], array)

    # --- names -------------------------------------------------------------

    def find(self, name: str, kind: str) -> Declaration | None:
        declaration = self.declarations.names.get(name)
        return declaration if declaration is not None and declaration.kind == kind else None

    def unknown(self, source: SourceFile, node: ast.AST, name: str, *more: str) -> NoReturn:
        """Raise the error for a name that is not declared as what it is used for."""
        declaration = self.declarations.names.get(name)
        if declaration is not None:
            place = declaration.source.location(declaration.node)
            source.fail(
                node,
                f"{name} is {with_article(declaration.kind)}: it cannot stand here",
                f"see {place}",
            )
        known = [*self.declarations.names, *more]
        source.fail(
            node,
            f"{name} is not declared",
            did_you_mean(name, known) or "import its module, or declare it",
        )

    # --- constants ---------------------------------------------------------

    def constant(self, name: str) -> Constant | None:
        """The constant called ``name``, or None."""
        declaration = self.find(name, "constant")
        if declaration is None:
            return None
        if name not in self._constants:
            source, node = declaration.source, declaration.node
            assert isinstance(node, ast.AnnAssign)
            if node.value is None:
                source.fail(node, f"the constant {name} has no value")
            if name in self._open:
                source.fail(node, f"the constant {name} depends on itself")
            kind: Int | None = None
            if isinstance(node.annotation, ast.Subscript):
                found = self.type_of(source, node.annotation.slice)
                if not isinstance(found, Int):
                    source.fail(node.annotation, "a constant is an integer")
                kind = found
            self._open.append(name)
            value = self.constant_expression(source, node.value)
            self._open.pop()
            if kind is not None and not kind.minimum <= value <= kind.maximum:
                source.fail(node.value, f"the value {value} does not fit into {kind}")
            self._constants[name] = Constant(value, kind)
        return self._constants[name]

    def constant_expression(
        self, source: SourceFile, node: ast.expr, indices: Mapping[str, int] = _NO_INDICES
    ) -> int:
        """The value of an expression of literals, options, constants and ``indices``."""
        match node:
            case ast.Constant(value=int() as value):
                return int(value)
            case ast.Name(id=name) if name in indices:
                return indices[name]
            case ast.Name(id=name):
                constant = self.constant(name)
                if constant is not None:
                    return constant.value
                if name in self.declarations.names:
                    source.fail(node, f"{name} is no constant", "only constants are known here")
                self.unknown(source, node, name)
            case ast.Call(func=ast.Name(id="option"), args=[argument]):
                return self._option(source, argument)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.constant_expression(source, operand, indices)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return int(not self.constant_expression(source, operand, indices))
            case ast.BoolOp(op=op, values=values):
                # The rest is looked at only where it counts, as in C.
                found = (self.constant_expression(source, value, indices) for value in values)
                return int(all(found) if isinstance(op, ast.And) else any(found))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return self._calculate(source, node, op, left, right, indices)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
                return self._calculate(source, node, op, left, right, indices)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                taken = body if self.constant_expression(source, test, indices) else orelse
                return self.constant_expression(source, taken, indices)
        source.fail(
            node,
            "the value must be known before the kernel runs",
            "use literals, constants and option(...)",
        )

    def _calculate(
        self,
        source: SourceFile,
        node: ast.expr,
        op: ast.AST,
        left: ast.expr,
        right: ast.expr,
        indices: Mapping[str, int],
    ) -> int:
        a = self.constant_expression(source, left, indices)
        b = self.constant_expression(source, right, indices)
        return self.calculate(source, node, op, a, b)

    def calculate(self, source: SourceFile, node: ast.expr, op: ast.AST, a: int, b: int) -> int:
        """``a op b`` without a limit to its size."""
        if isinstance(op, ast.FloorDiv | ast.Mod) and b == 0:
            source.fail(node, "division by zero")
        if isinstance(op, ast.LShift | ast.RShift) and not 0 <= b < 64:
            source.fail(node, f"a shift by {b} is not defined")
        return int(_OPERATORS[type(op)](a, b))

    def _option(self, source: SourceFile, argument: ast.expr) -> int:
        name = string(source, argument)
        if name not in self.options:
            source.fail(
                argument,
                f"there is no option {name!r}",
                did_you_mean(name, self.options, repr) or f"there are: {sorted(self.options)}",
            )
        self.options_used.add(name)
        return self.options[name]

    # --- types -------------------------------------------------------------

    def type_of(self, source: SourceFile, node: ast.expr) -> Type:
        """The type that an annotation names; a structure stays a structure."""
        match node:
            case ast.Name(id=name) if name in INTEGERS:
                return INTEGERS[name]
            case ast.Name(id=name) if self.find(name, "type"):
                declaration = self.declarations.names[name]
                assert isinstance(declaration.node, ast.AnnAssign)
                if declaration.node.value is None:
                    declaration.source.fail(declaration.node, f"the type {name} has no value")
                if name in self._open:
                    declaration.source.fail(declaration.node, f"the type {name} contains itself")
                self._open.append(name)
                result = self.type_of(declaration.source, declaration.node.value)
                self._open.pop()
                return result
            case ast.Name(id=name) if self.find(name, "struct"):
                return Struct(name)
            case ast.Name(id="int"):
                source.fail(node, "int has no width", "use u32, u64, i32, ...")
            case ast.Name(id=name):
                self.unknown(source, node, name, *INTEGERS)
            case ast.Constant(value=str() as text):
                try:
                    inner = ast.parse(text, mode="eval").body
                except SyntaxError:
                    source.fail(node, f"{text!r} is no type")
                for part in ast.walk(inner):
                    ast.copy_location(part, node)
                return self.type_of(source, inner)
            case ast.Subscript(value=head, slice=target) if is_name(head, "ptr"):
                return Pointer(self.type_of(source, target))
            case ast.Subscript(value=head, slice=ast.Tuple(elts=[kind, extra])) if is_name(
                head, "Annotated"
            ):
                return self._annotated(source, kind, extra)
        source.fail(
            node,
            f"{ast.unparse(node)} is no type of kernel Python",
            "u8..u64, i32, i64, bool, a structure, ptr[T], Annotated[list[T], LENGTH], "
            "Annotated[u32, Range(LO, HI)]",
        )

    def _annotated(self, source: SourceFile, kind: ast.expr, extra: ast.expr) -> Type:
        match kind, extra:
            case ast.Subscript(value=head, slice=element), _ if is_name(head, "list"):
                length = self.constant_expression(source, extra)
                if not 1 <= length <= 1 << 20:
                    source.fail(extra, f"an array cannot have {length} elements")
                return Array(self.type_of(source, element), length)
            case _, ast.Call(func=head, args=[low, high]) if is_name(head, "Range"):
                base = self.type_of(source, kind)
                lo = self.constant_expression(source, low)
                hi = self.constant_expression(source, high)
                if not isinstance(base, Int) or base.ranged:
                    source.fail(kind, "a range needs an integer type")
                if not base.minimum <= lo <= hi <= base.maximum:
                    source.fail(extra, f"the range {lo}..{hi} does not fit into {base}")
                return Int(base.bits, base.signed, lo, hi)
        source.fail(
            extra,
            "Annotated is for arrays and ranges only",
            "write Annotated[list[T], LENGTH] or Annotated[u32, Range(LO, HI)]",
        )

    def value_type(self, source: SourceFile, node: ast.expr) -> Scalar:
        """The type of a parameter, a local or a result: structures are passed
        by address."""
        kind = self.type_of(source, node)
        if isinstance(kind, Struct):
            return Pointer(kind)
        if isinstance(kind, Array):
            source.fail(node, "an array cannot be passed or returned", "pass the structure")
        return kind

    def struct(self, name: str) -> StructDecl:
        """The structure ``name`` with its fields."""
        if name in self.structs:
            return self.structs[name]
        declaration = self.declarations.names[name]
        source, node = declaration.source, declaration.node
        assert isinstance(node, ast.ClassDef)
        if node.bases or node.keywords or node.decorator_list:
            source.fail(
                node, f"the structure {name} has bases or decorators", "declare fields only"
            )
        if name in self._open:
            source.fail(node, f"the structure {name} contains itself", "use ptr[...]")
        self._open.append(name)
        fields: list[tuple[str, Type]] = []
        for index, statement in enumerate(node.body):
            match statement:
                case ast.AnnAssign(target=ast.Name(id=field_name), value=None):
                    if any(field_name == other for other, _ in fields):
                        source.fail(statement, f"the field {field_name} is declared twice")
                    if is_name(statement.annotation, "counter"):
                        self.counters.add((name, field_name))
                        continue
                    kind = self.type_of(source, statement.annotation)
                    inner = kind
                    while isinstance(inner, Array):
                        inner = inner.element
                    if isinstance(inner, Struct):
                        self.struct(inner.name)
                    fields.append((field_name, kind))
                case ast.Expr(value=ast.Constant(value=str())) if index == 0:
                    pass
                case ast.Pass():
                    pass
                case _:
                    source.fail(
                        statement,
                        f"a structure holds fields only, not {type(statement).__name__}",
                        "write `field: TYPE`; initial values stand in static(...)",
                    )
        self._open.pop()
        if not fields:
            source.fail(node, f"the structure {name} has no fields")
        self.structs[name] = StructDecl(name, tuple(fields), source.location(node))
        return self.structs[name]

    # --- objects -----------------------------------------------------------

    def _object(self, declaration: Declaration) -> None:
        source, node, name = declaration.source, declaration.node, declaration.name
        assert isinstance(node, ast.AnnAssign)
        match node.value:
            case ast.Call(func=func, args=[ast.Name(id=array)]) if is_name(func, "own"):
                if self.find(array, "object") is None:
                    self.unknown(source, node.value.args[0], array)
                self.owns[name] = array
                return
            case None:
                source.fail(node, f"the object {name} has no value", "write `= static()`")
        kind = self.type_of(source, node.annotation)
        initial: dict[str, Const | GlobalAddress] = {}
        assert node.value is not None
        self._initialize(source, node.value, kind, "", initial, {})
        self.globals[name] = GlobalDecl(name, kind, initial, source.location(node))

    def _check_own(self, declaration: Declaration, array: str) -> None:
        source, node = declaration.source, declaration.node
        assert isinstance(node, ast.AnnAssign)
        kind = self.type_of(source, node.annotation)
        found = self.globals[array].type if array in self.globals else None
        if not isinstance(found, Array) or found.element != kind:
            source.fail(node, f"{array} is no array of {ast.unparse(node.annotation)}")

    def _initialize(
        self,
        source: SourceFile,
        node: ast.expr,
        kind: Type,
        path: str,
        initial: dict[str, Const | GlobalAddress],
        indices: dict[str, int],
    ) -> None:
        """Add the cells that an initial value sets."""
        match node, kind:
            case ast.Call(func=func, args=[], keywords=keywords), Struct() | Array() if is_name(
                func, "static"
            ):
                if keywords and isinstance(kind, Array):
                    source.fail(node, "an array takes [static(...) for i in range(...)]")
                for keyword in keywords:
                    assert isinstance(kind, Struct)
                    if keyword.arg is None:
                        source.fail(keyword.value, "the fields are named one by one")
                    inner = self.struct(kind.name).field_type(keyword.arg)
                    if inner is None:
                        source.fail(keyword.value, f"{kind.name} has no field {keyword.arg}")
                    self._initialize(
                        source, keyword.value, inner, f"{path}.{keyword.arg}", initial, indices
                    )
            case (
                ast.ListComp(
                    elt=element,
                    generators=[
                        ast.comprehension(
                            target=ast.Name(id=variable),
                            iter=ast.Call(func=func, args=[count]),
                            ifs=[],
                        )
                    ],
                ),
                Array(element=inner, length=length),
            ) if is_name(func, "range"):
                if self.constant_expression(source, count) != length:
                    source.fail(count, f"the array has {length} elements")
                for index in range(length):
                    self._initialize(
                        source,
                        element,
                        inner,
                        f"{path}[{index}]",
                        initial,
                        {**indices, variable: index},
                    )
            case ast.Name(id="NULL"), Pointer():
                pass
            case ast.Name(id=target), Pointer() if self.find(target, "object"):
                initial[path] = self._address(source, node, target, kind)
            case _, Int():
                value = self.constant_expression(source, node, indices)
                if not kind.minimum <= value <= kind.maximum:
                    source.fail(node, f"the value {value} does not fit into {kind}")
                initial[path] = Const(value, kind)
            case _:
                source.fail(
                    node,
                    f"this is no initial value for {spelled(kind)}",
                    "static(field=VALUE, ...), a constant, or the name of an object",
                )

    def _address(
        self, source: SourceFile, node: ast.expr, target: str, kind: Pointer
    ) -> GlobalAddress:
        declaration = self.declarations.names[target]
        assert isinstance(declaration.node, ast.AnnAssign)
        value = declaration.node.value
        if isinstance(value, ast.Call) and is_name(value.func, "own"):
            source.fail(node, f"{target} is another object on every CPU")
        found = Pointer(self.type_of(declaration.source, declaration.node.annotation))
        if found != kind:
            source.fail(node, f"{target} is {spelled(found.target)}, not {spelled(kind.target)}")
        return GlobalAddress(target, found)


def with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aio' else 'a'} {noun}"


def spelled(kind: Type) -> str:
    """``kind`` in words, for messages."""
    if isinstance(kind, Pointer) and not str(kind.target):
        return "NULL"
    return with_article(_noun(kind))


def _noun(kind: Type) -> str:
    match kind:
        case Pointer(target=target):
            return f"pointer to {_noun(target)}"
        case Array(element=element, length=length):
            return f"array of {length} {_noun(element)}"
    return str(kind)
