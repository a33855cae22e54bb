"""Running a litmus test: its final states, and what they say of its condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pmaplab.frontends.litmus.conditions import EXISTS, FORALL, NOT_EXISTS, Place, holds
from pmaplab.frontends.litmus.lower import Lowered, lower
from pmaplab.frontends.litmus.model import ALLOWED, FORBIDDEN, LitmusTest
from pmaplab.ir.cut import cut
from pmaplab.ir.layout import Layout
from pmaplab.ir.verify import verify
from pmaplab.machine.modes import SC, TSO
from pmaplab.machine.tso import LARGEST_BOUND, tso
from pmaplab.search.bfs import search
from pmaplab.search.interpreter import State
from pmaplab.search.result import Limits
from pmaplab.system import System

MEMORIES = (TSO, SC)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the search of a test found.

    ``states`` are the final states as text; ``positive`` and ``negative``
    count those with and without the condition's formula.  ``store_buffer`` is
    the bound under tso, None under sc; ``full`` tells that a buffer may fill,
    so that some behaviours of x86-TSO are left out.  ``stopped`` says why the
    search is incomplete, if it is.
    """

    name: str
    published: str | None
    quantifier: str
    condition: str
    states: tuple[str, ...]
    positive: int
    negative: int
    memory: str
    store_buffer: int | None
    full: bool
    explored: int
    stopped: str | None

    @property
    def reachable(self) -> bool | None:
        """Whether some final state satisfies the formula; None for unknown."""
        return True if self.positive else None if self.stopped else False

    @property
    def validated(self) -> bool | None:
        """Whether the condition holds, with its quantifier; None for unknown."""
        if self.quantifier == FORALL:
            return False if self.negative else None if self.stopped else True
        found = self.reachable
        return found if self.quantifier == EXISTS or found is None else not found

    @property
    def agrees(self) -> bool | None:
        """Whether the published verdict comes out; None without one, or while
        the search is incomplete."""
        if self.published is None:
            return None
        found = self.reachable
        if self.published == ALLOWED:
            return found
        if self.published == FORBIDDEN:
            return None if found is None else not found
        return self.validated

    @property
    def observation(self) -> str:
        """herd7's word for how often the formula is satisfied."""
        if not self.positive:
            return "Never"
        return "Sometimes" if self.negative else "Always"

    @property
    def kind(self) -> str:
        """herd7's word for the quantifier."""
        return {EXISTS: "Allowed", NOT_EXISTS: "Forbidden", FORALL: "Required"}[self.quantifier]


def run_litmus(
    test: LitmusTest,
    *,
    memory: str = TSO,
    store_buffer: int | None = None,
    limits: Limits | None = None,
) -> Outcome:
    """Explore ``test``.

    ``store_buffer`` bounds the buffers; None makes them so large that they
    never fill, unless a thread stores in a loop.  Raises LitmusError for what
    cannot be modelled, and UsageError for a bound that makes no buffer.
    """
    lowered = lower(test)
    program = lowered.program
    verify(program)
    bound: int | None = None
    if memory == TSO:
        bound = store_buffer
        if bound is None:
            bound = min(max(lowered.stores, 1), LARGEST_BOUND)
        program = tso(program, bound=bound)
        verify(program)
    program = cut(program)
    verify(program)
    system = System(program, None, {}, {}, {}, frozenset())
    result = search(system, limits=limits, finals=True)
    finals = _read(lowered, Layout(program), result.finals)
    if test.filter is not None:
        finals = [state for state in finals if holds(test.filter, state, lowered.bits)]
    satisfied = [holds(test.condition.formula, state, lowered.bits) for state in finals]
    return Outcome(
        name=test.name,
        published=test.published,
        quantifier=test.condition.quantifier,
        condition=str(test.condition),
        states=tuple(_text(lowered, state) for state in finals),
        positive=sum(satisfied),
        negative=len(finals) - sum(satisfied),
        memory=memory,
        store_buffer=bound,
        full=bound is not None and (bound < lowered.stores or lowered.repeats),
        explored=result.states,
        stopped=None if result.complete else result.stopped,
    )


def _read(
    lowered: Lowered, layout: Layout, memories: tuple[State, ...]
) -> list[Mapping[Place, int]]:
    """The values of the places in each final memory, each combination once."""
    where = {place: layout.address(*cell) for place, cell in lowered.cells.items()}
    found = {
        tuple(
            memory[cell] >> place.shift & (1 << lowered.bits[place]) - 1
            for place, cell in where.items()
        )
        for memory in memories
    }
    return [dict(zip(where, values, strict=True)) for values in sorted(found)]


def _text(lowered: Lowered, state: Mapping[Place, int]) -> str:
    return " ".join(f"{place}={_signed(lowered, place, value)};" for place, value in state.items())


def _signed(lowered: Lowered, place: Place, value: int) -> int:
    bits = lowered.bits[place]
    return value - (1 << bits) if lowered.signed[place] and value >> bits - 1 else value
