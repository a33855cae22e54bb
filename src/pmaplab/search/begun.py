"""What every search does before its first state: the bring-up, judged."""

from __future__ import annotations

from collections.abc import Sequence

from pmaplab.generations import check_own
from pmaplab.search.interpreter import Failure, Interpreter, State
from pmaplab.search.result import ASSERTIONS, PROGRESS, Result, Violation
from pmaplab.search.run import Move, Runner
from pmaplab.system import System


class BegunSearch:
    """A search, whose bring-up is run and judged by :meth:`begin`.

    ``interpreter`` is that of the search, ``prefix`` the moves of the bring-up.
    """

    def __init__(self, system: System, judge_bring_up: bool) -> None:
        self.system = system
        self.judge_bring_up = judge_bring_up
        self.interpreter = Interpreter(system.program)
        names = dict.fromkeys(i.property for i in system.program.invariants if i.property)
        self.result = Result((*names, ASSERTIONS, PROGRESS))
        self.prefix: tuple[Move, ...] = ()

    def begin(self) -> bool:
        """Run the bring-up; False when it ends in a failure."""
        result, runner = self.result, Runner(self.system, proper=self.interpreter)
        self._judge_prefix(runner)
        ended = False
        while runner.in_bring_up and not ended:
            ended = runner.bring_up_step() is not None
            self._judge_prefix(runner)
        self.prefix = result.bring_up = tuple(runner.moves)
        result.start = runner.state
        if ended:
            result.stopped = "an assertion fails before the bring-up is over"
        if self.system.unbounded:
            check_own(self.interpreter.layout, result.start)
        # What was looked at before the search is no part of it.
        self.interpreter.forget()
        return not ended

    def judge(self, state: State) -> list[tuple[str, int, Failure]]:
        """The properties that fail in ``state``; notes the exemptions used."""
        result: list[tuple[str, int, Failure]] = []
        for number, cpu, failure, inside in self.interpreter.broken(state):
            if inside:
                for name, bit in self.interpreter.regions.items():
                    if inside & bit:
                        self.result.exemptions_used.add(name)
            else:
                result.append((self.system.program.invariants[number].property, cpu, failure))
        return result

    def _judge_prefix(self, runner: Runner) -> None:
        if not self.judge_bring_up:
            return
        moves, found = tuple(runner.moves), []
        if runner.failure is not None:
            cpu = self.system.program.agents[moves[-1][0]].cpu
            found.append((ASSERTIONS, cpu, runner.failure))
        else:
            found += self.judge(self.interpreter.split(runner.state)[0])
        for name, cpu, failure in found:
            self.result.violations.setdefault(name, Violation(name, moves, failure, cpu))

    def note_labels(self, reached: frozenset[str]) -> None:
        """Put the labels that were reached into the result."""
        self.result.reached = reached
        self.result.unreached = tuple(each for each in self.must_reach() if each not in reached)

    def must_reach(self) -> Sequence[str]:
        """The labels without which a search is vacuous."""
        return self.system.program.must_reach
