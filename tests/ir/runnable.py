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
from pmaplab.ir.parser import parse_program
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
    wanted = reachable_functions(program, (*program.entries, *program.observers))
    kept = {name: f for name, f in program.functions.items() if name in wanted}
    result = cut(replace(program, functions=kept))
    verify(result)
    return result


@dataclass(frozen=True)
class Found:
    """What a search found; None stands for a search that was given up.

    ``finals`` are the memories when both CPUs are done.
    """

    memories: frozenset[State]
    finals: frozenset[State]
    states: int
    failures: frozenset[tuple[str, str]]
    stuck: bool


def explore(program: Program, *, reset_dead_locals: bool = True, most: int = 3000) -> Found | None:
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
        frozenset(state[:end] for state in seen),
        frozenset(state[:end] for state in seen if all(interpreter.done(state, a) for a in agents)),
        len(seen),
        frozenset(failures),
        stuck,
    )


# --- programs that do something ----------------------------------------------

_HEAD = """
cpus 2
region inside
struct pcpu {
  own: u32
  seen: u32
}
agent cpu0 cpu 0 context thread entry @main
agent cpu1 cpu 1 context thread entry @main
invariant "small" @small exempt inside
global @a: u32
global @b: u32
global @never: u32 {
  "" = 3:u32
}
global @mine: [2 x u32]
global @pcpu: [2 x pcpu]
atomic function @small(%cpu: u32) {
  var %x: u32
e:
  %x = load field(index(@pcpu:*[2 x pcpu], %cpu), seen):*u32
  assert lt(%x, 3:u32), KASSERT, "seen %d", %x
  return
}
"""
_MINE = "index(@mine:*[2 x u32], cpu)"
_OWN = "field(index(@pcpu:*[2 x pcpu], cpu), own):*u32"
_SEEN = "field(index(@pcpu:*[2 x pcpu], cpu), seen):*u32"
_WORDS = ("@a:*u32", "@a:*u32", "@b:*u32", _MINE, _OWN, _SEEN)
_READ = (*_WORDS, "@never:*u32", "index(@mine:*[2 x u32], 0:u32)")


@dataclass
class _Writer:
    """Draws the body of one function."""

    draw: st.DrawFn
    callees: tuple[str, ...]
    atomic: bool
    lines: list[str]
    blocks: int = 0

    def pick(self, *values: str) -> str:
        return self.draw(st.sampled_from(values))

    def local(self) -> str:
        return self.pick("%x", "%y", "%z")

    def value(self) -> str:
        simple = self.pick(*(f"{n}:u32" for n in range(4)), "%x", "%y", "%z", "cpu")
        return f"and(add({self.local()}, {simple}), 3:u32)" if self.draw(st.booleans()) else simple

    def condition(self) -> str:
        return f"{self.pick('eq', 'ne', 'lt')}({self.local()}, {self.draw(st.integers(0, 3))}:u32)"

    def block(self) -> str:
        self.blocks += 1
        return f"k{self.blocks}"

    def body(self, least: int, most: int, depth: int) -> None:
        for _ in range(self.draw(st.integers(least, most))):
            self.statement(depth)

    def statement(self, depth: int) -> None:
        emit = self.lines.append
        ways = ["load", "load", "store", "store", "rmw", "swap", "assign", "assert", "assume"]
        ways += ["if", "if", "loop"] if depth else []
        ways += ["call", "call"] if self.callees else []
        ways += [] if self.atomic else ["region"]
        match self.pick(*ways):
            case "load":
                emit(f"{self.local()} = load {self.pick(*_READ)}")
            case "store":
                emit(f"store {self.pick(*_WORDS)}, {self.value()}")
            case "rmw":
                op = self.pick("and", "or", "xor")
                emit(f"rmw {op} {self.pick(*_WORDS)}, {self.draw(st.integers(0, 3))}:u32")
            case "swap":
                emit(f"{self.local()} = cmpxchg {self.pick(*_WORDS)}, {self.value()}, 1:u32")
            case "assign":
                emit(f"{self.local()} = {self.value()}")
            case "assert" if self.draw(st.booleans()):
                emit(f'assert {self.condition()}, MPASS, "{len(self.lines)}"')
            case "assume" if self.draw(st.integers(0, 3)) == 0:
                emit(f"assume {self.condition()}")
            case "call":
                emit(f"{self.local()} = call @{self.pick(*self.callees)}({self.value()})")
            case "region":
                emit("enter inside")
                self.body(1, 2, 0)
                emit("leave inside")
            case "if":
                then, other, end = self.block(), self.block(), self.block()
                emit(f"branch {self.condition()}, {then}, {other}\n{then}:")
                self.body(1, 2, depth - 1)
                emit(f"jump {end}\n{other}:")
                self.body(1, 2, depth - 1)
                emit(f"jump {end}\n{end}:")
            case "loop":
                head, inside, end = self.block(), self.block(), self.block()
                emit(f"%n = 0:u32\njump {head}\n{head}:")
                emit(f"branch lt(%n, 2:u32), {inside}, {end}\n{inside}:")
                self.body(1, 2, 0)
                emit(f"%n = add(%n, 1:u32)\njump {head}\n{end}:")


def _body(draw: st.DrawFn, name: str, callees: tuple[str, ...], kind: str, most: int) -> str:
    writer = _Writer(draw, callees, kind == "atomic", [])
    writer.body(most - 1, most, 1)
    head = "" if name == "main" else "(%p: u32) -> u32"
    first = "0:u32" if name == "main" else "%p"
    start = f"%x = {first}\n%y = 0:u32\n%z = cpu\n%n = 0:u32"
    lines = "\n".join(writer.lines)
    last = "return" if name == "main" else f"return {writer.local()}"
    atomic = "atomic " if kind == "atomic" else ""
    variables = "\n".join(f"var %{local}: u32" for local in "xyzn")
    return (
        f"{atomic}function @{name}{head or '()'} {{\n{variables}\n"
        f"e:\n{start}\n{lines}\n{last}\n}}\n"
    )


@st.composite
def concurrent_programs(draw: st.DrawFn) -> Program:
    """Two CPUs that share a few words, over functions and loops that end."""
    text = _HEAD + _body(draw, "locked", (), "atomic", 2)
    text += _body(draw, "inner", ("locked",), "plain", 2)
    text += _body(draw, "outer", ("inner", "locked"), "plain", 2)
    program = parse_program(text + _body(draw, "main", ("outer", "inner", "locked"), "plain", 5))
    verify(program)
    return program
