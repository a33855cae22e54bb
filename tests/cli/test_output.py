"""Files that appear whole, and text for terminals and for pipes."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest
from rich.text import Text

from pmaplab.cli.output import OutputFile, rendered
from pmaplab.errors import OutputError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("old")
    with pytest.raises(KeyError), OutputFile(str(path)):
        assert path.read_text() == "old"
        raise KeyError
    assert path.read_text() == "old"
    with OutputFile(str(path)) as file:
        file.write("new")
        assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_it_has_the_usual_rights(tmp_path: Path) -> None:
    path = tmp_path / "f"
    mask = os.umask(0o027)
    try:
        with OutputFile(str(path)) as file:
            file.write("")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_one(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    with OutputFile(str(link)) as file:
        file.write("text")
    assert link.is_symlink()
    assert target.read_text() == "text"


def test_a_device_is_written_and_not_replaced() -> None:
    with OutputFile("/dev/null") as file:
        file.write("text")
    assert Path("/dev/null").is_char_device()
    no_space = pytest.raises(OutputError, match="/dev/full: cannot be written: No space")
    with no_space, OutputFile("/dev/full") as file:
        file.write("text")
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("name", ["nowhere/f", "file/f", ".", "x" * 300])
def test_a_place_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    path = f"{tmp_path}/{name}"
    with pytest.raises(OutputError, match=f"{tmp_path}/"), OutputFile(path):
        raise AssertionError


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = Text().append("x" * 500, style="red").append("[bold]")
    assert rendered(text, io.StringIO()) == "x" * 500 + "[bold]"
    assert rendered(text, Terminal()) == "\x1b[31m" + "x" * 500 + "\x1b[0m[bold]"
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in rendered(text, Terminal())
