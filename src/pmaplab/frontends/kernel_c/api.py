"""The table that gives the kernel's interfaces their meaning: docs/kernel-c.md.

It is read from kernels/freebsd/tree/api.toml, and from the user's files behind
it.  A later entry for a name takes the place of an earlier one.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pmaplab.errors import InputError
from pmaplab.frontends.kernel_python.source import PACKAGE_ROOT
from pmaplab.tomldata import read_toml

DEFAULT = PACKAGE_ROOT / "kernels/freebsd/tree/api.toml"
OPERATIONS = (
    "add", "sub", "or", "and-not", "xchg", "fetchadd", "fetch-clear", "cmpset", "fcmpset", "load",
    "store", "fence", "nothing", "pause", "panic", "zero", "copy",
    "count", "ffs",
)  # fmt: skip


@dataclass(frozen=True)
class Meaning:
    """A call of a C function is one of a kernel Python function.

    ``arguments`` are the positions of C arguments, ``"0.field"`` for a field of
    the structure that one points to; None for all as they are.  After one that
    ``ends``, the C does not go on; one that ``looks`` changes nothing.
    """

    function: str
    arguments: tuple[str, ...] | None
    ends: bool
    looks: bool
    reason: str


@dataclass(frozen=True)
class Label:
    """A point worth reaching: behind a store to ``store`` or a call of ``call``,
    or where ``count`` is counted, in what ``below`` reaches."""

    label: str
    store: str | None
    count: str | None
    call: str | None
    below: str


@dataclass(frozen=True)
class Instead:
    """What runs in place of a function that kernel Python calls by name: ``function``
    of the tree, where the release does not have the one of that name; or ``function``
    of kernel Python, where it ``has`` another."""

    function: str
    reason: str
    has: str | None


@dataclass
class Api:
    """What the tables say, by name."""

    # File below sys: the functions that are taken out of it.
    sources: dict[str, list[str]] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    model: dict[str, Meaning] = field(default_factory=dict)
    operations: dict[str, str] = field(default_factory=dict)
    drop: dict[str, str] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    prefixes: dict[str, str] = field(default_factory=dict)
    counters: dict[str, str] = field(default_factory=dict)
    at_once: dict[str, str] = field(default_factory=dict)
    this_cpu: dict[str, str] = field(default_factory=dict)
    instead: dict[str, Instead] = field(default_factory=dict)
    labels: list[Label] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def operation(self, name: str) -> str | None:
        """What an atomic operation or the like does."""
        for pattern in reversed(self.operations):
            if fnmatch.fnmatchcase(name, pattern):
                return self.operations[pattern]
        return None

    def leaf(self, name: str) -> bool:
        """Whether a function has a meaning here, so that its body is not read."""
        return name in self.model or name in self.drop or self.operation(name) is not None

    @property
    def looks(self) -> frozenset[str]:
        """The kernel Python functions that only look."""
        return frozenset(m.function for m in self.model.values() if m.looks)

    @property
    def asked(self) -> frozenset[str]:
        """The fields of local structures that calls are asked for."""
        texts = [text for m in self.model.values() for text in m.arguments or ()]
        return frozenset(text.partition(".")[2] for text in texts if "." in text)

    @property
    def roots(self) -> list[str]:
        return [name for names in self.sources.values() for name in names]


def read_api(extra: Sequence[str] = ()) -> Api:
    """The tables of the tool and then those of ``extra``.

    Raises InputError for a file that is none.
    """
    api = Api()
    for path, name in [(DEFAULT, "api.toml"), *((Path(path), path) for path in extra)]:
        file = read_toml(path, name)
        api.texts.append(file.text)
        _Reader(api, name).read(file.data)
    return api


class _Reader:
    def __init__(self, api: Api, file: str) -> None:
        self.api = api
        self.file = file

    def read(self, data: dict[str, Any]) -> None:
        known = {
            "source": self.source, "model": self.model, "operation": self.operation,
            "drop": self.drop, "outside": self.outside, "name": self.name,
            "counter": self.counter, "at_once": self.at_once, "this_cpu": self.this_cpu,
            "instead": self.instead, "label": self.label,
        }  # fmt: skip
        for table, entries in data.items():
            if table not in known:
                raise InputError(
                    f"{self.file}: there is no table [[{table}]]",
                    advice=f"there are {', '.join(known)}",
                )
            if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
                raise InputError(f"{self.file}: {table} is no list", advice=f"write [[{table}]]")
            for number, entry in enumerate(entries, 1):
                known[table](_Entry(entry, f"{self.file}: [[{table}]] {number}"))

    def source(self, entry: _Entry) -> None:
        functions = self.api.sources.setdefault(entry.text("file"), [])
        functions += [name for name in entry.texts("functions") if name not in functions]
        entry.end()

    def model(self, entry: _Entry) -> None:
        if (module := entry.optional("module")) is not None:
            self.api.modules.append(module)
            entry.end()
            return
        reason = entry.text("reason")
        arguments = entry.texts("arguments") if entry.has("arguments") else None
        ends, looks = entry.flag("ends"), entry.flag("looks")
        function = entry.optional("function")
        names = [entry.text("name")] if entry.has("name") else list(entry.texts("names"))
        entry.end()
        for name in names:
            self._new(name)
            self.api.model[name] = Meaning(function or name, arguments, ends, looks, reason)

    def operation(self, entry: _Entry) -> None:
        operation = entry.text("does")
        if operation not in OPERATIONS:
            raise InputError(
                f"{entry.where}: there is no operation {operation!r}",
                advice=f"there are {', '.join(OPERATIONS)}",
            )
        for name in entry.texts("names"):
            self._new(name)
            self.api.operations[name] = operation
        entry.end()

    def _new(self, name: str) -> None:
        for table in (self.api.model, self.api.drop, self.api.operations):
            table.pop(name, None)

    def drop(self, entry: _Entry) -> None:
        reason = entry.text("reason")
        for name in entry.texts("names"):
            self._new(name)
            self.api.drop[name] = reason
        entry.end()

    def outside(self, entry: _Entry) -> None:
        self._each(entry, self.api.outside)

    def counter(self, entry: _Entry) -> None:
        self._each(entry, self.api.counters)

    def at_once(self, entry: _Entry) -> None:
        self._each(entry, self.api.at_once)

    def this_cpu(self, entry: _Entry) -> None:
        self._each(entry, self.api.this_cpu)

    def _each(self, entry: _Entry, table: dict[str, str]) -> None:
        reason = entry.text("reason")
        for name in entry.texts("names"):
            table[name] = reason
        entry.end()

    def name(self, entry: _Entry) -> None:
        c = entry.text("c")
        if (prefix := entry.optional("prefix")) is not None:
            self.api.prefixes[c] = prefix
        if (name := entry.optional("is")) is not None:
            self.api.names[c] = name
        if (reason := entry.optional("given")) is not None:
            self.api.given[c] = reason
        entry.end()

    def instead(self, entry: _Entry) -> None:
        instead = Instead(entry.text("function"), entry.text("reason"), entry.optional("has"))
        for name in entry.texts("names"):
            self.api.instead[name] = instead
        entry.end()

    def label(self, entry: _Entry) -> None:
        label = Label(
            entry.text("label"),
            entry.optional("store"),
            entry.optional("count"),
            entry.optional("call"),
            entry.text("below"),
        )
        entry.end()
        self.api.labels.append(label)


class _Entry:
    def __init__(self, data: dict[str, Any], where: str) -> None:
        self.data = dict(data)
        self.where = where

    def has(self, key: str) -> bool:
        return key in self.data

    def optional(self, key: str) -> str | None:
        return self.text(key) if key in self.data else None

    def text(self, key: str) -> str:
        value = self.data.pop(key, None)
        if not isinstance(value, str) or not value:
            raise InputError(f"{self.where}: {key} is missing, or no text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.data.pop(key, None)
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise InputError(f"{self.where}: {key} is missing, or no list of texts")
        return tuple(value)

    def flag(self, key: str) -> bool:
        value = self.data.pop(key, False)
        if not isinstance(value, bool):
            raise InputError(f"{self.where}: {key} is true or false")
        return value

    def end(self) -> None:
        if self.data:
            raise InputError(f"{self.where}: there is no key {min(self.data)!r}")
