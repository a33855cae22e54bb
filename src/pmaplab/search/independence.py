"""What agents can do to each other: the tables behind the partial-order reduction.

From ``ir/effects``: for each cell the agents that may ever touch or write it, and
the units that may see it.  A *unit* is an invariant asked for one CPU.  Agents,
units and regions are bits of sets.  docs/reductions.md has the argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.effects import Effect, Effects, bits, union
from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import INTERRUPT, THREAD, InRegion, Program, Sometimes
from pmaplab.ir.walk import instructions, operands, subexpressions
from pmaplab.machine.interrupts import FLAG, INTERRUPTED, REGISTERS, stands_still
from pmaplab.search.closure import (
    closed_effects,
    closed_guards,
    closed_reads,
    regions_that_differ,
)
from pmaplab.search.ownership import Rules
from pmaplab.search.symmetry import Symmetry

# Steps that no other agent can take part in are run on end; where there are so many, the
# state before the first one is kept, so that a loop of them is no loop of the search.
MOST_PASSED = 1000


@dataclass(frozen=True, slots=True)
class Unit:
    """An invariant asked for a CPU.  ``exempt`` are the regions in which a failure
    does not count, ``always`` those of them where that has no further condition, or
    none where the invariant also passes labels.  ``asks`` has by CPU the regions that make
    a difference to it."""

    invariant: int
    cpu: int
    exempt: int
    always: int
    asks: tuple[int, ...]


@dataclass(frozen=True)
class Independence:
    """``touch`` and ``write`` have by cell who may touch it, and write it; ``seen``
    which units may read it.  ``guard`` has by agent the cell that says that it
    stands still, or 0; ``leavers`` and ``enterers`` by CPU and region which of the
    CPU's agents may leave and enter it.  ``may`` has by agent what it may do."""

    touch: tuple[int, ...]
    write: tuple[int, ...]
    seen: tuple[int, ...]
    guard: tuple[int, ...]
    units: tuple[Unit, ...]
    leavers: tuple[tuple[int, ...], ...]
    enterers: tuple[tuple[int, ...], ...]
    may: tuple[Effect, ...]

    def waits_for(self, reads: Sequence[int]) -> int:
        """Who may write one of the cells."""
        return union(self.write[cell] for cell in reads)

    def differs(self, unit: int, cpu: int, regions: int) -> bool:
        """Whether it makes a difference to a unit that a CPU enters or leaves some of
        ``regions``."""
        return bool(self.units[unit].asks[cpu] & regions)

    def markers(self, unit: int, cpu: int) -> int:
        """Who may enter or leave a region of a CPU that makes a difference to a unit."""
        regions = bits(self.units[unit].asks[cpu])
        return union(self.leavers[cpu][n] | self.enterers[cpu][n] for n in regions)

    def exempts(self, unit: int, inside: int, used: int) -> int | None:
        """Who may end it that failures of a unit do not count, while the agent that
        asks does not move.

        ``inside`` are the regions in which the unit's CPU is, ``used`` the exemptions
        of which it is known that they are used: that another one is must not be
        missed.  None where failures count.
        """
        of = self.units[unit]
        inside &= of.exempt
        if not inside & of.always or inside & ~used:
            return None
        who = [self.leavers[of.cpu][region] for region in bits(inside & of.always)]
        fewest = min(who, key=int.bit_count)
        others = union(self.enterers[of.cpu][region] for region in bits(of.exempt & ~used))
        return fewest | others


def independence(
    program: Program,
    layout: Layout,
    start: Sequence[int],
    rules: Rules | None = None,
    symmetry: Symmetry | None = None,
) -> Independence:
    """The tables of a program that is about to be searched from ``start``; ``rules`` are
    told who may do what.  Permutations of a ``symmetry`` keep all of the tables."""
    effects = Effects(layout, start, INTERRUPTED)
    permutations = () if symmetry is None else symmetry.permutations
    may = closed_effects(effects.agents, permutations)
    memory = effects.memory
    touch, write, seen = [0] * memory, [0] * memory, [0] * memory
    for agent, effect in enumerate(may):
        for cell in bits(effect.reads | effect.writes):
            touch[cell] |= 1 << agent
        for cell in bits(effect.writes):
            write[cell] |= 1 << agent
    conditions = list(program.exempt_when.values())
    units: list[Unit] = []
    for number, invariant in enumerate(program.invariants):
        exempt, always = 0, 0
        for name in invariant.exempt:
            region = 1 << program.regions.index(name)
            exempt |= region
            if name not in program.exempt_when:
                always |= region
        if _passes_labels(program, [invariant.function, *conditions]):
            always = 0
        if symmetry is not None and exempt & regions_that_differ(symmetry, layout.regions):
            always = 0
        asked = _asked(program, [invariant.function, *conditions])
        functions = [invariant.function, *conditions]
        reads = [effects.observer(functions, cpu).reads for cpu in range(program.cpus)]
        for cpu, cells in enumerate(closed_reads(reads, permutations)):
            for cell in bits(cells | 1 << layout.regions + cpu):
                seen[cell] |= 1 << len(units)
            asks = [
                asked * (cells >> layout.regions + n & 1) | exempt * (n == cpu)
                for n in range(program.cpus)
            ]
            units.append(Unit(number, cpu, exempt, always, tuple(asks)))
    leavers = _by_region(program, [effect.leaves for effect in may])
    enterers = _by_region(program, [effect.enters for effect in may])
    if rules is not None:
        marks = [
            [leave | enter for leave, enter in zip(*by_region, strict=True)]
            for by_region in zip(leavers, enterers, strict=True)
        ]
        rules.may(may, write, marks)
    return Independence(
        tuple(touch),
        tuple(write),
        tuple(seen),
        tuple(closed_guards(_guards(program, layout, may), permutations)),
        tuple(units),
        leavers,
        enterers,
        tuple(may),
    )


def _passes_labels(program: Program, functions: list[str]) -> bool:
    return any(
        isinstance(item, Sometimes)
        for name in reachable_functions(program, functions)
        for item in instructions(program.functions[name])
    )


def _asked(program: Program, functions: list[str]) -> int:
    """The regions for which functions ask."""
    return union(
        1 << program.regions.index(sub.region)
        for name in reachable_functions(program, functions)
        for block in program.functions[name].blocks
        for item in (*block.instructions, block.terminator)
        for expr in operands(item)
        for sub in subexpressions(expr)
        if isinstance(sub, InRegion)
    )


def _guards(program: Program, layout: Layout, effects: Sequence[Effect]) -> list[int]:
    """The flag that lets a thread stand still while its CPU is interrupted, where
    nothing else of the thread looks at it (machine/interrupts)."""
    interrupted = {agent.cpu for agent in program.agents if agent.context == INTERRUPT}
    result = []
    for agent, effect in zip(program.agents, effects, strict=True):
        cell = 0
        if agent.cpu in interrupted and agent.context == THREAD and stands_still(program, agent):
            cell = layout.address(REGISTERS, f"[{agent.cpu}].{FLAG}")
        used = (effect.unguarded | effect.writes) >> cell & 1
        result.append(0 if used else cell)
    return result


def _by_region(program: Program, of: Sequence[frozenset[str]]) -> tuple[tuple[int, ...], ...]:
    return tuple(
        tuple(
            sum(
                1 << agent
                for agent, names in enumerate(of)
                if program.agents[agent].cpu == cpu and region in names
            )
            for region in program.regions
        )
        for cpu in range(program.cpus)
    )


def alone(conflicts: int, agent: int, waits: Sequence[int], off: int, done: int) -> bool:
    """Whether nothing that others can do, while ``agent`` does not move, meets a
    step of it that conflicts with the agents in ``conflicts``.

    ``off`` are the agents that cannot move now, and ``waits`` who may change that,
    by agent; ``done`` those that are at their end.
    """
    if conflicts & ~(off | done):
        return False
    # Who cannot move before the agent does.
    still, settled = off, False
    while not settled:
        settled = True
        for other in bits(still):
            if waits[other] & ~(still | done | 1 << agent):
                still &= ~(1 << other)
                settled = False
    return not conflicts & ~(still | done)
