"""Fields of components in few bits: some of them are in two lanes then."""

from __future__ import annotations

import pytest

from native.compare import same
from pmaplab.native import engine
from search.small import function, system

WORDS = range(6)
VALUES = range(1, 21)
HEAD = "cpus 2\n" + "".join(f"global @word{n}: u32\n" for n in WORDS)
AGENTS = """
invariant "all" @all
agent cpu0 cpu 0 context thread entry @first
agent cpu1 cpu 1 context thread entry @second
"""


def counting(name: str, *words: int) -> str:
    steps = [f"store @word{n}:*u32, {value}:u32" for value in VALUES for n in words]
    return function(name, *steps, "return")


@pytest.mark.parametrize("bits", [16, 20, 25])
@pytest.mark.parametrize("word", [1, 4])
@pytest.mark.parametrize("wrong", [11, 19, 21])
def test_an_invariant_sees_fields_in_two_lanes(
    bits: int, word: int, wrong: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One value of one word is wrong, of which another one has the same lower bits."""
    monkeypatch.setattr(engine, "LANE_BITS", bits)
    asks = [f"%x = load @word{n}:*u32" for n in WORDS]
    asks.insert(word + 1, f'assert ne(%x, {wrong}:u32), KASSERT, "wrong"')
    watch = function("all", *asks, "return", head="(%cpu: u32)", more="var %x: u32")
    text = HEAD + AGENTS + watch.replace("function", "atomic function")
    found = same(system(text + counting("first", 0, 1, 2) + counting("second", 3, 4, 5)))
    assert found is not None
    assert found.states == (len(VALUES) * 3 + 1) ** 2
    assert bool(found.violations) == (wrong in VALUES)
