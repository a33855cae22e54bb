"""Known findings that a user has accepted: the file, and what it accepts.

An entry names a property, where it was found, and why it is accepted.  It accepts
the counterexamples whose last step begins in its function and file; where it names
neither, all of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from pmaplab.machine.modes import MODES, SC, TSO
from pmaplab.tomldata import TomlFile, read_toml

_REQUIRED = ("property", "scenarios", "modes", "memory", "reason")
_OPTIONAL = ("function", "file", "through", "who", "date")
_LISTS = ("scenarios", "modes", "through")
_HEADER = re.compile(r"\s*\[\[\s*accepted\s*\]\]")


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One entry; ``line`` is where it begins.

    ``function`` and ``file`` say where the last step of a counterexample begins,
    ``through`` names functions that its steps must have been in as well.  ``about`` is
    the property.
    """

    file_name: str
    line: int
    about: str
    scenarios: tuple[str, ...]
    modes: tuple[str, ...]
    memory: str
    reason: str
    function: str | None = None
    file: str | None = None
    through: tuple[str, ...] = ()
    who: str | None = None
    date: str | None = None

    @property
    def place(self) -> str:
        return f"{self.file_name}:{self.line}"

    @property
    def anywhere(self) -> bool:
        """Whether it accepts whatever violates the property."""
        return self.function is None and self.file is None and not self.through

    def concerns(self, scenario: str, mode: str, memory: str) -> bool:
        """Whether it is about a search."""
        return scenario in self.scenarios and mode in self.modes and memory == self.memory

    def accepts(self, function: str, file: str) -> bool:
        """Whether it accepts a counterexample whose last step is there."""
        return self.function in (None, function) and self.file in (None, file)

    def quoted(self) -> str:
        """The reason, and who gave it when."""
        by = ", ".join(filter(None, (self.who, self.date)))
        return f"{self.reason} ({by})" if by else self.reason

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON data."""
        data = asdict(self)
        return {"property": data.pop("about"), **data}


def read_accepted(path: str, scenarios: Sequence[str]) -> tuple[Acceptance, ...]:
    """Read a file of accepted findings; ``scenarios`` are the names that there are.

    Raises InputError, with the place, for a file that is none.
    """
    return _Reader(read_toml(Path(path), path), frozenset(scenarios)).read()


class _Reader:
    def __init__(self, file: TomlFile, scenarios: frozenset[str]) -> None:
        self.file = file
        self.lines = file.lines
        self.scenarios = scenarios
        self.begins = [n for n, line in enumerate(self.lines) if _HEADER.match(line)]

    def read(self) -> tuple[Acceptance, ...]:
        data = self.file.data
        for table in data:
            if table != "accepted":
                self._at_text(0, table, f"there is no table [[{table}]]", "write [[accepted]]")
        entries = data.get("accepted", [])
        whole = isinstance(entries, list) and all(isinstance(e, dict) for e in entries)
        if not whole or len(entries) != len(self.begins):
            self._at_text(0, "accepted", "accepted is no list of tables", "write [[accepted]]")
        return tuple(self._entry(number, entry) for number, entry in enumerate(entries))

    def _entry(self, number: int, entry: dict[str, Any]) -> Acceptance:
        begin = self.begins[number]
        for key, value in entry.items():
            if key not in (*_REQUIRED, *_OPTIONAL):
                known = ", ".join((*_REQUIRED, *_OPTIONAL))
                self._at_key(begin, key, f"there is no key {key!r}", f"there are {known}")
            if key in _LISTS:
                texts = isinstance(value, list) and all(isinstance(v, str) and v for v in value)
                if not texts or not value:
                    self._at_key(begin, key, f"{key} is no list of texts", None)
            elif not (isinstance(value, str) and value.strip()):
                # TOML has dates of its own.
                if key == "date" and hasattr(value, "isoformat"):
                    entry[key] = value.isoformat()
                    continue
                self._at_key(begin, key, f"{key} is no text, or empty", None)
        for key in _REQUIRED:
            if key not in entry:
                advice = "an accepted finding needs " + ", ".join(_REQUIRED)
                self._at_text(begin, "accepted", f"{key} is missing", advice)
        modes = [mode.name for mode in MODES]
        for key, names in (("modes", modes), ("scenarios", sorted(self.scenarios))):
            for value in entry[key]:
                if value not in names and not (key == "scenarios" and value.endswith(".py")):
                    message = f"there is no {key[:-1]} {value!r}"
                    self._at_value(begin, key, value, message, f"there are {', '.join(names)}")
        if entry["memory"] not in (SC, TSO):
            message = f"there is no memory model {entry['memory']!r}"
            self._at_value(begin, "memory", entry["memory"], message, f"there are {SC}, {TSO}")
        for key in _LISTS:
            entry[key] = tuple(entry.get(key, ()))
        return Acceptance(self.file.name, begin + 1, entry.pop("property"), **entry)

    def unknown_property(self, entry: Acceptance, known: Sequence[str]) -> NoReturn:
        """Raise the error for a property that the system does not have."""
        message = f"there is no property {entry.about!r}"
        advice = f"the properties are {', '.join(known)}"
        self._at_value(entry.line - 1, "property", entry.about, message, advice)

    # --- places ----------------------------------------------------------------------

    def _at_key(self, begin: int, key: str, message: str, advice: str | None) -> NoReturn:
        pattern = re.compile(rf"\s*[\"']?({re.escape(key)})[\"']?\s*[.=]")
        for number in range(begin, len(self.lines)):
            found = pattern.match(self.lines[number])
            if found is not None:
                self.file.fail(number + 1, found.start(1) + 1, found.end(1) + 1, message, advice)
        self.file.fail(begin + 1, 1, 1, message, advice)

    def _at_value(
        self, begin: int, key: str, value: str, message: str, advice: str | None
    ) -> NoReturn:
        seen = False
        for number in range(begin, len(self.lines)):
            line = self.lines[number]
            seen = seen or bool(re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line))
            column = line.find(value, line.find("=") + 1 if seen else 0)
            if seen and column >= 0:
                self.file.fail(number + 1, column + 1, column + 1 + len(value), message, advice)
        self._at_key(begin, key, message, advice)

    def _at_text(self, begin: int, text: str, message: str, advice: str | None) -> NoReturn:
        for number in range(begin, len(self.lines)):
            column = self.lines[number].find(text)
            if column >= 0:
                self.file.fail(number + 1, column + 1, column + 1 + len(text), message, advice)
        self.file.fail(begin + 1, 1, 1, message, advice)


def check_properties(entries: Sequence[Acceptance], known: Sequence[str]) -> None:
    """Raises InputError, with the place, for an entry about a property that the
    system does not have; ``entries`` are those that concern it."""
    for entry in entries:
        if entry.about not in known:
            file = read_toml(Path(entry.file_name), entry.file_name)
            _Reader(file, frozenset()).unknown_property(entry, known)
