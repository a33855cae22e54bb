"""Results of searches in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmaplab.errors import InputError, UsageError
from pmaplab.kept_searches import Found, KeptSearches, Texts
from pmaplab.search.projection import Members, Projected

HOLDS = Found({}, True, None, ("never",), 7, Projected("n", Members(3, 1, 2), Members(1, 4, 5)))
FAILS = Found({"curpmap": (12, "it is another")}, False, "the first ends it", (), 3, None)


def test_they_come_back(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    kept = KeptSearches(path)
    kept.put(Texts("a", ""), HOLDS)
    kept.put(Texts("b", ""), FAILS)
    again = KeptSearches(path)
    assert (
        again.get(Texts("a", "")) == HOLDS
        and again.get(Texts("b", "")) == FAILS
        and again.get(Texts("c", "")) is None
    )


def test_without_a_file() -> None:
    kept = KeptSearches(None)
    kept.put(Texts("a", ""), HOLDS)
    assert kept.get(Texts("a", "")) == HOLDS


def test_a_line_that_was_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    KeptSearches(path).put(Texts("a", ""), HOLDS)
    with path.open("a") as file:
        file.write('{"search": "half')
    kept = KeptSearches(path)
    assert kept.get(Texts("b", "")) is None
    kept.put(Texts("b", ""), FAILS)
    assert kept.get(Texts("c", "")) is None
    assert KeptSearches(path).known == kept.known and len(kept.known) == 2


def test_what_one_adds_the_others_find(tmp_path: Path) -> None:
    ours, theirs = KeptSearches(tmp_path / "kept"), KeptSearches(tmp_path / "kept")
    ours.put(Texts("a", ""), HOLDS)
    assert theirs.get(Texts("a", "")) == HOLDS
    theirs.put(Texts("b", ""), FAILS)
    assert ours.get(Texts("b", "")) == FAILS


def test_another_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("no results\n")
    with pytest.raises(InputError, match="a line is no kept search: no results"):
        KeptSearches(path)
    with pytest.raises(UsageError):
        KeptSearches(tmp_path)
    with pytest.raises(UsageError):
        KeptSearches(tmp_path / "none" / "kept").put(Texts("a", ""), HOLDS)
