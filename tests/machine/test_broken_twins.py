"""A store buffer with one mistake is told from a right one by the shapes of
tests/litmus/shapes.txt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pmaplab.frontends.litmus.files import read_tests
from pmaplab.ir.nodes import Binary, Const, Function, Instruction, Load, Local, Return, Store
from pmaplab.ir.types import U8, Scalar
from pmaplab.litmus import run_litmus
from pmaplab.machine.store_buffer import LOC, StoreBuffers

SHAPES = Path(__file__).parents[1] / "litmus" / "shapes.txt"


def disagreeing() -> set[str]:
    outcomes = [run_litmus(test) for test in read_tests(str(SHAPES))]
    return {outcome.name for outcome in outcomes if not outcome.agrees}


def no_forwarding(right: Callable[..., Function]) -> Callable[..., Function]:
    """A load never looks into the own buffer."""

    def load(self: StoreBuffers, kind: Scalar) -> Function:
        function = right(self, kind)
        block = function.blocks[0]
        only = replace(block, instructions=block.instructions[:1])
        variables = {name: function.variables[name] for name in ("address", "found")}
        return replace(function, blocks=(only,), variables=variables)

    return load


def forward_oldest(right: Callable[..., Function]) -> Callable[..., Function]:
    """A load takes the oldest of the own stores to the address."""

    def load(self: StoreBuffers, kind: Scalar) -> Function:
        function = right(self, kind)
        first, *entries = function.blocks[0].instructions
        turned: list[Instruction] = [first]
        for at in range(len(entries) - 3, -1, -3):
            turned += entries[at : at + 3]
        return replace(function, blocks=(replace(function.blocks[0], instructions=tuple(turned)),))

    return load


def no_drain(right: Callable[..., list[Instruction]]) -> Callable[..., list[Instruction]]:
    """Fences and locked operations do not wait."""

    def empty(self: StoreBuffers) -> list[Instruction]:
        return right(self)[:1]

    return empty


def newest_first(right: Callable[..., Function]) -> Callable[..., Function]:
    """The newest store goes to memory first."""

    def to_memory(self: StoreBuffers, settle: str | None) -> Function:
        function = right(self, settle)
        last = Binary("sub", Local("count", U8), Const(1, U8), U8)
        entry, *others = function.blocks
        taken: list[Instruction] = list(entry.instructions[:2])
        for load in entry.instructions[2:]:
            assert isinstance(load, Load)
            taken.append(replace(load, address=self._entry(last, load.target)))
        freed: list[Instruction] = []
        for name in ("address", "value", "kind"):
            kind = function.variables[name]
            freed.append(Store(self._entry(last, name), Const(0, kind), LOC))
        freed.append(Store(self._own("count", self._count), last, LOC))
        advance = replace(others[-1], instructions=tuple(freed), terminator=Return(None, LOC))
        blocks = (replace(entry, instructions=tuple(taken)), *others[:-1], advance)
        used = {name: function.variables[name] for name in ("count", "address", "value", "kind")}
        return replace(function, blocks=blocks, variables=used)

    return to_memory


@pytest.mark.parametrize(
    ("method", "twin", "caught"),
    [
        ("load", no_forwarding, {"own-store-is-seen", "crossed-reads", "early-own-store"}),
        ("load", forward_oldest, {"sb+forward-newest"}),
        ("_empty", no_drain, {"sb+fences", "sb+exchanges-elsewhere", "rwc+fence"}),
        ("to_memory", newest_first, {"mp", "2+2w", "mp-same-place", "unlock-orders"}),
    ],
)
def test_broken_twin_is_caught(
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    twin: Callable[..., Callable[..., object]],
    caught: set[str],
) -> None:
    monkeypatch.setattr(StoreBuffers, method, twin(getattr(StoreBuffers, method)))
    assert caught <= disagreeing()


def test_right_buffers_agree() -> None:
    assert disagreeing() == set()
