"""Both engines, and their reductions, on random systems whose CPUs have store buffers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from ir.runnable import quick
from native import compare, test_both
from pmaplab.search.bfs import search
from pmaplab.search.result import Limits
from pmaplab.system import System
from search import test_ownership
from search.alike_systems import alike_systems
from search.reducible import reducible_systems

FACTS = reducible_systems(owned=True, buffered=True)
ALIKE = alike_systems(broken=False, buffered=True)


def both_engines(made: System) -> None:
    """The same with and without a reduction, and the same facts that do not hold."""
    if search(made, limits=Limits(states=1_000)).complete:
        compare.same(made)
        test_ownership.noticed(made, natively=True)


@settings(quick, max_examples=5)
@given(FACTS)
def test_random_systems(made: System) -> None:
    test_ownership.noticed(made, natively=False)


@settings(quick, max_examples=2)
@given(FACTS)
def test_random_systems_natively(made: System) -> None:
    both_engines(made)


@settings(quick, max_examples=2)
@given(ALIKE)
def test_random_systems_that_are_symmetric(made: System) -> None:
    test_both.same(made)


@pytest.mark.slow
@settings(quick, max_examples=400)
@given(FACTS)
def test_more_random_systems(made: System) -> None:
    test_ownership.noticed(made, natively=False)


@pytest.mark.slow
@settings(quick, max_examples=60)
@given(FACTS)
def test_more_random_systems_natively(made: System) -> None:
    both_engines(made)


@pytest.mark.slow
@settings(quick, max_examples=60)
@given(ALIKE)
def test_more_random_systems_that_are_symmetric(made: System) -> None:
    test_both.same(made)
