"""Litmus files: reading, cutting into words, and pointing at a place in them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pmaplab.errors import InputError, LitmusError, Location

# No value has more digits.
NUMBER = r"-?(?:0[xX][0-9a-fA-F]{1,30}|[0-9]{1,30})"
_WORD = re.compile(
    rf"""(?P<space>[ \t\r\f]+)
    |(?P<comment>\(\*)
    |(?P<immediate>\${NUMBER}\b)
    |(?P<number>{NUMBER}\b)
    |(?P<register>%\w+)
    |(?P<name>[A-Za-z_.]\w*)
    |(?P<sign>/\\|\\/|<>|!=|==|[{{}}()\[\]|;:,=~+*&$%])""",
    re.VERBOSE,
)
# A file larger than this is no litmus test.
LARGEST = 1 << 24


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a file; ``kind`` is immediate, number, register, name or sign."""

    kind: str
    text: str
    loc: Location


@dataclass(frozen=True)
class LitmusSource:
    """A file's text; ``name`` is what messages call it."""

    name: str
    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    def place(self, line: int, start: int, end: int) -> Location:
        """Columns ``start`` to ``end``, from 0 and exclusive, of a line from 1."""
        return Location(self.name, line, start + 1, max(end, start + 1) + 1)

    def fail(self, loc: Location, message: str, advice: str | None = None) -> NoReturn:
        """Raise a LitmusError that points at ``loc``."""
        text = self.lines[loc.line - 1].rstrip("\r")
        raise LitmusError(message, location=loc, source=text, advice=advice)

    def words(self, first: int, column: int = 0, last: int | None = None) -> list[Word]:
        """The words from a line (counted from 1) and column (from 0) to the end
        of line ``last``, without comments, which nest as in OCaml."""
        result: list[Word] = []
        open_comments: list[Location] = []
        for number in range(first, (last or len(self.lines)) + 1):
            text, at = self.lines[number - 1], column if number == first else 0
            while at < len(text):
                if open_comments:
                    mark = re.compile(r"\(\*|\*\)").search(text, at)
                    if mark is None:
                        break
                    at = mark.end()
                    if mark[0] == "*)":
                        open_comments.pop()
                    else:
                        open_comments.append(self.place(number, mark.start(), at))
                    continue
                match = _WORD.match(text, at)
                if match is None:
                    self.fail(self.place(number, at, at + 1), f"{text[at]!r} has no meaning here")
                loc, at = self.place(number, match.start(), match.end()), match.end()
                if match.lastgroup == "comment":
                    open_comments.append(loc)
                elif match.lastgroup != "space":
                    result.append(Word(match.lastgroup or "", match[0], loc))
        if open_comments:
            self.fail(open_comments[0], "this comment does not end")
        return result


def integer(text: str) -> int:
    """The value of a NUMBER; leading zeros do not make it octal."""
    return int(text, 16 if "x" in text.lower() else 10)


def read_file(path: str) -> LitmusSource:
    """Raises InputError when the file cannot be read."""
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise InputError(f"{path}: larger than {LARGEST} bytes, so no litmus test")
        return LitmusSource(path, data.decode("utf-8").replace("\r\n", "\n"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(
            f"{path}: is a directory, not a litmus file", advice=f"name the files: {path}/*.litmus"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise InputError(f"{path!r}: {reason or error}") from None


class Words:
    """Reads a list of words from left to right.

    ``end`` is the place behind the last one, for what is missing there.
    """

    def __init__(self, source: LitmusSource, words: Iterable[Word], end: Location) -> None:
        self.source = source
        self.end = end
        self._words = list(words)
        self._at = 0

    @property
    def more(self) -> bool:
        return self._at < len(self._words)

    @property
    def loc(self) -> Location:
        """The place of the next word."""
        return self._words[self._at].loc if self.more else self.end

    @property
    def before(self) -> Location:
        """The place of the word just passed."""
        return self._words[self._at - 1].loc

    def peek(self, ahead: int = 0) -> str:
        """The text of a word to come, "" behind the last one."""
        at = self._at + ahead
        return self._words[at].text if at < len(self._words) else ""

    def kind(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._words[at].kind if at < len(self._words) else ""

    def next(self) -> Word:
        self._at += 1
        return self._words[self._at - 1]

    def take(self, text: str) -> bool:
        """Pass over the next word if it is ``text``."""
        found = self.peek() == text
        self._at += found
        return found

    def want(self, text: str, why: str) -> Word:
        """The next word, which must be ``text``."""
        if self.peek() != text:
            self.fail(f"{text!r} is missing {why}")
        return self.next()

    def want_kind(self, kind: str, what: str) -> Word:
        """The next word, which must be of that kind."""
        if self.kind() != kind:
            self.fail(f"{what} is expected here")
        return self.next()

    def number(self) -> int:
        return integer(self.want_kind("number", "a number").text)

    def fail(self, message: str, advice: str | None = None) -> NoReturn:
        """Raise a LitmusError that points at the next word."""
        self.source.fail(self.loc, message, advice)
