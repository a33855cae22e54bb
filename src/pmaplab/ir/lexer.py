"""Tokens of IR text, and a cursor over them that reports mistakes well."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from pmaplab.errors import IRError, Location
from pmaplab.ir.text import NAME_PATTERN

_STRING = r'"(?:[^"\\\n]|\\.)*"'
_TOKEN = re.compile(
    rf"""
      (?P<space>[ \t\r\n]+|\#[^\n]*)
    | (?P<location>;[ \t]*(?P<file>{_STRING})
          :(?P<line>[0-9]{{1,9}}):(?P<column>[0-9]{{1,9}})(?:-(?P<end>[0-9]{{1,9}}))?)
    | (?P<string>{_STRING})
    | (?P<name>{NAME_PATTERN})
    | (?P<integer>-?[0-9]+)
    | (?P<mark>->|::|\.\.|[][(){{}}*,:=%@])
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-f]{1,6})\}|(.))")
_ESCAPED = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}
# More digits than any 64-bit value has; ``int`` refuses thousands of them.
_MAX_DIGITS = 40


class Kind(enum.Enum):
    NAME = "name"
    STRING = "string"
    INTEGER = "integer"
    MARK = "mark"
    LOCATION = "location"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """``text`` is the spelling, decoded for strings; ``place`` is where the
    token stands, ``location`` what a location token says."""

    kind: Kind
    text: str
    place: Location
    location: Location | None = None


class Cursor:
    """The tokens of a text, read from left to right."""

    def __init__(self, text: str, file: str) -> None:
        """Raises IRError where the text has no token."""
        self._file = file
        self._lines = text.split("\n")
        self._tokens = self._tokenize(text)
        self._position = 0

    # --- reading -----------------------------------------------------------

    def peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._position + ahead, len(self._tokens) - 1)]

    def next(self) -> Token:
        token = self.peek()
        self._position = min(self._position + 1, len(self._tokens) - 1)
        return token

    def at(self, text: str, ahead: int = 0) -> bool:
        """Whether a keyword or a mark comes next."""
        token = self.peek(ahead)
        return token.text == text and token.kind in (Kind.NAME, Kind.MARK)

    def accept(self, text: str) -> bool:
        found = self.at(text)
        if found:
            self.next()
        return found

    def expect(self, text: str, advice: str | None = None) -> None:
        if not self.accept(text):
            raise self.unexpected(repr(text), advice)

    def name(self, what: str) -> str:
        """A bare or quoted name."""
        if self.peek().kind not in (Kind.NAME, Kind.STRING):
            raise self.unexpected(what, "a name with other characters is written in quotes")
        return self.next().text

    def string(self, what: str) -> str:
        if self.peek().kind is not Kind.STRING:
            raise self.unexpected(what, "write it in double quotes")
        return self.next().text

    def integer(self, what: str) -> int:
        token = self.peek()
        if token.kind is not Kind.INTEGER:
            raise self.unexpected(what)
        if len(token.text) > _MAX_DIGITS:
            raise self.error("the number is too long", token, "no value has more than 64 bits")
        return int(self.next().text)

    def same_line(self) -> bool:
        """Whether the next token stands on the line of the last one."""
        token = self.peek()
        last = self._tokens[max(self._position - 1, 0)]
        return token.kind is not Kind.END and token.place.line == last.place.line

    def end_of_line(self) -> None:
        if self.same_line() and not self.at("}"):
            raise self.unexpected("the end of the line", "write one item on each line")

    def location(self, start: Token) -> Location:
        """The location written next, or else that of the text from ``start``."""
        token = self.peek()
        if token.location is not None:
            self.next()
            return token.location
        last = self._tokens[max(self._position - 1, 0)].place
        place = start.place
        end = last.end_column if last.line == place.line else place.end_column
        return Location(place.file, place.line, place.column, end)

    # --- mistakes ----------------------------------------------------------

    def error(self, message: str, token: Token, advice: str | None = None) -> IRError:
        return self._error(message, token.place, advice)

    def unexpected(self, wanted: str, advice: str | None = None) -> IRError:
        token = self.peek()
        found = "the end of the text" if token.kind is Kind.END else repr(token.text)
        return self.error(f"expected {wanted}, found {found}", token, advice)

    def _error(self, message: str, place: Location, advice: str | None) -> IRError:
        source = self._lines[place.line - 1].rstrip("\r")
        return IRError(message, location=place, source=source, advice=advice)

    # --- tokens ------------------------------------------------------------

    def _tokenize(self, text: str) -> list[Token]:
        tokens: list[Token] = []
        position, line, line_start = 0, 1, 0
        while position < len(text):
            column = position - line_start + 1
            found = _TOKEN.match(text, position)
            if found is None:
                place = Location(self._file, line, column, column + 1)
                raise self._error(*_stray(text[position], place))
            if found.lastgroup == "space":
                line += found[0].count("\n")
                if "\n" in found[0]:
                    line_start = position + found[0].rindex("\n") + 1
            else:
                place = Location(self._file, line, column, column + len(found[0]))
                tokens.append(self._token(found, place))
            position = found.end()
        column = len(text) - line_start + 1
        tokens.append(Token(Kind.END, "", Location(self._file, line, column, column)))
        return tokens

    def _token(self, found: re.Match[str], place: Location) -> Token:
        if found["location"] is not None:
            column = int(found["column"])
            end = column if found["end"] is None else int(found["end"])
            file = self._decoded(found["file"], place)
            said = Location(file, int(found["line"]), column, end)
            return Token(Kind.LOCATION, found[0], place, said)
        if found["string"] is not None:
            return Token(Kind.STRING, self._decoded(found["string"], place), place)
        for kind in (Kind.NAME, Kind.INTEGER):
            if found[kind.value] is not None:
                return Token(kind, found[0], place)
        return Token(Kind.MARK, found[0], place)

    def _decoded(self, text: str, place: Location) -> str:
        def decode(escape: re.Match[str]) -> str:
            code = int(escape[1] or "0", 16)
            char = chr(code) if escape[1] and code < 0x110000 else _ESCAPED.get(escape[2])
            if char is None:
                raise self._error(
                    f"unknown escape {escape[0]} in a string",
                    place,
                    'the escapes are \\" \\\\ \\n \\t and \\u{hex}',
                )
            return char

        return _ESCAPE.sub(decode, text[1:-1])


def _stray(char: str, place: Location) -> tuple[str, Location, str]:
    if char == '"':
        return "the string does not end on its line", place, "a line break is written \\n"
    if char == ";":
        advice = 'a location is written ; "file":line:column-end'
        return "what follows ';' is not a location", place, advice + ", a comment starts with #"
    return f"unexpected character {char!r}", place, "names with it are written in quotes"
