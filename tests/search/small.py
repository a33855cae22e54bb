"""Small systems, written by hand."""

from __future__ import annotations

from collections.abc import Iterable

from pmaplab.ir.cut import cut
from pmaplab.ir.nodes import Program
from pmaplab.ir.parser import parse_program
from pmaplab.ir.verify import verify
from pmaplab.search.interpreter import Interpreter, Outcome, State
from pmaplab.system import System

# What most of them need.
HEAD = """
cpus 2
global @word: u32
global @other: u32
agent cpu0 cpu 0 context thread entry @first
agent cpu1 cpu 1 context thread entry @second
"""


def system(text: str, bring_up: str | None = None) -> System:
    """The system of an IR program in text, its steps placed."""
    first = None if bring_up is None else _placed(bring_up)
    return System(_placed(text), first, {}, {}, {}, frozenset())


def _placed(text: str) -> Program:
    program = parse_program(text)
    verify(program)
    return cut(program)


def function(name: str, *lines: str, head: str = "()", more: str = "") -> str:
    """A function of one block that ends with a return, or of several."""
    body = "\n  ".join(lines)
    return f"function @{name}{head} {{\n  {more}\nb:\n  {body}\n}}\n"


def interpreter(text: str, *, traced: bool = False) -> Interpreter:
    return Interpreter(system(text).program, traced=traced)


def after(machine: Interpreter, agents: Iterable[int], state: State | None = None) -> State:
    """The state after these agents took one step each, one after the other."""
    state = machine.initial() if state is None else state
    for agent in agents:
        (outcome,) = machine.outcomes(state, agent)
        assert outcome.failure is None
        state = outcome.state
    return state


def outcomes(machine: Interpreter, state: State, agent: int = 0) -> list[Outcome]:
    return list(machine.outcomes(state, agent))
