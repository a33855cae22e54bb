"""Unified diffs, applied in memory: of git, of svn and of ``diff -u``.

A hunk must match exactly; it may have moved within the file.  One without
context and without removed lines belongs where its line number says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pmaplab.errors import InputError, Location
from pmaplab.frontends.kernel_c.source import SourceTree, read_text

_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@dataclass(frozen=True)
class Hunk:
    """``old`` lines from line ``start`` on become ``new``; ``line`` is where the
    hunk stands in the patch."""

    start: int
    old: tuple[str, ...]
    new: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class FilePatch:
    """What a patch does to one file; ``path`` as the patch has it."""

    path: str
    hunks: tuple[Hunk, ...]
    line: int


class _Reader:
    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.lines = text.split("\n")
        if self.lines and self.lines[-1] == "":
            self.lines.pop()
        self.position = 0

    def error(self, message: str, line: int | None = None, advice: str | None = None) -> InputError:
        number = self.position + 1 if line is None else line
        source = self.lines[number - 1] if 0 < number <= len(self.lines) else None
        return InputError(
            message,
            location=Location(self.name, number, 1, len(source or "") + 1),
            source=source,
            advice=advice,
        )

    def read(self) -> list[FilePatch]:
        found: list[FilePatch] = []
        lines = self.lines
        while self.position < len(lines):
            line = lines[self.position].rstrip("\r")
            following = lines[self.position + 1] if self.position + 1 < len(lines) else ""
            if line.startswith("--- ") and following.startswith("+++ "):
                found.append(self._file())
            elif _HUNK.match(line):
                raise self.error("a hunk without the two lines that name its file")
            else:
                self.position += 1
        if not found:
            raise InputError(
                f"{self.name}: is no unified diff", advice="make one with git diff or diff -u"
            )
        return found

    def _file(self) -> FilePatch:
        first = self.position + 1
        names = [_name(self.lines[self.position + n].rstrip("\r")) for n in (0, 1)]
        if "/dev/null" in names:
            raise self.error(
                "a patch that creates or removes a file is not supported",
                advice="only files that are there can be changed",
            )
        self.position += 2
        hunks: list[Hunk] = []
        while self.position < len(self.lines):
            match = _HUNK.match(self.lines[self.position])
            if match is None:
                break
            hunks.append(self._hunk(match))
        if not hunks:
            raise self.error(f"no hunk for {names[1]}", first)
        return FilePatch(names[1], tuple(hunks), first)

    def _hunk(self, match: re.Match[str]) -> Hunk:
        first = self.position + 1
        start, removed, _, added = (1 if n is None else int(n) for n in match.groups())
        self.position += 1
        old: list[str] = []
        new: list[str] = []
        while len(old) < removed or len(new) < added:
            if self.position >= len(self.lines):
                raise self.error("the patch ends in the middle of a hunk", first)
            line = self.lines[self.position].rstrip("\r")
            sign, text = line[:1], line[1:]
            if sign in (" ", ""):  # mailers strip the blank of an empty line
                old.append(text)
                new.append(text)
            elif sign == "-":
                old.append(text)
            elif sign == "+":
                new.append(text)
            elif sign != "\\":
                raise self.error("a line of a hunk begins with a blank, + or -")
            if len(old) > removed or len(new) > added:
                raise self.error("a hunk has more lines than its head says", first)
            self.position += 1
        if self.position < len(self.lines) and self.lines[self.position].startswith("\\"):
            self.position += 1  # no newline at the end of the file
        return Hunk(start if removed else start + 1, tuple(old), tuple(new), first)


def _name(line: str) -> str:
    """The file that a ``---`` or ``+++`` line names."""
    text = line[4:].split("\t")[0].rstrip()
    # svn: ``sys/amd64/amd64/pmap.c (revision 1234)``
    return re.sub(r"\s+\((?:revision|working copy|nonexistent)[^)]*\)$", "", text)


def apply_patches(tree: SourceTree, patches: Sequence[str]) -> SourceTree:
    """``tree`` as the patch files leave it, one after the other.

    Raises InputError, with the place in the patch, for one that is no unified
    diff or that does not apply; then nothing is changed.
    """
    changed: dict[str, str] = dict(tree.changed)
    for name in patches:
        reader = _Reader(read_text(Path(name)), name)
        for part in reader.read():
            current = replace(tree, changed=changed)
            relative = _find(current, part.path)
            if relative is None:
                raise reader.error(
                    f"the tree has no file {part.path}",
                    part.line + 1,
                    "patches are made in the tree, or in a repository that holds its sys",
                )
            changed[relative] = _applied(reader, part, current.read(relative), relative)
    return replace(tree, changed=changed)


def _find(tree: SourceTree, path: str) -> str | None:
    """The tree's file for a path with some folders in front: a/sys/..., head/..."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        return None
    for first in range(len(parts)):
        relative = "/".join(parts[first:])
        if tree.has(relative):
            return relative
    return None


def _applied(reader: _Reader, part: FilePatch, text: str, relative: str) -> str:
    lines = text.split("\n")
    offset = 0
    least = 0
    for hunk in part.hunks:
        wanted = hunk.start - 1 + offset
        place = _place(lines, hunk.old, wanted, least)
        if place is None:
            found = lines[wanted] if 0 <= wanted < len(lines) else "the end of the file"
            raise reader.error(
                f"this hunk does not apply to sys/{relative}",
                hunk.line,
                f"line {wanted + 1} of the file is {found.strip()!r}; "
                "is the patch for this release?",
            )
        lines[place : place + len(hunk.old)] = hunk.new
        offset = place - (hunk.start - 1) + len(hunk.new) - len(hunk.old)
        least = place + len(hunk.new)
    return "\n".join(lines)


def _place(lines: Sequence[str], old: tuple[str, ...], wanted: int, least: int) -> int | None:
    """Where the lines ``old`` stand, as near to ``wanted`` as possible."""
    if not old:
        return wanted if least <= wanted <= len(lines) else None
    last = len(lines) - len(old)
    for distance in range(max(wanted - least, last - wanted, 0) + 1):
        for place in dict.fromkeys((wanted - distance, wanted + distance)):
            if least <= place <= last and tuple(lines[place : place + len(old)]) == old:
                return place
    return None
