"""``pmaplab review``: its options; tests/reviews has what it measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import pytest

from cli.command import fails, run
from pmaplab.cli import main, options, review
from pmaplab.errors import UsageError
from pmaplab.native.choose import AUTO, NATIVE, PYTHON, Engine


def test_bad_usage() -> None:
    fails(run("review", "D16619"), "there is no review 'D16619'", "the reviews are D16618")
    fails(run("review", "D16618", "--cpus", "0"), "a machine with 0 CPUs cannot boot")
    fails(run("review", "D16618", "--engine", "c"), "--engine", "'c'")
    fails(run("review", "D16618", "--threads", "0"), "--threads", "at least 1, not 0")


@pytest.mark.parametrize(
    ("arguments", "one", "many"),
    [
        ((), Engine(AUTO, 4), Engine(AUTO, 1)),
        (("--engine", "python"), Engine(PYTHON, 4), Engine(PYTHON, 1)),
        (("--engine", "native", "--threads", "3"), Engine(NATIVE, 3), Engine(NATIVE, 3)),
    ],
)
def test_the_engine(
    arguments: tuple[str, ...], one: Engine, many: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cores are shared between the searches, as those of check."""
    asked: list[Engine] = []

    def measure(*_: object, engine: Callable[[int], Engine]) -> NoReturn:
        asked.extend((engine(1), engine(90)))
        raise UsageError("that is enough")

    monkeypatch.setattr(review, "measure_review", measure)
    monkeypatch.setattr(options, "cores", lambda: 4)
    assert main.main(["review", "D16618", *arguments]) == 2
    assert asked == [one, many]
