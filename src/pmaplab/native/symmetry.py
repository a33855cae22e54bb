"""Symmetries for the worker: their numbers, as runtime/main.c reads them, and components
that permutations take to components."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from pmaplab.search.symmetry import WORD, Permutation, Symmetry, ValueMap


def symmetry_numbers(symmetry: Symmetry) -> list[int]:
    """The numbers of a group."""
    maps = len(symmetry.permutations[0].values)
    result = [len(symmetry.permutations), maps, *symmetry.maps, len(symmetry.points)]
    for point in symmetry.points:
        slots = [slot for slot, _ in point.slots]
        result += [point.return_address, len(slots), *slots, *(n for _, n in point.slots)]
    for p in symmetry.permutations:
        result += [*p.cells, *p.agents, *p.cpus, *chain.from_iterable(map(_value_map, p.values))]
    return result


def _value_map(values: ValueMap) -> list[int]:
    if values.table is None:
        return [1, len(values.bits), values.other, *values.bits]
    before = [value & WORD for value in values.table]
    after = [value & WORD for value in values.table.values()]
    return [0, len(before), values.mask & WORD, *before, *after]


def closed(
    symmetry: Symmetry, components: Iterator[Sequence[Sequence[int]]]
) -> Iterator[Sequence[Sequence[int]]]:
    """The same, with components of the memory put together until the image of each is
    one."""
    memory = len(symmetry.maps)
    for parts in components:
        own = [list(cells) for cells in parts if cells[0] >= memory]
        rest = [list(cells) for cells in parts if cells[0] < memory]
        while (joined := _joined(symmetry.permutations, rest)) != rest:
            rest = joined
        yield own + rest


def _joined(permutations: Sequence[Permutation], parts: list[list[int]]) -> list[list[int]]:
    """What the image of one component touches becomes one."""
    of = {cell: number for number, cells in enumerate(parts) for cell in cells}
    to = list(range(len(parts)))

    def root(number: int) -> int:
        while to[number] != number:
            number = to[number]
        return number

    for p in permutations:
        for cells in parts:
            images = [root(of[p.cells[cell]]) for cell in cells]
            for image in images:
                to[root(image)] = root(images[0])
    result: dict[int, list[int]] = {}
    for number, cells in enumerate(parts):
        result.setdefault(root(number), []).extend(cells)
    return list(result.values())
