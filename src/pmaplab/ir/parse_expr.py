"""Types and expressions of IR text."""

from __future__ import annotations

from collections.abc import Mapping

from pmaplab.ir.lexer import Cursor, Kind, Token
from pmaplab.ir.nodes import (
    ARITHMETIC,
    COMPARISONS,
    LOGIC,
    UNARY,
    Binary,
    Cast,
    Const,
    Expr,
    FieldAddress,
    GlobalAddress,
    IndexAddress,
    InRegion,
    Local,
    Select,
    ThisCpu,
    Unary,
)
from pmaplab.ir.text import (
    MAX_DEPTH,
    array_below,
    binary_type,
    int_named,
    struct_below,
    unary_type,
)
from pmaplab.ir.types import BOOL, U32, Array, Int, Pointer, Scalar, Struct, Type

_BINARY = (*ARITHMETIC, *COMPARISONS, *LOGIC)
_OTHERS = ("field", "index", "in_region", "cast", "select", "cpu", "null", "true", "false")


class ExprParser:
    """Reads types and expressions at a cursor; all methods raise IRError.

    ``variables`` are the types of the locals that the text need not repeat.
    """

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.variables: Mapping[str, Scalar] = {}

    # --- types -------------------------------------------------------------

    def type(self, depth: int = 0) -> Type:
        cursor = self.cursor
        token = cursor.peek()
        self._check_depth(depth, token)
        if cursor.accept("*"):
            return Pointer(self.type(depth + 1))
        if cursor.accept("["):
            length = cursor.integer("the length of an array")
            cursor.expect("x", "an array is written [length x type]")
            element = self.type(depth + 1)
            cursor.expect("]")
            return Array(element, length)
        name = cursor.name("a type")
        number = int_named(name) if token.kind is Kind.NAME else None
        return Struct(name) if number is None else self._ranged(number)

    def scalar(self) -> Scalar:
        token = self.cursor.peek()
        kind = self.type()
        if not isinstance(kind, Int | Pointer):
            raise self.cursor.error(
                f"a value cannot have type {kind}", token, "a value is an integer or a pointer"
            )
        return kind

    def _ranged(self, number: Int) -> Int:
        cursor = self.cursor
        # A body may follow a type as well: only a range starts like this.
        ahead = cursor.peek(1).kind is Kind.INTEGER or cursor.at("..", 1)
        if not (cursor.at("{") and ahead):
            return number
        cursor.next()
        lo = None if cursor.at("..") else cursor.integer("a lower bound")
        cursor.expect("..")
        open_end = cursor.at("}") and lo is not None
        hi = None if open_end else cursor.integer("an upper bound")
        cursor.expect("}")
        return Int(number.bits, number.signed, lo, hi)

    # --- expressions -------------------------------------------------------

    def expr(self, depth: int = 0) -> Expr:
        cursor = self.cursor
        token = cursor.peek()
        self._check_depth(depth, token)
        if token.kind is Kind.INTEGER:
            value = cursor.integer("a number")
            if not cursor.at(":"):
                raise cursor.unexpected("':'", "a number needs its type, as in 1:u32")
            return Const(value, self._scalar_suffix(None))
        if cursor.accept("%"):
            name = cursor.name("the name of a local")
            return Local(name, self._local_type(name, token))
        if cursor.accept("@"):
            name = cursor.name("the name of a global")
            return GlobalAddress(name, self._pointer_suffix(None))
        if token.kind is not Kind.NAME:
            raise cursor.unexpected("an expression")
        cursor.next()
        match token.text:
            case "true" | "false":
                return Const(int(token.text == "true"), BOOL)
            case "null":
                return Const(0, self._pointer_suffix(None))
            case "cpu":
                return ThisCpu(self._int_suffix(U32))
            case _:
                return self._operation(token, depth + 1)

    def exprs(self, end: str) -> tuple[Expr, ...]:
        """Expressions between commas, up to and including ``end``."""
        if self.cursor.accept(end):
            return ()
        found = [self.expr()]
        while self.cursor.accept(","):
            found.append(self.expr())
        self.cursor.expect(end)
        return tuple(found)

    def _operation(self, token: Token, depth: int) -> Expr:
        op = token.text
        if op not in UNARY and op not in _BINARY and op not in _OTHERS:
            known = ", ".join((*UNARY, *_BINARY, *_OTHERS))
            raise self.cursor.error(f"unknown operation {op!r}", token, f"there are {known}")
        self.cursor.expect("(")
        first = self.expr(depth)
        match op:
            case "field":
                return self._field(first)
            case "index":
                return self._index(first, depth)
            case "in_region":
                self.cursor.expect(",")
                region = self.cursor.name("the name of a region")
                self.cursor.expect(")")
                return InRegion(first, region, self._int_suffix(BOOL))
            case "cast":
                self.cursor.expect(")")
                return Cast(first, self._scalar_suffix(None))
            case "select":
                then = self._another(depth)
                otherwise = self._another(depth)
                self.cursor.expect(")")
                return Select(first, then, otherwise, self._scalar_suffix(then.type))
        if op in UNARY:
            self.cursor.expect(")")
            return Unary(op, first, self._int_suffix(unary_type(op, first.type)))
        right = self._another(depth)
        self.cursor.expect(")")
        return Binary(op, first, right, self._int_suffix(binary_type(op, first.type)))

    def _another(self, depth: int) -> Expr:
        self.cursor.expect(",")
        return self.expr(depth)

    def _field(self, base: Expr) -> FieldAddress:
        cursor = self.cursor
        cursor.expect(",")
        token = cursor.peek()
        struct, name = struct_below(base.type), cursor.name("the name of a field")
        if cursor.accept("::"):
            struct, name = name, cursor.name("the name of a field")
        if struct is None:
            raise cursor.error(
                f"which structure has the field {name!r}?",
                token,
                f"the base has type {base.type}: write structure::{name}",
            )
        cursor.expect(")")
        return FieldAddress(base, struct, name, self._pointer_suffix(None))

    def _index(self, base: Expr, depth: int) -> IndexAddress:
        cursor = self.cursor
        index = self._another(depth)
        array = array_below(base.type)
        if cursor.accept(","):
            length = cursor.integer("the length of the array")
        elif array is None:
            raise cursor.unexpected(
                "a length", f"the base has type {base.type}: write index(base, number, length)"
            )
        else:
            length = array.length
        cursor.expect(")")
        kind = self._pointer_suffix(Pointer(array.element) if array else None)
        return IndexAddress(base, index, length, kind)

    # --- the type after an expression --------------------------------------

    def _local_type(self, name: str, token: Token) -> Scalar:
        declared = self.variables.get(name)
        if declared is None and not self.cursor.at(":"):
            raise self.cursor.error(
                f"unknown local %{name}", token, f"declare it: var %{name}: type"
            )
        return self._scalar_suffix(declared)

    def _scalar_suffix(self, understood: Scalar | None) -> Scalar:
        if understood is not None and not self.cursor.at(":"):
            return understood
        self.cursor.expect(":", "the type of this expression does not follow: write value:type")
        return self.scalar()

    def _int_suffix(self, understood: Int | None) -> Int:
        token = self.cursor.peek()
        kind = self._scalar_suffix(understood)
        if not isinstance(kind, Int):
            raise self.cursor.error(f"the result is an integer, not a {kind}", token)
        return kind

    def _pointer_suffix(self, understood: Pointer | None) -> Pointer:
        token = self.cursor.peek()
        kind = self._scalar_suffix(understood)
        if not isinstance(kind, Pointer):
            raise self.cursor.error(f"an address is a pointer, not a {kind}", token)
        return kind

    def _check_depth(self, depth: int, token: Token) -> None:
        if depth > MAX_DEPTH:
            raise self.cursor.error(
                f"nested deeper than {MAX_DEPTH} levels", token, "assign a part to a local first"
            )
