"""A kernel's tree: finding it, and reading its files, patched or not."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pmaplab.errors import InputError, Location, PmaplabError, TreeError

# What every tree for amd64 has.
_PARAM = "sys/param.h"
_PMAP = "amd64/amd64/pmap.c"
_VERSION = re.compile(r"^#define\s+__FreeBSD_version\s+(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class CSource:
    """The text of one file of a tree, for messages and traces."""

    name: str
    text: str

    @functools.cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    def line(self, number: int) -> str:
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def located(self, error: PmaplabError) -> TreeError:
        """An error of the IR as one of the source, with its line."""
        assert error.location is not None
        return TreeError(
            error.message.replace("%", ""),
            location=error.location,
            source=self.line(error.location.line),
            advice=error.advice,
        )


@dataclass(frozen=True)
class SourceTree:
    """``root`` is the folder with the content of /usr/src/sys; ``changed`` holds
    the texts of files that patches change, by their path below it."""

    root: Path
    version: int
    changed: Mapping[str, str] = field(default_factory=dict)

    @property
    def release(self) -> str:
        """As uname says it, roughly: 13.0 for 1300010."""
        return f"{self.version // 100000}.{self.version // 1000 % 100}"

    def read(self, relative: str) -> str:
        """The text of a file; raises InputError where there is none."""
        if relative in self.changed:
            return self.changed[relative]
        return read_text(self.root / relative)

    def has(self, relative: str) -> bool:
        return relative in self.changed or (self.root / relative).is_file()

    def show(self, path: str) -> str:
        """How messages and traces call a file: ``sys/`` and its path below."""
        try:
            return f"sys/{Path(path).relative_to(self.root).as_posix()}"
        except ValueError:
            return path


def find_tree(folder: str) -> SourceTree:
    """The tree at ``folder``, which is /usr/src or its sys.

    Raises InputError for a folder that is none, or none for amd64.
    """
    given = Path(folder)
    if not given.exists():
        raise InputError(f"{folder}: no such folder")
    if not given.is_dir():
        raise InputError(f"{folder}: is a file, not a kernel's tree")
    for root in (given / "sys", given):
        if (root / _PARAM).is_file():
            break
    else:
        raise InputError(
            f"{folder}: is no FreeBSD tree: there is no sys/{_PARAM}",
            advice="give the folder that holds sys, such as /usr/src",
        )
    found = _VERSION.search(read_text(root / _PARAM))
    if found is None:
        raise InputError(
            f"{root / _PARAM}: has no __FreeBSD_version",
            advice="only FreeBSD's kernel is supported",
        )
    if not (root / _PMAP).is_file():
        others = sorted(
            p.parent.parent.name
            for p in root.glob("*/*/pmap.c")
            if p.parent.name == p.parent.parent.name
        )
        raise InputError(
            f"{folder}: has no sys/{_PMAP}"
            + (f", only a pmap for {', '.join(others)}" if others else ""),
            advice="the C front end checks the pmap of amd64",
        )
    return SourceTree(root.resolve(), int(found[1]))


def read_text(path: Path) -> str:
    """The text of a file; kernel sources are UTF-8, or Latin-1 in old comments."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def with_line(error: PmaplabError, tree: SourceTree) -> PmaplabError:
    """Give an error the source line of its place, if it is in the tree."""
    where = error.location
    if where is not None and error.source is None and where.file.startswith("sys/"):
        relative = where.file.removeprefix("sys/")
        if tree.has(relative):
            error.source = CSource(where.file, tree.read(relative)).line(where.line)
    return error


def line_of(tree: SourceTree, where: Location) -> str:
    relative = where.file.removeprefix("sys/")
    return CSource(where.file, tree.read(relative)).line(where.line) if tree.has(relative) else ""
