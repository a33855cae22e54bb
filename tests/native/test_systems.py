"""The native engine on whole systems: the numbers that are pinned for the other."""

from __future__ import annotations

from pathlib import Path

import pytest

import test_broken_kernels as broken
from golden import Golden
from native.compare import broken_kernels, summary
from pmaplab.machine.modes import MODES, find_mode
from pmaplab.native import engine
from pmaplab.native.asking import NotNative
from pmaplab.native.engine import search_natively
from pmaplab.search.bfs import search
from pmaplab.search.interpreter import Interpreter
from pmaplab.search.result import Limits
from pmaplab.system import Bounds, build_system, default_bounds

EXPECTED = Path(__file__).parents[1]


def numbers(scenario: str) -> str:
    """As test_system has them."""
    lines = []
    for mode in MODES:
        result = search_natively(build_system(scenario, (), mode, Bounds(operations=1)))
        found = ", ".join(f"{name} in {v.steps}" for name, v in sorted(result.violations.items()))
        lines.append(
            f"{mode.name}: {result.states} states, {result.transitions} transitions, "
            f"depth {result.depth} behind {len(result.bring_up)}; {found or 'holds'}"
        )
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("scenario", ["boot", "switch"])
def test_the_numbers_of_the_reference_kernel(scenario: str, golden: Golden) -> None:
    golden.check(numbers(scenario), EXPECTED / f"test_system_{scenario}.expected")


@broken_kernels(0, of=5)
def test_a_broken_kernel(path: Path, mode: str) -> None:
    system = broken.built(path, find_mode(mode))
    result = search_natively(system)
    assert sorted(result.violations) == sorted(broken.split(broken.header(path)["properties"]))
    assert summary(result) == summary(search(system))


@pytest.mark.parametrize("times", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_many_threads_count_the_same(times: int) -> None:
    """A state stored twice, or lost, would show: of a race, in some runs."""
    system = build_system("switch", (), MODES[4], Bounds(operations=3))
    for threads in (2, 3) * times:
        result = search_natively(system, threads=threads)
        assert (result.states, result.transitions) == (3223064, 6464810)
        assert result.complete


@pytest.mark.parametrize(("bits", "operations"), [(15, 2), (17, 2), (20, 1), (28, 1)])
def test_fields_are_in_two_lanes_where_a_lane_has_few_bits(
    bits: int, operations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or components are coarser, where that is no help."""
    system = build_system("switch", (), MODES[4], Bounds(operations=operations))
    expected = search_natively(system, threads=1)
    monkeypatch.setattr(engine, "LANE_BITS", bits)
    found = search_natively(system, threads=2)
    assert summary(found) == summary(expected)
    assert found.violations == expected.violations


def test_too_few_bits_are_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LANE_BITS", 15)
    bounds = Bounds(cpus=3, maxcpu=3, operations=1)
    with pytest.raises(NotNative, match="too many for its words"):
        search_natively(build_system("switch", (), MODES[4], bounds))


def test_the_same_counterexample_every_time() -> None:
    system = build_system("switch", (), MODES[0], Bounds(operations=1))
    found = [search_natively(system, threads=2).violations for _ in range(3)]
    assert found[0] == found[1] == found[2]


def test_store_buffers() -> None:
    system = build_system("switch", (), MODES[0], Bounds(operations=1, store_buffer=1))
    assert summary(search_natively(system)) == summary(search(system))


def test_limits() -> None:
    system = build_system("switch", (), MODES[4], Bounds(operations=2))
    some = search_natively(system, limits=Limits(states=20_000))
    assert some.verdict("curpmap") == "incomplete"
    assert some.stopped == "the limit of 20000 states is reached"
    assert 20_000 < some.states < 60_000 and some.depth > 10
    little = search_natively(system, limits=Limits(memory=1 << 20))
    assert little.stopped == "the limit of 1048576 bytes of memory is reached"
    assert not little.complete
    short = search_natively(system, limits=Limits(seconds=0.001))
    assert short.stopped == "the limit of 0.001 seconds is reached"


def test_what_is_reached_is_the_same_set() -> None:
    """Of a system that has states at rest and others, with any number of threads."""
    system = build_system("switch", (), MODES[0], Bounds(operations=1))
    cells = Interpreter(system.program).layout.regions
    expected = search(system, projected=True, rest=lambda memory: memory[:cells])
    for threads in (1, 2):
        result = search_natively(system, threads=threads, projected=True, once=True)
        assert result.projected == expected.projected
    assert expected.projected is not None and expected.rest is not None
    assert expected.projected.at_rest.states == len(expected.rest.first)
    assert expected.projected.all.states > len(expected.rest.first) > 1


def test_a_bring_up_that_fails_ends_it() -> None:
    system = build_system("activate", (), MODES[0], default_bounds("activate"))
    result = search_natively(system, stop_at_first=True)
    assert result.violations and not result.complete and result.states == 0


def test_the_level_of_the_first_counterexample_ends_it() -> None:
    system = build_system("switch", (), MODES[0], Bounds(operations=1))
    result = search_natively(system, stop_at_first=True)
    assert result.stopped == "the first counterexample ends the search"
    assert not result.complete and result.violations


def test_fingerprints() -> None:
    system = build_system("switch", (), MODES[4], Bounds(operations=1))
    result = search_natively(system, fingerprints=True)
    assert summary(result) == summary(search(system))
    assert result.odds is not None and 1e-13 < result.odds < 1e-11
    assert search_natively(system).odds is None
