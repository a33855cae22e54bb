"""Which cells of a state belong together, at first: the components.

Whatever the split, the search finds the same; it decides how often a step that
ran before is met again.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from pmaplab.ir.footprint import written_cells
from pmaplab.ir.layout import Layout
from pmaplab.ir.types import Array

# The runtime has bits for so many.
MOST = 62


def components(layout: Layout) -> Iterator[list[list[int]]]:
    """Each agent's part, then the memory by object; where these are too many, the
    arrays with most elements stay whole, and all of it where there are too many
    contents for the runtime."""
    program = layout.program
    stack = layout.size - layout.agents[-1] if layout.agents else 0
    regions = [layout.regions + cpu for cpu in range(program.cpus)]
    parts = [list(range(base, base + stack)) for base in layout.agents]
    parts += [[cell] for cell in regions]
    written = written_cells(layout).difference(regions)
    memory = [
        [kept for cells in element if (kept := [cell for cell in cells if cell in written])]
        for element in _by_object(layout)
    ]
    memory = [elements for elements in memory if elements]
    room = MOST - len(parts) - len(memory)
    if room >= 0:
        yield parts + _split(memory, room)
        yield parts + [list(chain.from_iterable(elements)) for elements in memory]
    yield parts + ([sorted(written)] if written else [])


def _split(memory: list[list[list[int]]], room: int) -> list[list[int]]:
    """Globals, those with few elements by element: what each CPU has comes before
    what each page has.  ``room`` is for so many more than there are globals."""
    result: list[list[int]] = []
    for elements in sorted(memory, key=len):
        if len(elements) - 1 <= room:
            room -= len(elements) - 1
            result += elements
        else:
            result.append(list(chain.from_iterable(elements)))
    return result


def _by_object(layout: Layout) -> list[list[list[int]]]:
    """For each global, the cells of its elements, or of all of it."""
    result: list[list[list[int]]] = []
    for decl in layout.program.globals.values():
        base, kind = layout.bases[decl.name], decl.type
        count = kind.length if isinstance(kind, Array) else 1
        size = layout.size_of(kind) // count
        spans = [range(base + i * size, base + (i + 1) * size) for i in range(count)]
        result.append([list(span) for span in spans])
    return result
