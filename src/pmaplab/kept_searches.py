"""What searches came to, kept in a file so that an interrupted run can go on.

A search is known by the text of its program and bring-up, so that a result counts
for every system with the same text, and by a digest of the tool's own search.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pmaplab.errors import InputError, UsageError
from pmaplab.frontends.kernel_python.source import PACKAGE_ROOT
from pmaplab.ir.nodes import Program
from pmaplab.ir.printer import print_program
from pmaplab.search.projection import Members, Projected
from pmaplab.search.result import Result
from pmaplab.search.sharing import relabelled
from pmaplab.system import System

# Whose contents decide what a search of a program comes to.
_SEARCH = ("search", "native", "ir")


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to.

    ``violations`` has the steps and the message of the shortest counterexample by
    property; ``stopped`` and ``unreached`` as in a Result.
    """

    violations: dict[str, tuple[int, str]]
    complete: bool
    stopped: str | None
    unreached: tuple[str, ...]
    states: int
    projected: Projected | None

    @classmethod
    def of(cls, result: Result) -> Found:
        """The part of a result that is kept."""
        return cls(
            {
                name: (each.steps, "" if each.failure is None else each.failure.message)
                for name, each in result.violations.items()
            },
            result.complete,
            result.stopped,
            result.unreached,
            result.states,
            result.projected,
        )


@dataclass(frozen=True, slots=True)
class Texts:
    """A system as text: what is searched, and its bring-up, "" where it has none.

    Equal for systems of the same behaviour that differ in places of the source and in
    names of blocks only.
    """

    searched: str
    bring_up: str

    @classmethod
    def of(cls, system: System) -> Texts:
        """The texts of a system."""
        bring_up = "" if system.bring_up is None else _text(system.bring_up)
        return cls(_text(system.program), bring_up)


def _text(program: Program) -> str:
    return print_program(relabelled(program), locations=False)


class KeptSearches:
    """Results by the texts of a system; in a file, if there is one.

    Several processes may use the file at once: what one adds, the others find.  Raises
    UsageError for a file that cannot be used, and InputError for one that is something
    else.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.known: dict[str, Found] = {}
        self._read = 0
        # A process that was killed may have left a line without its end.
        if self._refresh():
            self._append(b"\n")

    def get(self, texts: Texts) -> Found | None:
        """The result of the system with these texts, if it is known."""
        key = _key(texts)
        if key not in self.known:
            self._refresh()
        return self.known.get(key)

    def put(self, texts: Texts, found: Found) -> None:
        """Keep a result."""
        key = _key(texts)
        self.known[key] = found
        self._append(json.dumps({"search": key, "found": asdict(found)}).encode() + b"\n")

    def _append(self, line: bytes) -> None:
        if self.path is None:
            return
        try:
            # One write, at the end, whoever else writes.
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(file, line)
            finally:
                os.close(file)
        except OSError as error:
            raise UsageError(f"{self.path}: {error.strerror or error}") from None

    def _refresh(self) -> bytes:
        """Read what has been added; what is left of a last line without an end."""
        if self.path is None or not self.path.exists():
            return b""
        try:
            with self.path.open("rb") as file:
                file.seek(self._read)
                data = file.read()
        except OSError as error:
            raise UsageError(f"{self.path}: {error.strerror or error}") from None
        end = data.rfind(b"\n") + 1
        for line in data[:end].splitlines():
            self._take(line)
        self._read += end
        return data[end:]

    def _take(self, line: bytes) -> None:
        try:
            data = json.loads(line)
            self.known[data["search"]] = _decoded(data["found"])
        except (ValueError, KeyError, TypeError):
            # Without its end it was never kept.
            if not line or (line.startswith(b'{"search"') and not line.endswith(b"}}")):
                return
            raise InputError(
                f"{self.path}: a line is no kept search: {line[:40].decode(errors='replace')}",
                advice="name another file, or remove this one",
            ) from None


def _decoded(data: dict[str, Any]) -> Found:
    projected = None
    if data["projected"] is not None:
        sets = data["projected"]
        projected = Projected(sets["names"], Members(**sets["all"]), Members(**sets["at_rest"]))
    found = Found(**data)
    return replace(
        found,
        violations={name: (steps, text) for name, (steps, text) in data["violations"].items()},
        unreached=tuple(data["unreached"]),
        projected=projected,
    )


def _key(texts: Texts) -> str:
    whole = "\n".join(filter(None, (texts.searched, texts.bring_up)))
    return hashlib.sha256(f"{_search()}{whole}".encode()).hexdigest()


@functools.cache
def _search() -> str:
    """A digest of what searches."""
    result = hashlib.sha256()
    for folder in _SEARCH:
        for path in sorted((PACKAGE_ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".c", ".h"):
                result.update(path.read_bytes())
    return result.hexdigest()
