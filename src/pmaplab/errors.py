"""The exception tree of pmaplab, and how a place in a source is shown.

Every mistake that a user can make ends as a :class:`PmaplabError`.  The
command line prints it as ``file:line:column: message`` with the source line,
a caret and advice, and exits with status 2.  Anything else that escapes is a
bug of pmaplab.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A range of one source line.

    ``line`` and ``column`` count from 1.  ``end_column`` is exclusive; it is
    equal to ``column`` where only a point is known.
    """

    file: str
    line: int
    column: int = 1
    end_column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


def caret(location: Location, text: str) -> str:
    """The source line ``text`` and a second line that underlines ``location``."""
    start = max(location.column, 1) - 1
    width = max(location.end_column - location.column, 1)
    width = max(1, min(width, len(text) - start))
    lead = "".join("\t" if char == "\t" else " " for char in text[:start])
    return f"    {text}\n    {lead}^{'~' * (width - 1)}"


def did_you_mean(name: str, known: Iterable[str], shown: Callable[[str], str] = str) -> str | None:
    """Advice for a name that is not ``known``: the closest that is, where one is close."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f"did you mean {shown(close[0])}?" if close else None


class PmaplabError(Exception):
    """A mistake in what the user gave: exit status 2, no traceback.

    ``location`` and ``source`` (the text of the line) are given wherever a
    place is known; ``advice`` says what to do instead.
    """

    def __init__(
        self,
        message: str,
        *,
        location: Location | None = None,
        source: str | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.location = location
        self.source = source
        self.advice = advice

    def __str__(self) -> str:
        head = f"{self.location}: {self.message}" if self.location else self.message
        parts = [head]
        if self.location is not None and self.source is not None:
            parts.append(caret(self.location, self.source))
        if self.advice:
            parts.append(f"    advice: {self.advice}")
        return "\n".join(parts)


class UsageError(PmaplabError):
    """An option or a name on the command line that makes no sense."""


class InputError(PmaplabError):
    """A file that cannot be read, or that is not what it should be."""


class KernelPythonError(PmaplabError):
    """Kernel Python outside the language of docs/kernel-python.md."""


class TreeError(PmaplabError):
    """C of a kernel's tree that does not parse, or that the front end does not
    know."""


class LitmusError(PmaplabError):
    """A litmus test that is not one, or that does more than is supported."""


class IRError(PmaplabError):
    """An IR program that is not well formed, or IR text that does not parse."""


class ModelError(PmaplabError):
    """A run left what the model can represent: a value outside its cell's
    range, or a step that does not end.  Never a verdict."""


class TraceError(PmaplabError):
    """A stored trace that is damaged, or that the model no longer follows."""


class OutputError(PmaplabError):
    """Output that could not be written: a full disk, a missing folder."""
