"""What the writers of random systems share: blocks and branches, draws, and the way from
the text to a system."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hypothesis import strategies as st

from pmaplab.ir.cut import cut
from pmaplab.ir.parser import parse_program
from pmaplab.ir.verify import verify
from pmaplab.machine.interrupts import suspend_threads
from pmaplab.machine.tso import tso
from pmaplab.system import System


@dataclass
class Writer:
    """Writes one function, line by line."""

    name: str
    lines: list[str] = field(default_factory=list, init=False)
    blocks: int = field(default=0, init=False)

    def emit(self, *lines: str) -> None:
        self.lines += lines

    def block(self) -> str:
        self.blocks += 1
        return f"k{self.blocks}"

    def label(self) -> str:
        """One that no other place has."""
        return f'sometimes "{self.name} {len(self.lines)}"'

    @contextmanager
    def only_if(self, condition: str) -> Iterator[None]:
        """What is written meanwhile runs where ``condition`` holds."""
        then, end = self.block(), self.block()
        self.emit(f"branch {condition}, {then}, {end}\n{then}:")
        yield
        self.emit(f"jump {end}\n{end}:")

    @contextmanager
    def between(self, first: str, last: str) -> Iterator[None]:
        """What is written meanwhile runs between these two."""
        self.emit(first)
        yield
        self.emit(last)

    def text(self, variables: str, first: str, last: str, head: str = "()") -> str:
        """The function, whose body stands between ``first`` and ``last``."""
        lines = "\n".join(self.lines)
        return f"function @{self.name}{head} {{\n{variables}e:\n{first}\n{lines}\n{last}\n}}\n"


@dataclass
class DrawingWriter(Writer):
    """Writes what Hypothesis draws."""

    draw: st.DrawFn

    def pick(self, *values: str) -> str:
        return self.draw(st.sampled_from(values))

    def one_in(self, number: int) -> bool:
        return self.draw(st.integers(0, number - 1)) == 0

    def body(self, least: int, most: int, depth: int) -> None:
        for _ in range(self.draw(st.integers(least, most))):
            self.statement(depth)

    def statement(self, depth: int) -> None:
        """One that is drawn; where ``depth`` is 0, none that holds others."""
        raise NotImplementedError


def system_of(text: str, store_buffer: int | None = None) -> System:
    """The system of a program in text, its steps placed and interrupted threads at a stand.

    CPUs have store buffers of so many entries, if any; outside of these are the ``registers``.
    """
    program = parse_program(text)
    verify(program)
    lowered = program
    if store_buffer is not None:
        lowered = tso(program, bound=store_buffer, outside=("registers",))
        verify(lowered)
    made = suspend_threads(cut(lowered, program))
    verify(made)
    return System(made, None, {}, {}, {}, frozenset())
