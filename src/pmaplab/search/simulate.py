"""One run of a system on one schedule, with its console and its statistics."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pmaplab.errors import ModelError, UsageError, did_you_mean
from pmaplab.ir.nodes import Sometimes
from pmaplab.search.interpreter import Choices, Effects, Failure, Interpreter, State
from pmaplab.search.result import stuck_failure
from pmaplab.search.run import Move
from pmaplab.search.translate import DONE
from pmaplab.system import System

# The mark that sw1() passes when the new thread runs.
SWITCHED = "a switch completed"
# A run that takes longer than this does not come to its end.
LONGEST_RUN = 1_000_000


@dataclass(frozen=True)
class Run:
    """A run that is over.

    ``switches`` counts the completed thread switches of each CPU; ``failure``
    is what ended the run early, a failed assertion or that no CPU can go on,
    and ``cpu`` is then the CPU that it happened on.
    """

    system: System
    console: tuple[str, ...]
    counters: dict[str, int]
    state: State
    moves: tuple[Move, ...]
    switches: tuple[int, ...]
    failure: Failure | None = None
    cpu: int = 0
    _interpreter: Interpreter | None = field(default=None, repr=False, compare=False)

    def sysctl(self, name: str) -> int:
        """The value of a node at the end of the run.

        Raises UsageError, with a close match, when there is no such node.
        """
        node = self.system.sysctls.get(name)
        if node is None:
            raise unknown_sysctl(self.system, name)
        if node.function is None:
            return self.counters.get(node.counter or "", 0)
        assert self._interpreter is not None
        return self._interpreter.evaluate(node.function, self.state)


def unknown_sysctl(system: System, name: str) -> UsageError:
    """The error for a node that the kernel does not have."""
    names = sorted(system.sysctls)
    return UsageError(
        f"there is no sysctl node {name!r}",
        advice=did_you_mean(name, names) or f"there are {', '.join(names)}",
    )


def simulate(system: System, *, seed: int | None = None) -> Run:
    """Run ``system`` from power-on until no CPU has anything left to do.

    Without a seed the CPUs take turns, step by step, and each takes its ways
    of going on in turn; with one, CPU and choices are random, the same for the
    same seed.  Properties are not looked at.  Raises ModelError for a system
    with a bring-up of its own, and for a run without end.
    """
    if system.bring_up is not None:
        raise ModelError("a single run begins at power-on, without a separate bring-up")
    return _Simulation(system, seed).run()


class _Cells(list[int]):
    """A state that can take back what was written since it was last kept.

    A state with MAXCPU in the hundreds is large, and a step changes little.
    """

    def __init__(self, cells: Iterable[int]) -> None:
        super().__init__(cells)
        self._written: list[tuple[int, int]] = []

    def __setitem__(self, index: int, value: int) -> None:  # type: ignore[override]
        self._written.append((index, self[index]))
        super().__setitem__(index, value)

    def keep(self) -> None:
        self._written.clear()

    def undo(self) -> None:
        for index, value in reversed(self._written):
            super().__setitem__(index, value)
        self._written.clear()


class _Simulation:
    def __init__(self, system: System, seed: int | None) -> None:
        self.system = system
        self.random = None if seed is None else random.Random(seed)
        self.interpreter = Interpreter(system.program, traced=True)
        self.context = self.interpreter.context
        self.cells = _Cells(self.interpreter.initial())
        self.moves: list[Move] = []
        self.console: list[str] = []
        self.counters: Counter[str] = Counter()
        self.chosen: Counter[int] = Counter()
        self.switches = [0] * system.program.cpus
        self.failure: Failure | None = None
        self.failed_agent = 0

    def run(self) -> Run:
        agents = list(range(len(self.system.program.agents)))
        while self.failure is None:
            agents = [agent for agent in agents if not self._done(agent)]
            if not agents:
                break
            if len(self.moves) >= LONGEST_RUN:
                raise ModelError(f"the run has no end: it is stopped after {LONGEST_RUN} steps")
            if not self._round(agents):
                self._hang(agents[0])
        return Run(
            self.system,
            tuple("".join(self.console).splitlines()),
            dict(self.counters),
            tuple(self.cells),
            tuple(self.moves),
            tuple(self.switches),
            self.failure,
            self.system.program.agents[self.failed_agent].cpu,
            self.interpreter,
        )

    def _done(self, agent: int) -> bool:
        return self.cells[self.interpreter.layout.agents[agent]] == DONE

    def _round(self, agents: Sequence[int]) -> bool:
        """Every CPU that can takes a step; with a seed, one of them does."""
        if self.random is not None:
            order = self.random.sample(agents, len(agents))
            return any(self._step(agent) for agent in order)
        moved = False
        for agent in agents:
            if self.failure is None and self._step(agent):
                moved = True
        return moved

    def _step(self, agent: int) -> bool:
        """One step of ``agent``; False when it can take none."""
        possible: list[Choices] = []
        given: list[int] | None = []
        while given is not None:
            failure = self._attempt(agent, given)
            choices = tuple(self.context.taken)
            given = self.context.next_choices() if choices else None
            if failure is False:
                continue
            if not choices:
                self._take(agent, choices, failure)
                return True
            possible.append(choices)
            self.cells.undo()
        if not possible:
            return False
        choices = self._choose(agent, possible)
        failure = self._attempt(agent, list(choices))
        assert failure is not False
        self._take(agent, choices, failure)
        return True

    def _choose(self, agent: int, possible: list[Choices]) -> Choices:
        """Without a seed the ways are taken in turn, the first one first."""
        if self.random is not None:
            return self.random.choice(possible)
        self.chosen[agent] += 1
        return possible[(self.chosen[agent] - 1) % len(possible)]

    def _attempt(self, agent: int, given: list[int]) -> Failure | Literal[False] | None:
        """Run a step; False, with all as it was, when it is disabled."""
        self.context.effects = Effects()
        failure = self.interpreter.advance(self.cells, agent, given)
        if failure is False:
            self.cells.undo()
        return failure

    def _take(self, agent: int, choices: Choices, failure: Failure | None) -> None:
        """Keep the step that was just run."""
        self.cells.keep()
        self.moves.append((agent, choices))
        effects = self.context.effects
        self.console += effects.console
        for (counter, _), count in effects.counters.items():
            self.counters[counter] += count
        cpu = self.system.program.agents[agent].cpu
        for executed in effects.executed:
            if isinstance(executed.item, Sometimes) and executed.item.label == SWITCHED:
                self.switches[cpu] += 1
        self.failure, self.failed_agent = failure, agent

    def _hang(self, agent: int) -> None:
        """No CPU can move, and ``agent`` has work left."""
        cpu = self.system.program.agents[agent].cpu
        function, item = self.interpreter.location(tuple(self.cells), agent)
        self.failure, self.failed_agent = stuck_failure(cpu, function, item), agent
