"""The native engine against the interpreter, on random programs."""

from __future__ import annotations

import pytest
from hypothesis import given, reject, settings

from ir.runnable import concurrent_programs, placed, quick, runnable_programs
from native.compare import same
from pmaplab.ir.nodes import Program
from pmaplab.native.asking import NotNative
from pmaplab.search import interpreter, translate
from pmaplab.search.bfs import search
from pmaplab.search.result import Limits
from pmaplab.system import System


def system_of(program: Program) -> System:
    return System(placed(program), None, {}, {}, {}, frozenset())


@settings(quick, max_examples=8)
@given(runnable_programs())
def test_programs_of_every_instruction(program: Program) -> None:
    of_every_instruction(program)


@pytest.mark.slow
@settings(quick, max_examples=60)
@given(runnable_programs())
def test_more_programs_of_every_instruction(program: Program) -> None:
    of_every_instruction(program)


def of_every_instruction(program: Program) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(translate, "LONGEST_ATOMIC", 100)
        patch.setattr(interpreter, "LONGEST_STEP", 500)
        try:
            same(system_of(program), threads=1)
        except NotNative:
            # It says so, and the interpreter searches.
            reject()


@settings(quick, max_examples=8)
@given(concurrent_programs())
def test_programs_that_share_words(program: Program) -> None:
    that_share_words(program)


@pytest.mark.slow
@settings(quick, max_examples=60)
@given(concurrent_programs())
def test_more_programs_that_share_words(program: Program) -> None:
    that_share_words(program)


def that_share_words(program: Program) -> None:
    made = system_of(program)
    if search(made, limits=Limits(states=20_000)).complete:
        same(made)
