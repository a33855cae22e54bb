"""The state graph of a small system, for Graphviz."""

from __future__ import annotations

from collections import deque

from pmaplab.errors import UsageError
from pmaplab.exports.header import About
from pmaplab.exports.names import one_line
from pmaplab.ir.nodes import Program
from pmaplab.search.interpreter import Interpreter, State
from pmaplab.search.translate import DONE

DEFAULT_LIMIT = 1000


def dot(program: Program, start: State, about: About, limit: int = DEFAULT_LIMIT) -> str:
    """Every state reachable from ``start`` with where its agents stand, and
    every step.

    A failed assertion is a box of its own; states in which an invariant fails
    are red.  Raises UsageError when there are more than ``limit`` states.
    """
    interpreter = Interpreter(program)
    numbers: dict[State, int] = {start: 0}
    work = deque([start])
    lines = [f"// {one_line(line)}".rstrip() for line in (about.title, *about.lines)]
    lines += ["digraph states {", "  node [shape=ellipse, fontsize=10];"]
    failures = 0
    while work:
        state = work.popleft()
        number = numbers[state]
        lines.append(
            f'  s{number} [label="{_label(interpreter, state)}"{_style(interpreter, state)}];'
        )
        for agent, declared in enumerate(program.agents):
            for outcome in interpreter.outcomes(state, agent):
                label = " ".join([declared.name, *map(str, outcome.choices)])
                if outcome.failure is not None:
                    failures += 1
                    text = one_line(f"{outcome.failure.kind}: {outcome.failure.message}")
                    lines.append(f'  f{failures} [shape=box, color=red, label="{text}"];')
                    lines.append(f'  s{number} -> f{failures} [label="{one_line(label)}"];')
                    continue
                target = numbers.get(outcome.state)
                if target is None:
                    target = numbers[outcome.state] = len(numbers)
                    work.append(outcome.state)
                    if len(numbers) > limit:
                        raise UsageError(
                            f"the system has more than {limit} states, too many to draw",
                            advice="make it smaller, or raise --max-states",
                        )
                lines.append(f'  s{number} -> s{target} [label="{one_line(label)}"];')
    lines.append("}")
    return "\n".join(lines) + "\n"


def _label(interpreter: Interpreter, state: State) -> str:
    """Where each agent stands."""
    parts = []
    for number, agent in enumerate(interpreter.program.agents):
        if state[interpreter.layout.agents[number]] == DONE:
            where = "done"
        else:
            function, item = interpreter.location(state, number)
            where = f"{function}:{item.loc.line}"
        parts.append(one_line(f"{agent.name}: {where}"))
    return "\\n".join(parts)


def _style(interpreter: Interpreter, state: State) -> str:
    memory, _ = interpreter.split(state)
    failed = any(not inside for _, _, _, inside in interpreter.broken(memory))
    return ", color=red" if failed else ""
