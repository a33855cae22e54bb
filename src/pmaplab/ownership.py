"""Whose memory is whose: kernels/freebsd/ownership.toml, which says what the entries
mean, for one program."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from pmaplab.errors import InputError, IRError, Location
from pmaplab.frontends.kernel_python.source import PACKAGE_ROOT, display_name
from pmaplab.ir.nodes import HAS, IS, IS_NOT, Held, Owned, Place, Program
from pmaplab.ir.types import Array, Struct, Type
from pmaplab.ir.verify_owned import check_owned, place_type
from pmaplab.tomldata import Entry, read_toml

FACTS = PACKAGE_ROOT / "kernels/freebsd/ownership.toml"
# A fact of more objects than these is passed over: it would be looked at in every step.
MOST_INSTANCES = 1000
_KEYS = ("name", "reason", "each", "cells", "when", "shared", "outside", "unless", "owner")
_PATH = r"[A-Za-z_]\w*(?:\.\w+|\[(?:\d+|cpu)\])*"
_CELL = re.compile(_PATH)
_WHEN = re.compile(rf"({_PATH}) (?:(is not) (\d+)|(is) ({_PATH})|(has) (cpu))")


@dataclass(frozen=True, slots=True)
class Fact:
    """An entry of the file.  ``each`` has by name the structure; a condition is a cell,
    a relation and what it is compared with."""

    name: str
    reason: str
    each: tuple[tuple[str, str], ...]
    cells: tuple[str, ...]
    when: tuple[tuple[str, str, str], ...]
    shared: bool
    outside: tuple[str, ...]
    unless: tuple[str, ...]
    by_cpu: bool
    loc: Location


@functools.cache
def facts() -> tuple[Fact, ...]:
    """Those of the reference kernel."""
    return read_facts(FACTS, display_name(FACTS))


def read_facts(path: Path, name: str) -> tuple[Fact, ...]:
    """Read a file, with its name for messages.

    Raises InputError, with the line where the entry begins, for one that is not what
    ownership.toml describes.
    """
    file = read_toml(path, name)
    entries = file.tables(("fact",))["fact"]
    lines = [n for n, line in enumerate(file.lines, 1) if line.strip() == "[[fact]]"]
    if len(lines) != len(entries):
        raise InputError(f"{name}: [[fact]] stands on a line of its own")
    result = tuple(
        _fact(entry, Location(name, line)) for entry, line in zip(entries, lines, strict=True)
    )
    known: set[str] = set()
    for fact in result:
        if fact.name in known:
            raise InputError(f"there are two facts {fact.name!r}", location=fact.loc)
        known.add(fact.name)
    return result


def _fact(entry: Entry, loc: Location) -> Fact:
    entry = replace(entry, location=loc)
    entry.only(*_KEYS)
    each, owner = entry.data.get("each", {}), entry.data.get("owner", "cpu")
    if not isinstance(each, dict) or not all(isinstance(v, str) for v in each.values()):
        entry.fail("each is no table of structures by name")
    shared = entry.flag("shared")
    if owner not in ("cpu", "nobody"):
        entry.fail(f'the owner is "cpu" or "nobody", not {owner!r}')
    cells = entry.optional_texts("cells")
    if not cells:
        entry.fail("cells is missing")
    for cell in cells:
        if not _CELL.fullmatch(cell):
            entry.fail(f"{cell!r} is no cell", "write NAME.field[number], or [cpu]")
    return Fact(
        entry.text("name"),
        entry.text("reason"),
        tuple(each.items()),
        cells,
        tuple(_condition(entry, text) for text in entry.optional_texts("when") or ()),
        shared,
        entry.optional_texts("outside") or (),
        entry.optional_texts("unless") or (),
        owner == "cpu",
        loc,
    )


def _condition(entry: Entry, text: str) -> tuple[str, str, str]:
    found = _WHEN.fullmatch(text)
    if found is None:
        entry.fail(
            f"{text!r} is no condition",
            'write "CELL is NAME", "CELL is not 0" or "CELL has cpu"',
        )
    cell, *rest = [part for part in found.groups() if part is not None]
    return cell, {"is": IS, "is not": IS_NOT, "has": HAS}[rest[0]], rest[1]


def with_facts(program: Program, known: tuple[Fact, ...] | None = None) -> Program:
    """``program`` with what is known of its memory, by default of the reference kernel's.

    What it does not have is passed over.
    """
    used = facts() if known is None else known
    used = tuple(f for f in used if not any(name in program.functions for name in f.unless))
    objects = _objects(program, {struct for fact in used for _, struct in fact.each})
    owned = [instance for fact in used for instance in _instances(program, fact, objects)]
    return replace(program, owned=tuple(owned))


def _instances(
    program: Program, fact: Fact, known: Mapping[str, Sequence[Place]]
) -> Iterator[Owned]:
    objects = [known[struct] for _, struct in fact.each]
    if math.prod(map(len, objects)) * program.cpus > MOST_INSTANCES:
        return
    outside = [f"in {name}" for name in fact.outside]
    for cpu in range(program.cpus) if fact.by_cpu else (None,):
        for chosen in itertools.product(*objects):
            names = dict(zip((name for name, _ in fact.each), chosen, strict=True))
            cells = (_place(program, cell, names, cpu) for cell in fact.cells)
            try:
                owned = Owned(
                    fact.name,
                    cpu,
                    tuple(cell for cell in cells if cell is not None),
                    fact.loc,
                    fact.shared,
                    tuple(_held(each, names, cpu) for each in fact.when),
                    tuple(region for region in outside if region in program.regions),
                )
                check_owned(program, owned)
            except IRError:
                # Another kernel's structures.
                continue
            yield owned


def _objects(program: Program, wanted: Set[str]) -> dict[str, list[Place]]:
    """All objects of these structures."""
    result: dict[str, list[Place]] = {name: [] for name in wanted}

    @functools.cache
    def paths(kind: Type) -> list[tuple[str, str]]:
        """Those below an object: the path, and the structure."""
        if isinstance(kind, Array):
            inner = paths(kind.element)
            return [(f"[{n}]{path}", name) for n in range(kind.length) for path, name in inner]
        if not isinstance(kind, Struct):
            return []
        found = [("", kind.name)] if kind.name in wanted else []
        for member, field in program.structs[kind.name].fields:
            found += [(f".{member}{path}", name) for path, name in paths(field)]
        return found

    for decl in program.globals.values():
        for path, name in paths(decl.type):
            result[name].append(Place(decl.name, path))
    return result


def _located(path: str, names: Mapping[str, Place], cpu: int | None) -> Place:
    head, *rest = re.split(r"(?=[.\[])", path, maxsplit=1)
    known = names.get(head, Place(head))
    return Place(known.name, known.path + "".join(rest).replace("[cpu]", f"[{cpu}]"))


def _place(
    program: Program, path: str, names: Mapping[str, Place], cpu: int | None
) -> Place | None:
    """A cell, or None where there is none."""
    place = _located(path, names, cpu)
    try:
        place_type(program, place)
    except IRError:
        return None
    return place


def _held(condition: tuple[str, str, str], names: Mapping[str, Place], cpu: int | None) -> Held:
    path, relation, value = condition
    place = _located(path, names, cpu)
    if relation == HAS:
        if cpu is None:
            raise IRError("nobody has no CPU")
        return Held(place, relation, 1 << cpu)
    if relation == IS_NOT:
        return Held(place, relation, int(value))
    return Held(place, relation, _located(value, names, cpu))
