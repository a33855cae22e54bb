"""Random programs that can be run, and a plain search over one of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from ir.strategies import programs

from pmaplab.errors import ModelError
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.cut import cut
from pmaplab.ir.nodes import Agent, Assert, Cast, Choose, Const, Function, Print, Program
from pmaplab.ir.types import Int, Pointer
from pmaplab.ir.verify import verify
from pmaplab.search import interpreter as interpreter_module
from pmaplab.search import translate
from pmaplab.search.interpreter import Interpreter, State

# Programs are large: to make one smaller takes longer than to find it.
quick = settings(
    suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.reuse, Phase.generate]
)


def _tame(item: Any, function: Function) -> Any:
    """``item`` without casts to pointers, which could point anywhere, and with
    choices from few values only."""
    if isinstance(item, Cast) and isinstance(item.type, Pointer):
        return Const(0, item.type)
    if isinstance(item, tuple):
        return tuple(_tame(part, function) for part in item)
    if is_dataclass(item) and not isinstance(item, type | Int | Pointer):
        changes = {
            part.name: _tame(getattr(item, part.name), function)
            for part in fields(item)
            if part.name not in ("loc", "type", "variables")
        }
        item = replace(item, **changes)
        if isinstance(item, Assert | Print):
            return replace(item, arguments=())  # their number fits no format
        if isinstance(item, Choose):
            kind = function.variables[item.target]
            assert isinstance(kind, Int)
            lo = kind.minimum
            hi = min(lo + 1, kind.maximum)
            return replace(item, lo=Const(lo, kind), hi=Const(hi, kind))
    return item


@st.composite
def runnable_programs(draw: st.DrawFn) -> Program:
    """A program that two CPUs can run, its steps not yet placed."""
    program = draw(programs())
    program = replace(
        program,
        cpus=2,
        agents=tuple(Agent(f"cpu{n}", n, "thread", "main") for n in range(2)),
        functions={name: _tame(f, f) for name, f in program.functions.items()},
    )
    verify(program)
    return program


def placed(program: Program) -> Program:
    """``program`` with its steps, and what they may use only."""
    roots = [agent.entry for agent in program.agents]
    roots += [invariant.function for invariant in program.invariants]
    roots += program.exempt_when.values()
    wanted = reachable_functions(program, roots)
    kept = {name: f for name, f in program.functions.items() if name in wanted}
    result = cut(replace(program, functions=kept))
    verify(result)
    return result


@dataclass(frozen=True)
class Found:
    """What a search found; None stands for a search that was given up."""

    memories: frozenset[State]
    states: int
    failures: frozenset[tuple[str, str]]
    stuck: bool


def explore(
    program: Program, *, reset_dead_locals: bool = True, most: int = 3000
) -> Found | None:
    """Every state of a program whose steps are placed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(translate, "LONGEST_ATOMIC", 100)
        patch.setattr(interpreter_module, "LONGEST_STEP", 500)
        interpreter = Interpreter(program, reset_dead_locals=reset_dead_locals)
        try:
            return _explore(interpreter, most)
        except ModelError:
            return None


def _explore(interpreter: Interpreter, most: int) -> Found | None:
    agents = range(len(interpreter.program.agents))
    first = interpreter.initial()
    seen, work = {first}, deque([first])
    failures: set[tuple[str, str]] = set()
    stuck = False
    while work:
        state = work.popleft()
        moved = False
        for agent in agents:
            for outcome in interpreter.outcomes(state, agent):
                moved = True
                if outcome.failure is not None:
                    failures.add((outcome.failure.kind, outcome.failure.message))
                elif outcome.state not in seen:
                    seen.add(outcome.state)
                    work.append(outcome.state)
        stuck |= not moved and not all(interpreter.done(state, agent) for agent in agents)
        if len(seen) > most:
            return None
    end = interpreter.layout.agents[0]
    return Found(
        frozenset(state[:end] for state in seen), len(seen), frozenset(failures), stuck
    )
