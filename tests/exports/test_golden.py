"""What a small program looks like in each language."""

from __future__ import annotations

from pathlib import Path

import pytest

from exports.peers import ABOUT
from golden import Golden
from pmaplab.errors import UsageError
from pmaplab.exports.dot import dot
from pmaplab.exports.files import beginning, steps_of
from pmaplab.exports.murphi import murphi
from pmaplab.exports.promela import promela
from search.small import system

FOLDER = Path(__file__).parent
TEXT = (FOLDER / "handoff.ir").read_text(encoding="utf-8")


def test_promela(golden: Golden) -> None:
    golden.check(promela(steps_of(system(TEXT)), ABOUT), FOLDER / "handoff.pml")


def test_murphi(golden: Golden) -> None:
    golden.check(murphi(steps_of(system(TEXT)), ABOUT), FOLDER / "handoff.m")


def test_dot(golden: Golden) -> None:
    small = system(TEXT)
    golden.check(dot(small.program, beginning(small)[0], ABOUT), FOLDER / "handoff.dot")


def test_dot_draws_no_large_system() -> None:
    small = system(TEXT)
    with pytest.raises(UsageError, match="more than 3 states, too many to draw"):
        dot(small.program, beginning(small)[0], ABOUT, limit=3)


def test_the_same_text_every_time() -> None:
    first, second = (promela(steps_of(system(TEXT)), ABOUT) for _ in range(2))
    assert first == second
