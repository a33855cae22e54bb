"""Running a system along one path, from power-on."""

from __future__ import annotations

from pmaplab.errors import ModelError
from pmaplab.search.interpreter import Choices, Executed, Failure, Interpreter, Outcome, State
from pmaplab.system import System

# (agent, the choices that it makes in the step)
Move = tuple[int, Choices]

# A bring-up that takes longer than this does not come to its end.
LONGEST_BRING_UP = 1_000_000


class Runner:
    """A machine that takes the steps it is told to.

    It begins with the scenario's bring-up, if it has one; when all CPUs have
    come to its end, the system proper goes on in the same memory.  ``state``
    belongs to ``interpreter``, the one of the present phase; ``proper`` is that of
    the system proper, where there is one already.
    """

    def __init__(
        self, system: System, *, traced: bool = False, proper: Interpreter | None = None
    ) -> None:
        self.system = system
        self.traced = traced
        self.moves: list[Move] = []
        self.failure: Failure | None = None
        self.in_bring_up = system.bring_up is not None
        self.proper = proper
        if system.bring_up is None:
            self.interpreter = self._proper()
        else:
            self.interpreter = Interpreter(system.bring_up, traced=traced)
        self.state: State = self.interpreter.initial()

    def step(self, agent: int, choices: Choices) -> bool:
        """Take one step; False when it is not possible in this state."""
        outcome = self.interpreter.step(self.state, agent, choices)
        if outcome is None:
            return False
        self._take(agent, outcome)
        return True

    def outcomes(self, agent: int) -> list[Outcome]:
        """Every way in which the agent can take its next step."""
        return [] if self.failure else list(self.interpreter.outcomes(self.state, agent))

    def bring_up_step(self) -> Failure | None:
        """One step of the bring-up's schedule: the first CPU that can move, and
        the first of its choices (the first thread that can run).

        Raises ModelError when no CPU can, or when there is no end.
        """
        for agent in range(len(self.interpreter.program.agents)):
            outcomes = self.outcomes(agent)
            if outcomes and len(self.moves) < LONGEST_BRING_UP:
                # Run again, for its effects alone: trying out must leave none.
                self.step(agent, outcomes[0].choices)
                return self.failure
        raise ModelError(
            f"the bring-up has no end: after {len(self.moves)} steps no CPU can go on",
            advice="scenario boot shows the interleavings of bring-up itself",
        )

    def _take(self, agent: int, outcome: Outcome) -> None:
        self.moves.append((agent, outcome.choices))
        self.state = outcome.state
        self.failure = outcome.failure
        if self.in_bring_up and self.failure is None:
            agents = range(len(self.interpreter.program.agents))
            if all(self.interpreter.done(self.state, agent) for agent in agents):
                self._begin()

    def _proper(self) -> Interpreter:
        return self.proper or Interpreter(self.system.program, traced=self.traced)

    def _begin(self) -> None:
        """The bring-up is over: the same memory, fresh agents."""
        memory, _ = self.interpreter.split(self.state)
        effects = self.interpreter.context.effects
        self.interpreter = self._proper()
        self.interpreter.context.effects = effects
        self.state = memory + self.interpreter.initial()[len(memory) :]
        self.in_bring_up = False

    def executed(self) -> list[Executed]:
        """What the last step executed (traced runners only); forgotten after."""
        effects = self.interpreter.context.effects
        result, effects.executed = effects.executed, []
        return result
