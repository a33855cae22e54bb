"""Reading what a worker found in terms of the program: counterexamples, which are taken
again in the interpreter, ownership facts that do not hold, and what tells images apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from pmaplab.native.protocol import WORD
from pmaplab.search.begun import BegunSearch
from pmaplab.search.interpreter import State
from pmaplab.search.ownership import Broken, Rules
from pmaplab.search.result import ASSERTIONS, PROGRESS, Violation, stuck_failure
from pmaplab.search.run import Move
from pmaplab.search.symmetry import Kind, Symmetry, ToldApart
from pmaplab.search.translate import DONE


class NativeError(Exception):
    """The worker and the interpreter disagree: a mistake of pmaplab, and no
    verdict."""


class Readback:
    """Puts what is found into the result of a search that has begun."""

    def __init__(self, search: BegunSearch) -> None:
        self.search = search
        # What is wrong with ownership facts, by name.
        self.broken_facts: dict[str, str] = {}
        # The moves to the state at rest that was asked for.
        self.way: tuple[Move, ...] | None = None

    # --- in words ------------------------------------------------------------------

    def facts(self, answer: dict[str, Any]) -> bool:
        """Whether an ownership fact does not hold, which is noted: it is used no more."""
        for numbers in answer["wrong"]:
            self.fact(Broken(*numbers))
        return bool(answer["wrong"])

    def fact(self, broken: Broken) -> None:
        """Note that an ownership fact does not hold."""
        program, interpreter = self.search.system.program, self.search.interpreter
        rules = Rules(program, interpreter.layout)
        text = rules.text(program, interpreter.code, broken)
        self.broken_facts.setdefault(rules.names[broken.name], text)
        self.search.result.broken_facts = tuple(self.broken_facts.values())

    def told_apart(
        self, group: Symmetry, used: Sequence[Kind], told: dict[str, int]
    ) -> tuple[ToldApart, ...]:
        """What told images apart: of one kind, or of all that were used."""
        program = self.search.system.program
        if told["invariant"] >= 0:
            name = program.invariants[told["invariant"]].function
            loc = program.functions[name].loc
        else:
            name, item = self.search.interpreter.code.places[told["point"]]
            loc = item.loc
        names = [kind.name for kind in used]
        if told["by"]:
            names = [group.permutations[told["by"] - 1].kinds[-1]]
        return tuple(ToldApart(kind, name, loc) for kind in names)

    # --- taken again in the interpreter ----------------------------------------------

    def violation(self, kind: str | int, path: dict[str, Any]) -> None:
        """Note what is at the end of a path: ``failure``, ``stuck``, the state at
        ``rest`` that was asked for, or the number of the invariant that fails.

        Raises NativeError where the interpreter does not find it there.
        """
        moves, state = self.replay(path["states"])
        if kind == "failure":
            self._failure(moves, state, path["agent"])
        elif kind == "rest":
            self.way = moves
        elif kind == "stuck":
            self._stuck(moves, state, path["agent"])
        else:
            assert isinstance(kind, int)
            name = self.search.system.program.invariants[kind].property
            found = [each for each in self.search.judge(state) if each[0] == name]
            if not found:
                raise NativeError(f"{name} does not fail in the interpreter")
            self._add(Violation(name, moves, found[0][2], found[0][1]))

    def replay(self, rows: Sequence[Sequence[int]]) -> tuple[tuple[Move, ...], State]:
        """The moves through these states, and the last one.  Raises NativeError where
        there are none."""
        state, moves = self.search.result.start, list(self.search.prefix)
        if _raw(state) != list(rows[0]):
            raise NativeError("a counterexample does not begin in the first state")
        for number, row in enumerate(rows[1:]):
            for move, after in self._successors(state):
                if _raw(after) == row:
                    moves.append(move)
                    state = after
                    break
            else:
                raise NativeError(f"step {number + 1} of a counterexample is not possible")
        return tuple(moves), state

    def meet(self, state: State, agent: int) -> NoReturn:
        """Let the interpreter meet an error of the worker, which it can explain: in a step
        of ``agent``, or where that is negative in an invariant."""
        interpreter = self.search.interpreter
        if agent >= 0:
            list(interpreter.outcomes(state, agent))
        else:
            interpreter.forget()
            interpreter.broken(state)
        raise NativeError("the interpreter does not meet the error of the worker")

    def _add(self, violation: Violation) -> None:
        violations = self.search.result.violations
        known = violations.get(violation.property)
        if known is None or violation.steps < known.steps:
            violations[violation.property] = violation

    def _successors(self, state: State) -> Sequence[tuple[Move, State]]:
        return [
            ((agent, outcome.choices), outcome.state)
            for agent in range(len(self.search.system.program.agents))
            for outcome in self.search.interpreter.outcomes(state, agent)
            if outcome.failure is None
        ]

    def _failure(self, moves: tuple[Move, ...], state: State, agent: int) -> None:
        for outcome in self.search.interpreter.outcomes(state, agent):
            if outcome.failure is not None:
                cpu = self.search.system.program.agents[agent].cpu
                last = (agent, outcome.choices)
                self._add(Violation(ASSERTIONS, (*moves, last), outcome.failure, cpu))
                return
        raise NativeError("no assertion fails in the interpreter")

    def _stuck(self, moves: tuple[Move, ...], state: State, agent: int) -> None:
        interpreter = self.search.interpreter
        point = state[interpreter.layout.agents[agent]]
        if point == DONE or any(interpreter.outcomes(state, agent)):
            raise NativeError("the agent can go on in the interpreter")
        cpu = self.search.system.program.agents[agent].cpu
        failure = stuck_failure(cpu, *interpreter.code.places[point])
        self._add(Violation(PROGRESS, moves, failure, cpu))


def _raw(state: State) -> list[int]:
    return [int(value) & WORD for value in state]
