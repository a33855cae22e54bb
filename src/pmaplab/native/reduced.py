"""Searching fewer states natively: with the partial-order reduction or with symmetries,
and going back on them (docs/reductions.md)."""

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
        return self._partial_order() if PARTIAL_ORDER in reductions.names else self._symmetric()

    def _asked(self) -> Question:
        """The question, for what is left of the time: every failure ends a reduced search."""
        seconds = self.limits.left(self.started).seconds or 0
        return replace(self.question, stop_at_first=False, seconds=seconds)

    # --- the partial-order reduction -----------------------------------------------

    def _partial_order(self) -> dict[str, Any] | None:
        """The answer of a search with those ownership facts that hold; None where something
        fails."""
        result = self.search.result
        while True:
            numbers = self._numbers()
            if numbers is None:
                return None
            asked = replace(self._asked(), reduction=numbers[0], ownership=numbers[1])
            answer = self.asking.ask(asked)
            if answer["stopped"] == "beyond":
                raise NativeError("an agent does what it cannot do")
            if answer["stopped"] == "found":
                result.searched_again = True
                return None
            if not self.back.facts(answer):
                break
            if self.asking.checkpoint is not None:
                # It would be that of another search.
                return None
        result.reductions, result.passed = (PARTIAL_ORDER,), answer["passed"]
        return answer

    def _numbers(self) -> tuple[list[int], list[int]] | None:
        """The numbers of the partial-order reduction and of ownership, as runtime/main.c
        reads them; None where there is none, or where a failure is known already."""
        search = self.search
        program, layout = search.system.program, search.interpreter.layout
        if search.result.violations or len(program.invariants) * program.cpus > MOST_UNITS:
            return None
        try:
            used = look_around(search)
        except FailureKnownError:
            return None
        finally:
            search.interpreter.forget()
        rules = Rules(program, layout, frozenset(self.back.broken_facts))
        tables = independence(program, layout, search.result.start, rules)
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

    def _symmetric(self) -> dict[str, Any] | None:
        """The answer of a search with those symmetries that are some; None where there
        are none, or something fails."""
        search, result = self.search, self.search.result
        told: tuple[ToldApart, ...] = ()
        while not result.violations:
            named = {each.kind for each in told}
            kinds = [kind for kind in search.system.symmetries if kind.name not in named]
            group, used, constant = self._group(kinds)
            result.told_apart = told = (*told, *constant)
            if group is None:
                break
            later = self._resumes_later(used)
            asking = self.asking.without_checkpoint() if later else self.asking
            answer = asking.ask(self._permuted(group), group)
            if answer["stopped"] == "apart":
                told = (*told, *self.back.told_apart(group, used, answer["told"]))
                continue
            if answer["stopped"] == "found":
                result.searched_again = True
                return None
            result.reductions, result.symmetries = (SYMMETRY,), tuple(k.name for k in used)
            orbit = group.orbit(*search.interpreter.split(result.start))
            result.images = answer["images"] + orbit - 1
            return answer
        return None

    def _group(
        self, kinds: Sequence[Kind]
    ) -> tuple[Symmetry | None, tuple[Kind, ...], tuple[ToldApart, ...]]:
        interpreter = self.search.interpreter
        numbers, start = interpreter.code.numbers, self.search.result.start
        return symmetry_of(interpreter.layout, numbers, start, kinds)

    def _permuted(self, group: Symmetry) -> Question:
        # Of images nobody asks whether they keep to the facts.
        return replace(self._asked(), symmetry=symmetry_numbers(group), ownership=(0,))

    def _resumes_later(self, kinds: Sequence[Kind]) -> bool:
        """Whether there is a checkpoint of a search with some of the kinds: that with all
        of them will come to the same end as before."""
        if self.asking.checkpoint is None:
            return False
        for count in range(1, len(kinds)):
            for some in combinations(kinds, count):
                group, _, _ = self._group(some)
                if group is not None and self.asking.resumes(self._permuted(group), group):
                    return True
        return False
