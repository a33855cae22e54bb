"""Which cells of a state belong together, at first: the components.

Whatever the split, the search finds the same; it decides how often a step that
ran before is met again.
"""

from __future__ import annotations

from collections.abc import Iterator

from pmaplab.ir.access import key_of
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.footprint import cells_by_key
from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import Load
from pmaplab.ir.types import Array
from pmaplab.ir.walk import address_of, instructions

# The runtime has bits for so many; a few are left for what is not a memory's.
MOST = 56


def written_cells(layout: Layout) -> set[int]:
    """The cells of the memory that some agent may write; region masks included."""
    program = layout.program
    regions = range(layout.regions, layout.regions + program.cpus)
    known, cells = cells_by_key(layout), set(regions)
    for name in reachable_functions(program, [agent.entry for agent in program.agents]):
        for instruction in instructions(program.functions[name]):
            address = address_of(instruction)
            if address is None or isinstance(instruction, Load):
                continue
            key = key_of(address)
            if key is None:
                return set(range(1, layout.regions + program.cpus))
            cells.update(known.get(key, ()))
    return cells


def components(layout: Layout) -> Iterator[list[list[int]]]:
    """Each agent's part, then the memory by object; by array, or whole, where
    these are too many, or have too many contents for the runtime."""
    program = layout.program
    stack = layout.size - layout.agents[-1] if layout.agents else 0
    parts = [list(range(base, base + stack)) for base in layout.agents]
    written = written_cells(layout)
    regions = [[layout.regions + cpu] for cpu in range(program.cpus)]
    for memory in (_by_object(layout), _by_global(layout)):
        kept = [[cell for cell in cells if cell in written] for cells in memory + regions]
        kept = [cells for cells in kept if cells]
        if len(parts) + len(kept) <= MOST:
            yield parts + kept
    yield parts + ([sorted(written)] if written else [])


def _by_global(layout: Layout) -> list[list[int]]:
    return [
        list(range(layout.bases[decl.name], layout.bases[decl.name] + layout.size_of(decl.type)))
        for decl in layout.program.globals.values()
    ]


def _by_object(layout: Layout) -> list[list[int]]:
    result: list[list[int]] = []
    for decl in layout.program.globals.values():
        base, kind = layout.bases[decl.name], decl.type
        count = kind.length if isinstance(kind, Array) else 1
        size = layout.size_of(kind) // count
        result += [list(range(base + i * size, base + (i + 1) * size)) for i in range(count)]
    return result
