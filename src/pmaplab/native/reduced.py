"""Searching fewer states natively: with the partial-order reduction, with symmetries or
with both, and going back on them (docs/reductions.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import Any

from pmaplab.native.asking import Asking
from pmaplab.native.protocol import Question
from pmaplab.native.readback import NativeError, Readback
from pmaplab.native.symmetry import symmetry_numbers
from pmaplab.search.begun import BegunSearch
from pmaplab.search.closure import facts_not_kept
from pmaplab.search.independence import MOST_PASSED, independence
from pmaplab.search.ownership import Rules
from pmaplab.search.reduced import at_first, goes_beyond, look_around
from pmaplab.search.reductions import PARTIAL_ORDER, SYMMETRY, FailureKnownError, Reductions
from pmaplab.search.result import Limits
from pmaplab.search.symmetry import Kind, Symmetry, ToldApart, symmetry_of

# Bits of a set of units.
MOST_UNITS = 64


@dataclass(frozen=True)
class ReducedSearch:
    """A search that has begun, how its worker is asked and what, and where answers are
    read; ``question`` is that of the search without reductions, ``started`` is as in
    ``Limits.left``."""

    search: BegunSearch
    asking: Asking
    question: Question
    back: Readback
    limits: Limits
    started: float

    def answer(self, reductions: Reductions) -> dict[str, Any] | None:
        """The answer of a reduced search, or that of a short one; None where the search is
        to be done without reductions.  The result says what was reduced.

        Raises NotNative and WorkerDied.
        """
        if not reductions.names or self.asking.resumes(self.question):
            return None
        if reductions.beyond:
            short = at_first(self.limits, reductions)
            asked = replace(self.question, states=short.states or 0)
            answer = self.asking.without_checkpoint().ask(asked)
            if not (answer["stopped"] == "states" and goes_beyond(self.limits, reductions)):
                return answer
            if answer["violations"]:
                return None
            self.back.facts(answer)
        return self._reduced(reductions)

    def _reduced(self, reductions: Reductions) -> dict[str, Any] | None:
        """The answer of a search with those symmetries and ownership facts that hold; None
        where nothing is left to reduce, or something fails."""
        search, result = self.search, self.search.result
        if result.violations:
            return None
        told: tuple[ToldApart, ...] = ()
        alike = search.system.symmetries if SYMMETRY in reductions.names else ()
        try:
            used = self._used() if PARTIAL_ORDER in reductions.names else None
        except FailureKnownError:
            return None
        while True:
            named = {each.kind for each in told}
            group, kinds, constant = self._group([k for k in alike if k.name not in named])
            result.told_apart = told = (*told, *constant)
            if group is None and used is None:
                return None
            later = self._resumes_later(kinds, used)
            asking = self.asking.without_checkpoint() if later else self.asking
            answer = asking.ask(self._asked(group, used), group)
            if answer["stopped"] == "beyond":
                raise NativeError("an agent does what it cannot do")
            if answer["stopped"] == "apart":
                assert group is not None
                told = (*told, *self.back.told_apart(group, kinds, answer["told"]))
                continue
            if answer["stopped"] == "found":
                result.searched_again = True
                return None
            if used is None or not self.back.facts(answer):
                break
            if self.asking.checkpoint is not None:
                # It would be that of another search.
                return None
        if used is not None:
            result.reductions, result.passed = (PARTIAL_ORDER,), answer["passed"]
        if group is not None:
            result.reductions = (*result.reductions, SYMMETRY)
            result.symmetries = tuple(kind.name for kind in kinds)
            orbit = group.orbit(*search.interpreter.split(result.start))
            result.images = answer["images"] + orbit - 1
        return answer

    def _asked(self, group: Symmetry | None, used: int | None) -> Question:
        """The question, for what is left of the time: every failure ends a reduced search.
        ``used`` is None without the partial-order reduction."""
        seconds = self.limits.left(self.started).seconds or 0
        asked = replace(self.question, stop_at_first=False, seconds=seconds)
        if group is not None:
            asked = replace(asked, symmetry=symmetry_numbers(group))
        if used is None:
            # Of images nobody asks whether they keep to the facts.
            return replace(asked, ownership=(0,))
        reduction, ownership = self._numbers(group, used)
        return replace(asked, reduction=reduction, ownership=ownership)

    # --- the partial-order reduction -----------------------------------------------

    def _used(self) -> int | None:
        """The exemptions of which it is known that they are used; None where there are
        too many units.  Raises FailureKnownError where something fails on the way."""
        search = self.search
        program = search.system.program
        if len(program.invariants) * program.cpus > MOST_UNITS:
            return None
        try:
            return look_around(search)
        finally:
            search.interpreter.forget()

    def _numbers(self, group: Symmetry | None, used: int) -> tuple[list[int], list[int]]:
        """The numbers of the partial-order reduction and of ownership, as runtime/main.c
        reads them."""
        search = self.search
        program, layout = search.system.program, search.interpreter.layout
        dropped = frozenset(self.back.broken_facts)
        if group is not None:
            dropped |= facts_not_kept(Rules(program, layout), group)
        rules = Rules(program, layout, dropped)
        tables = independence(program, layout, search.result.start, rules, group)
        reduction = [
            MOST_PASSED,
            used,
            len(program.regions),
            *tables.touch,
            *tables.write,
            *tables.seen,
            *tables.guard,
            *(unit.always for unit in tables.units),
            *(asks for unit in tables.units for asks in unit.asks),
            *chain.from_iterable(tables.leavers),
            *chain.from_iterable(tables.enterers),
        ]
        return reduction, rules.numbers(layout.regions + program.cpus)

    # --- symmetries ------------------------------------------------------------------

    def _group(
        self, kinds: Sequence[Kind]
    ) -> tuple[Symmetry | None, tuple[Kind, ...], tuple[ToldApart, ...]]:
        if not kinds:
            return None, (), ()
        interpreter = self.search.interpreter
        numbers, start = interpreter.code.numbers, self.search.result.start
        return symmetry_of(interpreter.layout, numbers, start, kinds)

    def _resumes_later(self, kinds: Sequence[Kind], used: int | None) -> bool:
        """Whether there is a checkpoint of a search with some of the kinds: that with all
        of them will come to the same end as before."""
        if self.asking.checkpoint is None:
            return False
        for count in range(len(kinds)):
            for some in combinations(kinds, count):
                group, _, _ = self._group(some)
                if group is None and used is None:
                    continue
                if self.asking.resumes(self._asked(group, used), group):
                    return True
        return False
