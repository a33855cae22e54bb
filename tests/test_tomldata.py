"""Reading TOML: what is wrong with a file is shown with its place."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pmaplab.errors import InputError, Location
from pmaplab.frontends.kernel_c.api import read_api
from pmaplab.ownership import read_facts
from pmaplab.properties.regions import read_regions
from pmaplab.report.accepted import read_accepted
from pmaplab.symmetries import read_symmetries
from pmaplab.tomldata import Entry, read_toml

READERS: dict[str, Callable[[Path], object]] = {
    "accepted": lambda path: read_accepted(str(path), []),
    "api": lambda path: read_api([str(path)]),
    "facts": lambda path: read_facts(path, str(path)),
    "regions": lambda path: read_regions([(path, str(path))]),
    "symmetries": lambda path: read_symmetries(path, {}),
}


def failure(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        read_toml(path, "mine.toml")
    return caught.value


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("# One.\r\n[[a]]\nb = 1\n")
    file = read_toml(path, "mine.toml")
    assert file.data == {"a": [{"b": 1}]}
    assert file.lines == ["# One.", "[[a]]", "b = 1", ""]


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("[[mark]\n", 1, 7, "Expected ']]' at the end of an array declaration"),
        ("a = 1\na = 2\n", 2, 6, "Cannot overwrite a value"),
        ("a = 1\n= 3\n", 2, 1, "Invalid statement"),
        # Where it is the end of the file that is wrong.
        ("a = 1\nb = [\n\n", 2, 6, "Invalid value (at end of document)"),
        ("[[", 1, 3, "Invalid initial character for a key part (at end of document)"),
        # No line ends there.
        ("a = '\u2028'\nb = \n", 2, 5, "Invalid value"),
    ],
)
def test_what_is_no_toml(tmp_path: Path, text: str, line: int, column: int, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    error = failure(path)
    assert error.location == Location("mine.toml", line, column, column)
    assert error.message == message
    assert error.source == text.split("\n")[line - 1]
    shown = str(error).split("\n")
    assert shown[2] == " " * (4 + column - 1) + "^"
    assert shown[3] == "    advice: the file must be TOML"


def test_what_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    assert str(failure(path)) == "mine.toml: no such file"
    assert str(failure(tmp_path)) == "mine.toml: Is a directory"
    path.write_bytes(b"a = '\xff'\n")
    assert str(failure(path)) == "mine.toml: not UTF-8 text (byte 5)"
    path.write_text("a = " + "[" * 10000)
    assert str(failure(path)).startswith("mine.toml: not TOML that can be read: ")
    path.write_text("a = " + "1" * 5000)
    assert str(failure(path)).startswith("mine.toml: not TOML that can be read: ")


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_gives_the_place(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("# Mine.\n[[mark]\n")
    with pytest.raises(InputError) as caught:
        READERS[reader](path)
    assert str(caught.value).split("\n") == [
        f"{path}:2:7: Expected ']]' at the end of an array declaration",
        "    [[mark]",
        "          ^",
        "    advice: the file must be TOML",
    ]


def test_tables(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[[b]]\n[[b]]\n[[b.in]]\ntext = 'here'\n")
    tables = read_toml(path, "mine.toml").tables(("a", "b"))
    assert list(tables) == ["b", "a"] and tables["a"] == []
    first, second = tables["b"]
    assert (first.where, second.where) == ("mine.toml: [[b]] 1", "mine.toml: [[b]] 2")
    assert not first.tables("in")
    (inner,) = second.tables("in")
    assert inner.where == "mine.toml: [[b]] 2, [[b.in]] 1"
    assert inner.text("text") == "here"
    with pytest.raises(InputError) as caught:
        read_toml(path, "mine.toml").tables(("a", "c"))
    assert str(caught.value).split("\n") == [
        "mine.toml: there is no table [[b]]",
        "    advice: there is nothing but [[a]], [[c]]",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("b = 1", "mine.toml: b is no list of tables"),
        ("b = [1]", "mine.toml: b is no list of tables"),
        ("[b]", "mine.toml: b is no list of tables"),
    ],
)
def test_what_is_no_table(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_toml(path, "mine.toml").tables(("b",))
    assert str(caught.value).split("\n") == [message, "    advice: write [[b]]"]


def test_what_an_entry_says() -> None:
    entry = Entry({"a": "x", "b": ["y", "z"], "c": True, "d": []}, "e", "here")
    entry.only("a", "b", "c", "d", "f")
    assert entry.has("a") and not entry.has("f")
    assert (entry.text("a"), entry.optional_text("a"), entry.optional_text("f")) == ("x", "x", None)
    assert entry.texts("b") == entry.some_texts("b") == entry.optional_texts("b") == ("y", "z")
    assert (entry.texts("d"), entry.optional_texts("d"), entry.optional_texts("f")) == (
        (),
        (),
        None,
    )
    assert (entry.flag("c"), entry.flag("f")) == (True, False)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda e: e.only("a", "b"), "there is no key 'c'"),
        (lambda e: e.text("f"), "f is missing, or no text"),
        (lambda e: e.text("a"), "a is missing, or no text"),
        (lambda e: e.optional_text("b"), "b is missing, or no text"),
        (lambda e: e.texts("f"), "f is missing, or no list of texts"),
        (lambda e: e.texts("a"), "a is missing, or no list of texts"),
        (lambda e: e.some_texts("c"), "c is missing, or no list of texts"),
        (lambda e: e.optional_texts("b"), "b is no list of texts"),
        (lambda e: e.flag("c"), "c is true or false"),
        (lambda e: e.tables("b"), "b is no list of tables"),
    ],
)
def test_what_an_entry_should_not_say(ask: Callable[[Entry], object], message: str) -> None:
    data = {"a": "", "b": [1], "c": []}
    with pytest.raises(InputError) as caught:
        ask(Entry(data, "e", "here"))
    assert caught.value.message == f"here: {message}"
    with pytest.raises(InputError) as caught:
        ask(Entry(data, "e", "here", Location("mine.toml", 7)))
    assert (caught.value.message, caught.value.location) == (message, Location("mine.toml", 7))
