"""Each instruction and each fault, as the interpreter's own tests have them."""

from __future__ import annotations

from typing import Any

import pytest

from native.compare import same
from pmaplab.errors import ModelError
from pmaplab.native.asking import NotNative
from pmaplab.native.engine import search_natively
from pmaplab.search import interpreter
from pmaplab.search.bfs import search
from pmaplab.search.result import ASSERTIONS, PROGRESS
from pmaplab.system import System
from search import test_interpreter as expected
from search.small import function, system


def cases(test: Any) -> list[Any]:
    """The parameters of a test."""
    return [each[0] if isinstance(each, tuple) else each for each in test.pytestmark[0].args[1]]


def program(*lines: str) -> System:
    body = function("main", *lines, "return", more=expected.VARIABLES)
    return system(expected.DECLARATIONS + body)


@pytest.mark.parametrize("lines", cases(expected.test_instructions), ids=lambda lines: lines[-1])
def test_an_instruction(lines: list[str]) -> None:
    """It ends in a state that waits for ever, so that the state is replayed."""
    result = same(program(*lines, "step", "assume false"))
    assert result is not None and list(result.violations) == [PROGRESS]


@pytest.mark.parametrize(
    "lines", cases(expected.test_faults_are_failures_of_the_step), ids=lambda lines: lines[-1]
)
def test_a_fault(lines: list[str]) -> None:
    made = program("%x = 0:u32", *lines)
    result = same(made)
    assert result is not None
    assert result.violations[ASSERTIONS] == search(made).violations[ASSERTIONS]


@pytest.mark.parametrize(
    "lines", cases(expected.test_a_value_outside_of_a_declared_range), ids=lambda lines: lines[0]
)
def test_a_value_out_of_range_is_no_verdict(lines: list[str]) -> None:
    made = program(*lines)
    with pytest.raises(ModelError, match="does not fit into") as native:
        search_natively(made)
    with pytest.raises(ModelError) as python:
        search(made)
    assert str(native.value) == str(python.value)


def test_steps_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "LONGEST_STEP", 1000)
    turn = "again:\n  %x = 1:u32\n  branch eq(%x, 1:u32), again, end"
    with pytest.raises(ModelError, match="a step in main does not end"):
        search_natively(program(f"jump again\n{turn}\nend:"))
    with pytest.raises(ModelError, match="an atomic loop does not end"):
        search_natively(program("call @for_ever()"))


def test_choices() -> None:
    choose = ["%x = choose 0:u32, 2:u32", "%i = choose -1:i32, 1:i32", "assume ne(%i, 0:i32)"]
    result = same(program(*choose, 'assert ne(%x, 2:u32), MPASS, "%d", %i', "%r = 1:u32"))
    assert result is not None
    assert result.violations[ASSERTIONS].moves == ((0, (2, -1)),)


def test_more_choices_than_there_is_room_for() -> None:
    many = ["%x = choose 1:u32, 1:u32"] * 300
    with pytest.raises(NotNative):
        search_natively(program(*many))
    assert search(program(*many)).complete
