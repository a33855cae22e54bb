"""Checks of what a program takes for granted of who touches what."""

from __future__ import annotations

from pmaplab.errors import IRError, Location
from pmaplab.ir.nodes import HAS, IS, IS_NOT, Held, Owned, Place, Program
from pmaplab.ir.types import Int, Pointer, Scalar, Type
from pmaplab.ir.verify_types import cell_type


def check_owned(program: Program, owned: Owned) -> None:
    """Raises :class:`IRError` for a place, a value or a region that does not exist."""
    loc = owned.loc
    if owned.cpu is not None and not 0 <= owned.cpu < program.cpus:
        raise IRError(f"{owned.name!r}: there is no CPU {owned.cpu}", location=loc)
    if not owned.cells:
        raise IRError(f"{owned.name!r} speaks of no cells", location=loc)
    for place in owned.cells:
        _scalar(program, place, loc)
    for held in owned.when:
        _check_held(program, held, loc)
    if owned.outside and owned.cpu is None:
        raise IRError(f"{owned.name!r} asks for regions, but has no CPU", location=loc)
    for region in owned.outside:
        if region not in program.regions:
            raise IRError(f"{owned.name!r}: unknown region {region!r}", location=loc)


def place_type(program: Program, place: Place, loc: Location | None = None) -> Type:
    """The type of what stands at a place; raises IRError where nothing does."""
    decl = program.globals.get(place.name)
    kind = None if decl is None else cell_type(program, decl.type, place.path)
    if kind is None:
        raise IRError(f"there is nothing at {place.name}{place.path}", location=loc)
    return kind


def _scalar(program: Program, place: Place, loc: Location) -> Scalar:
    kind = place_type(program, place, loc)
    if not isinstance(kind, Int | Pointer):
        raise IRError(
            f"{place.name}{place.path} is a whole {kind}",
            location=loc,
            advice="name its cells one by one",
        )
    return kind


def _check_held(program: Program, held: Held, loc: Location) -> None:
    kind = _scalar(program, held.place, loc)
    where = f"{held.place.name}{held.place.path}"
    if held.relation not in (IS, IS_NOT, HAS):
        raise IRError(f"{where}: there is no relation {held.relation!r}", location=loc)
    if isinstance(held.value, Place):
        target = place_type(program, held.value, loc)
        if kind != Pointer(target) or held.relation == HAS:
            raise IRError(f"{where}, a {kind}, does not point to a {target}", location=loc)
    elif isinstance(kind, Pointer):
        if held.value != 0 or held.relation == HAS:
            raise IRError(f"{where} is a pointer, and no number", location=loc)
    elif not kind.minimum <= held.value <= kind.maximum or (
        held.relation == HAS and not held.value
    ):
        raise IRError(f"{where}, of type {kind}, is never {held.value}", location=loc)
