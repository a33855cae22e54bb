"""What an expression is lowered to, and what its parts are called."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from pmaplab.errors import Location
from pmaplab.ir.nodes import Expr
from pmaplab.ir.types import Scalar, Type

ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.FloorDiv: "div",
    ast.Mod: "mod",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
    ast.LShift: "shl",
    ast.RShift: "shr",
}
COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.Is: "eq",
    ast.IsNot: "ne",
}


@dataclass(frozen=True)
class Value:
    """A lowered expression.

    ``place`` says that ``expr`` is the address of an object of type ``kind``
    in memory; otherwise it is the value itself.  A ``literal`` has no type of
    its own and takes that of its surroundings; an ``open`` one, such as ~0xFFF,
    is made anew once they are known.
    """

    expr: Expr
    kind: Type
    place: bool = False
    literal: bool = False
    open: bool = False


@dataclass(frozen=True)
class Signature:
    """What callers of a function need to know."""

    parameters: tuple[tuple[str, Scalar], ...]
    result: Scalar | None
    atomic: bool
    location: Location


def construct(node: ast.expr) -> str:
    """How messages call a construct."""
    return {
        "Lambda": "a lambda",
        "ListComp": "a comprehension",
        "Dict": "a dictionary",
        "List": "a list",
        "Set": "a set",
        "Tuple": "a tuple",
        "JoinedStr": "an f-string",
        "NamedExpr": "an assignment inside of an expression",
        "Await": "await",
        "Yield": "yield",
        "Starred": "*",
        "Constant": "this literal",
        "Compare": "this comparison",
        "BinOp": "this operator",
    }.get(type(node).__name__, type(node).__name__)
