"""Reading JSON that others wrote: every access names the file and the place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pmaplab.errors import Location, TraceError

_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return _KINDS.get(type(value), "a number")


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a JSON file; ``where`` is its path, as ``.traces[0].steps``."""

    value: Any
    file: str
    where: str = ""

    def fail(self, message: str, advice: str | None = None) -> NoReturn:
        """Raise a TraceError that names the file and the path."""
        place = self.where.removeprefix(".") or "the top level"
        raise TraceError(f"{self.file}: {place}: {message}", advice=advice)

    def _expect(self, kind: type, name: str) -> Any:
        # bool is an int to Python, not to JSON.
        if type(self.value) is not kind:
            self.fail(f"{name} is expected here, not {_kind(self.value)}")
        return self.value

    def has(self, key: str) -> bool:
        """Whether an object has the member ``key``."""
        return key in self._expect(dict, "an object")

    def get(self, key: str) -> Node:
        """The member ``key`` of an object, which must be there."""
        if key not in self._expect(dict, "an object"):
            self.fail(f"the key {key!r} is missing")
        return Node(self.value[key], self.file, f"{self.where}.{key}")

    def optional(self, key: str) -> Node | None:
        """The member ``key``, or None where it is null."""
        node = self.get(key)
        return None if node.value is None else node

    def items(self) -> list[Node]:
        """The elements of a list."""
        return [
            Node(value, self.file, f"{self.where}[{index}]")
            for index, value in enumerate(self._expect(list, "a list"))
        ]

    def text(self) -> str:
        return str(self._expect(str, "a text"))

    def flag(self) -> bool:
        return bool(self._expect(bool, "true or false"))

    def number(self) -> int:
        return int(self._expect(int, "a whole number"))


def read_json(path: Path, name: str) -> Node:
    """Parse the file at ``path``, which messages call ``name``.

    Raises TraceError when it cannot be read, or is no JSON.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TraceError(f"{name}: no such file") from None
    except UnicodeDecodeError as error:
        raise TraceError(f"{name}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise TraceError(f"{name}: {error.strerror or error}") from None
    try:
        return Node(json.loads(text), name)
    except json.JSONDecodeError as error:
        line = text.split("\n")[error.lineno - 1]
        raise TraceError(
            "the file ends in the middle of the JSON text"
            if _is_cut(text, error)
            else f"not JSON: {error.msg}",
            location=Location(name, error.lineno, error.colno),
            # A whole file may be one line.
            source=line if 0 < len(line) <= 200 else None,
            advice="the file is damaged or incomplete: write it again with "
            "`pmaplab check ... -o FILE`",
        ) from None
    except (ValueError, RecursionError) as error:
        raise TraceError(f"{name}: not JSON that a trace may hold: {error}") from None


def _is_cut(text: str, error: json.JSONDecodeError) -> bool:
    """Whether what is wrong is that nothing more follows."""
    rest = text[error.pos :].strip()
    return error.msg.startswith("Unterminated") or any(
        word.startswith(rest) for word in ("true", "false", "null", "-")
    )
