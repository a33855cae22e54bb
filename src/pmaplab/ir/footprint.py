"""Which cells of the memory may be read and written, found without running anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pmaplab.ir.access import Key, key_of
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import Load, Program
from pmaplab.ir.types import Array, Struct, Type
from pmaplab.ir.walk import address_of, instructions


def cells_by_key(layout: Layout) -> dict[Key, list[int]]:
    """The cells that each key of pmaplab.ir.access stands for."""
    result: dict[Key, list[int]] = {}
    for decl in layout.program.globals.values():
        base = layout.bases[decl.name]
        for offset, key in enumerate(_keys(layout.program, decl.type, ("@", decl.name))):
            result.setdefault(key, []).append(base + offset)
    return result


def _keys(program: Program, kind: Type, key: Key) -> Iterator[Key]:
    match kind:
        case Struct(name=name):
            for field, inner in program.structs[name].fields:
                yield from _keys(program, inner, (name, field))
        case Array(element=element, length=length):
            yield from [*_keys(program, element, key)] * length
        case _:
            yield key


def may_read(
    layout: Layout, known: Mapping[Key, Sequence[int]], functions: Sequence[str]
) -> tuple[int, ...]:
    """The cells of the memory that ``functions`` may read, in order; the region
    masks are always among them.  ``known`` is what cells_by_key() says."""
    program = layout.program
    regions = range(layout.regions, layout.regions + program.cpus)
    cells = set(regions)
    for name in reachable_functions(program, functions):
        for instruction in instructions(program.functions[name]):
            address = address_of(instruction)
            if address is None:
                continue
            key = key_of(address)
            if key is None:
                return tuple(range(layout.regions + program.cpus))
            cells.update(known.get(key, ()))
    return tuple(sorted(cells))


def written_cells(layout: Layout) -> set[int]:
    """The cells of the memory that some agent may write; region masks included."""
    program = layout.program
    regions = range(layout.regions, layout.regions + program.cpus)
    known, cells = cells_by_key(layout), set(regions)
    for name in reachable_functions(program, program.entries):
        for instruction in instructions(program.functions[name]):
            address = address_of(instruction)
            if address is None or isinstance(instruction, Load):
                continue
            key = key_of(address)
            if key is None:
                return set(range(1, layout.regions + program.cpus))
            cells.update(known.get(key, ()))
    return cells
