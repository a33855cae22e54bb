"""What the reachable states hold in some cells, as sets that can be compared.

The cells are all of memory: the kernel's data, and what the machine has there
(registers, page tables, TLBs, store buffers), without program counters, local
variables, and the marks of regions.  Such a set is told by the number of its
members and a sum of 128 bits over hashes of them, which does not depend on their
order.  Two sets that differ agree in both with a probability of about 2^-128,
and two members have one hash with less than n^2/2^128, as long as the hash
spreads them evenly; nobody chooses them to make it fail.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pmaplab.ir.layout import Layout
from pmaplab.machine.preemption import contexts_of

# The invariant whose exemptions say when a CPU is not at rest, and the mark of one
# that runs threads.
AT_REST = "curpmap_at_rest"
ACTIVATED = "activated"
_WORD = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class RestMarks:
    """A CPU's mark is the cell ``first`` plus its number; it is at rest where that has
    all bits of ``must`` and none of ``must_not``."""

    first: int
    cpus: int
    must: int
    must_not: int


@dataclass(frozen=True, slots=True)
class Projection:
    """``cells`` are indices, each with two salts of 64 bits, which follow from its
    name; ``names`` is a digest of all names in order: only projections with the
    same one can be compared, since pointers are numbers of cells.  ``marks`` say who
    is at rest.
    """

    names: str
    cells: tuple[tuple[int, int, int], ...]
    marks: RestMarks


@dataclass(frozen=True, slots=True)
class Members:
    """A set: the number of its members, and the sum, low and high half."""

    states: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Projected:
    """What all reachable states hold, and those in which every CPU is at rest;
    ``names`` as in the projection."""

    names: str
    all: Members
    at_rest: Members

    def same_at_rest(self, other: Projected) -> bool:
        """Whether both have the same states at rest."""
        return self.names == other.names and self.at_rest == other.at_rest


def projection_of(layout: Layout) -> Projection:
    """The projection to the whole memory of a program."""
    cells = []
    for cell in layout.cells:
        digest = hashlib.sha256(cell.name.encode()).digest()
        salts = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")
        cells.append((cell.index, *salts))
    names = "\n".join(f"{cell.index} {cell.name}" for cell in layout.cells)
    digest_of_all = hashlib.sha256(names.encode()).hexdigest()
    return Projection(digest_of_all, tuple(cells), rest_marks(layout))


def rest_marks(layout: Layout) -> RestMarks:
    """The marks of a program's CPUs."""
    program = layout.program
    bits = {name: 1 << number for number, name in enumerate(program.regions)}
    moving = {
        region
        for invariant in program.invariants
        if invariant.function == AT_REST
        for region in invariant.exempt
    }
    must_not = sum(bits[region] for region in moving)
    # Where threads are preempted, marks are those of contexts, and every CPU runs threads
    # from the first state on.
    must = 0 if contexts_of(program) is not None else bits.get(ACTIVATED, 0)
    return RestMarks(layout.regions, program.cpus, must, must_not)


def rests(marks: RestMarks, memory: Sequence[int]) -> bool:
    """Whether every CPU is at rest in a memory."""
    must, must_not = marks.must, marks.must_not
    own = memory[marks.first : marks.first + marks.cpus]
    return all(mark & must == must and not mark & must_not for mark in own)


def project(projection: Projection, memories: Iterable[Sequence[int]]) -> Projected:
    """The sets of ``memories``, which may have doubles.  runtime/projection.c is the
    same in C."""
    found: set[tuple[int, int]] = set()
    at_rest: set[tuple[int, int]] = set()
    for memory in memories:
        low = high = 0
        for index, first, second in projection.cells:
            value = int(memory[index])
            low += _mix(_mix(value + first) ^ second)
            high += _mix(_mix(value + second) ^ first)
        pair = low & _WORD, high & _WORD
        found.add(pair)
        if rests(projection.marks, memory):
            at_rest.add(pair)
    return Projected(projection.names, _members(found), _members(at_rest))


def _members(pairs: set[tuple[int, int]]) -> Members:
    low = sum(_mix(pair[0] + _mix(pair[1])) for pair in pairs)
    high = sum(_mix(pair[1] + _mix(~pair[0])) for pair in pairs)
    return Members(len(pairs), low & _WORD, high & _WORD)


def _mix(value: int) -> int:
    value &= _WORD
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _WORD
    return value ^ value >> 31
