"""States at rest, collected natively: those of the interpreter."""

from __future__ import annotations

import pytest

from pmaplab.conform import _projection
from pmaplab.native.build import find_compiler
from pmaplab.native.engine import search_natively
from pmaplab.search.bfs import search
from pmaplab.search.interpreter import State
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds
from pmaplab.trace.record import Recorder


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
@pytest.mark.parametrize("mode", ["nopcid+pti", "pcid"])
def test_the_same_states_at_rest(mode: str) -> None:
    spec = RunSpec("switch", mode, Bounds(operations=1), proposal="committed")
    system = spec.build()
    _, asked = _projection(spec, system)

    def project(memory: State) -> tuple[str, ...]:
        return asked.shown([int(memory[cell]) & mask for cell, mask in asked.cells])

    here = search(system, rest=project).rest
    found = search_natively(system, threads=1, rest=asked)
    there = found.rest
    assert here is not None and there is not None
    assert there.first.keys() == here.first.keys() and len(there.first) > 5
    last = max(there.first, key=lambda each: there.first[each])
    moves, shortest = there.path(there.first[last]), here.path(here.first[last])
    assert len(moves) == len(shortest)
    recorder = Recorder(spec, system)
    assert all(recorder.take(agent, choices) for agent, choices in moves)
    assert project(recorder.runner.state) == last
