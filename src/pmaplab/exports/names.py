"""Identifiers for the languages that the exports are written in."""

from __future__ import annotations

import re
from collections.abc import Iterable


def identifiers(names: Iterable[str], prefix: str) -> dict[str, str]:
    """An identifier for each name: like it, different from the others, and
    with a prefix that keeps it apart from the words of the language."""
    result: dict[str, str] = {}
    used: set[str] = set()
    for name in names:
        plain = prefix + re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
        text, number = plain, 1
        while text.lower() in used:
            number += 1
            text = f"{plain}_{number}"
        used.add(text.lower())
        result[name] = text
    return result


def one_line(text: str) -> str:
    """``text`` without what would end a string or a comment, or be taken for
    structure by a reader that counts braces."""
    shown = "".join(char if " " <= char <= "~" else "?" for char in text)
    return shown.translate(str.maketrans('{}"\\', "()''")).replace("/*", "/ *").replace("*/", "* /")
