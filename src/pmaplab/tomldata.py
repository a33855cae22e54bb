"""Reading TOML that users write: what is wrong with it names the file and the place."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

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
