"""Checks of types, constants, structures and globals."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pmaplab.errors import IRError, Location
from pmaplab.ir.nodes import Const, GlobalAddress, GlobalDecl, Program, StructDecl
from pmaplab.ir.text import MAX_DEPTH
from pmaplab.ir.types import Array, Int, Pointer, Scalar, Struct, Type, same_kind

_PATH_STEP = re.compile(r"\.(\w+)|\[(0|[1-9][0-9]{0,17})\]")


def check_type(program: Program, kind: Type, loc: Location | None, depth: int = 0) -> None:
    """Raises :class:`IRError` unless ``kind`` is well formed and known."""
    if depth > MAX_DEPTH:
        raise IRError(f"a type is nested deeper than {MAX_DEPTH} levels", location=loc)
    match kind:
        case Int():
            _check_int(kind, loc)
        case Pointer(target):
            check_type(program, target, loc, depth + 1)
        case Array(element, length):
            if length < 1:
                raise IRError(f"an array has {length} elements", location=loc)
            check_type(program, element, loc, depth + 1)
        case Struct(name):
            if name not in program.structs:
                raise IRError(f"unknown structure {name!r}", location=loc)


def check_scalar(program: Program, kind: Scalar, loc: Location | None) -> None:
    """Like :func:`check_type`, for what must fit in one cell."""
    if not isinstance(kind, Int | Pointer):
        raise IRError(f"a value cannot have type {kind}", location=loc)
    check_type(program, kind, loc)


def check_const(const: Const, loc: Location | None) -> None:
    """Raises :class:`IRError` where the type cannot hold the constant."""
    match const:
        case Const(value, Int() as kind) if not kind.minimum <= value <= kind.maximum:
            raise IRError(f"{value} is outside of the range of {kind}", location=loc)
        case Const(value, Pointer() as kind) if value != 0:
            raise IRError(
                f"{value} is no constant of type {kind}",
                location=loc,
                advice="the only constant pointer is NULL; name a global for another",
            )


def check_global_address(program: Program, expr: GlobalAddress, loc: Location | None) -> None:
    """Raises :class:`IRError` unless the global exists and has that type."""
    decl = program.globals.get(expr.name)
    if decl is None:
        raise IRError(f"unknown global {expr.name!r}", location=loc)
    if expr.type != Pointer(decl.type):
        raise IRError(
            f"the address of {expr.name} has type {Pointer(decl.type)}, not {expr.type}",
            location=loc,
        )


def check_structs(program: Program) -> None:
    """Raises :class:`IRError` on a structure that cannot be laid out."""
    check_names(program.structs, "structure")
    for decl in program.structs.values():
        if not decl.fields:
            raise IRError(
                f"the structure {decl.name} has no fields",
                location=decl.loc,
                advice="a pointer to it would have no cell to point to",
            )
        names: set[str] = set()
        for name, kind in decl.fields:
            if name in names:
                raise IRError(f"{decl.name} has two fields {name!r}", location=decl.loc)
            names.add(name)
            check_type(program, kind, decl.loc)
    for decl in program.structs.values():
        _check_containment(program, decl)


def check_globals(program: Program) -> None:
    """Raises :class:`IRError` on a global with a bad type or initial value.

    The structures must have passed :func:`check_structs`.
    """
    check_names(program.globals, "global")
    for decl in program.globals.values():
        check_type(program, decl.type, decl.loc)
        for path, value in decl.initial.items():
            _check_initial(program, decl, path, value)


def check_names(decls: Mapping[str, StructDecl | GlobalDecl], what: str) -> None:
    """Raises :class:`IRError` where a declaration stands under another name."""
    for name, decl in decls.items():
        if decl.name != name:
            raise IRError(
                f"the {what} {decl.name!r} stands under the name {name!r}", location=decl.loc
            )


def cell_type(program: Program, kind: Type, path: str) -> Type | None:
    """The type of what ``path`` names below an object, None for nothing."""
    position = 0
    below: Type | None = kind
    while position < len(path):
        step = _PATH_STEP.match(path, position)
        if step is None:
            return None
        position = step.end()
        match below:
            case Struct(name) if step[1] is not None and name in program.structs:
                below = program.structs[name].field_type(step[1])
            case Array(element, length) if step[2] is not None and int(step[2]) < length:
                below = element
            case _:
                return None
    return below


def _check_int(kind: Int, loc: Location | None) -> None:
    if not 1 <= kind.bits <= 64:
        raise IRError(f"an integer has 1 to 64 bits, not {kind.bits}", location=loc)
    whole = kind.whole
    if not whole.minimum <= kind.minimum <= kind.maximum <= whole.maximum:
        raise IRError(
            f"the range of {kind} is empty or wider than {whole}",
            location=loc,
            advice=f"{whole} holds {whole.minimum} to {whole.maximum}",
        )


def _check_containment(program: Program, root: StructDecl) -> None:
    seen: set[str] = set()
    pending = [kind for _, kind in root.fields]
    while pending:
        kind = pending.pop()
        while isinstance(kind, Array):
            kind = kind.element
        if not isinstance(kind, Struct):
            continue
        if kind.name == root.name:
            raise IRError(
                f"the structure {root.name} contains itself",
                location=root.loc,
                advice="let it hold a pointer",
            )
        if kind.name not in seen:
            seen.add(kind.name)
            pending.extend(kind for _, kind in program.structs[kind.name].fields)


def _check_initial(
    program: Program, decl: GlobalDecl, path: str, value: Const | GlobalAddress
) -> None:
    kind = cell_type(program, decl.type, path)
    where = f"{decl.name}{path}"
    if kind is None:
        raise IRError(f"{where} names no cell of {decl.type}", location=decl.loc)
    if not isinstance(kind, Int | Pointer):
        raise IRError(
            f"{where} is a whole {kind}",
            location=decl.loc,
            advice="give its cells their values one by one",
        )
    check_scalar(program, value.type, decl.loc)
    if not same_kind(kind, value.type):
        raise IRError(f"{where} has type {kind}, its value {value.type}", location=decl.loc)
    if isinstance(value, GlobalAddress):
        check_global_address(program, value, decl.loc)
    else:
        check_const(value, decl.loc)
        check_const(Const(value.value, kind), decl.loc)
