"""Reading TOML that users write: what is wrong with it names the file and the place."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, TypeGuard

from pmaplab.errors import InputError, Location

# How tomllib ends a message.
_AT = re.compile(r" \(at line (\d+), column (\d+)\)$")


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A file that messages call ``name``: its text, and what that says."""

    name: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    def fail(
        self, line: int, column: int, end: int, message: str, advice: str | None = None
    ) -> NoReturn:
        """Raise an InputError for columns ``column`` to ``end`` (exclusive) of a line,
        all counted from 1."""
        location = Location(self.name, line, column, end)
        source = self.lines[line - 1]
        raise InputError(message, location=location, source=source, advice=advice)

    def tables(self, known: Collection[str]) -> dict[str, list[Entry]]:
        """All ``[[tables]]`` by name, in the order of the file; those of ``known`` that it
        does not have are empty.

        Raises InputError for anything that is none of these.
        """
        for table in self.data:
            if table not in known:
                written = ", ".join(f"[[{each}]]" for each in known)
                raise InputError(
                    f"{self.name}: there is no table [[{table}]]",
                    advice=f"there is nothing but {written}",
                )
        whole = Entry(self.data, "", self.name)
        return {name: whole.tables(name) for name in dict.fromkeys((*self.data, *known))}


@dataclass(frozen=True, slots=True)
class Entry:
    """One of the tables ``[[table]]``: ``where`` it is, for messages, or in its place
    the ``location``, where that is known.

    Everything raises InputError for what is not as it is asked for.
    """

    data: Mapping[str, Any]
    table: str
    where: str
    location: Location | None = None

    def fail(self, message: str, advice: str | None = None) -> NoReturn:
        """Raise an InputError."""
        if self.location is None:
            message = f"{self.where}: {message}"
        raise InputError(message, location=self.location, advice=advice)

    def only(self, *allowed: str) -> None:
        """There must be no other keys."""
        unknown = set(self.data).difference(allowed)
        if unknown:
            self.fail(
                f"there is no key {min(unknown)!r}", f"there are {', '.join(sorted(allowed))}"
            )

    def has(self, key: str) -> bool:
        """Whether there is the key."""
        return key in self.data

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = self.data.get(key)
        if not isinstance(value, str) or not value:
            self.fail(f"{key} is missing, or no text")
        return value

    def optional_text(self, key: str) -> str | None:
        """The same, or None where the key is missing."""
        return self.text(key) if key in self.data else None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self.data.get(key)
        if not _is_texts(value):
            self.fail(f"{key} is missing, or no list of texts")
        return tuple(value)

    def some_texts(self, key: str) -> tuple[str, ...]:
        """A list of one text at least."""
        result = self.texts(key)
        if not result:
            self.fail(f"{key} is missing, or no list of texts")
        return result

    def optional_texts(self, key: str) -> tuple[str, ...] | None:
        """A list of texts, or None where the key is missing."""
        if key not in self.data:
            return None
        if not _is_texts(self.data[key]):
            self.fail(f"{key} is no list of texts")
        return tuple(self.data[key])

    def flag(self, key: str) -> bool:
        """True or false; false where the key is missing."""
        value = self.data.get(key, False)
        if not isinstance(value, bool):
            self.fail(f"{key} is true or false")
        return value

    def tables(self, key: str) -> list[Entry]:
        """The ``[[table.key]]`` that belong to it."""
        found, table = self.data.get(key, []), f"{self.table}.{key}" if self.table else key
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            self.fail(f"{key} is no list of tables", f"write [[{table}]]")
        head = f"{self.where}{',' if self.table else ':'} [[{table}]]"
        return [Entry(each, table, f"{head} {number}") for number, each in enumerate(found, 1)]


def _is_texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def read_toml(path: Path, name: str) -> TomlFile:
    """Parse the file at ``path``, which messages call ``name``.

    Raises InputError when it cannot be read, or, with the place, is no TOML.
    """
    try:
        file = TomlFile(name, path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{name}: no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}") from None
    try:
        return replace(file, data=tomllib.loads(file.text))
    except tomllib.TOMLDecodeError as error:
        found = _AT.search(str(error))
        # It gives no numbers for the end of the file.
        last = file.text.rstrip().split("\n")
        line, column = (int(found[1]), int(found[2])) if found else (len(last), len(last[-1]) + 1)
        file.fail(line, column, column, _AT.sub("", str(error)), "the file must be TOML")
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: not TOML that can be read: {error}") from None
