"""The table that gives the kernel's interfaces their meaning: docs/kernel-c.md.

It is read from kernels/freebsd/tree/api.toml, and from the user's files behind
it.  A later entry for a name takes the place of an earlier one.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pmaplab.frontends.kernel_python.source import PACKAGE_ROOT
from pmaplab.tomldata import Entry, TomlFile, read_toml

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
        _Reader(api).read(file)
    return api


class _Reader:
    def __init__(self, api: Api) -> None:
        self.api = api

    def read(self, file: TomlFile) -> None:
        known = {
            "source": self.source, "model": self.model, "operation": self.operation,
            "drop": self.drop, "outside": self.outside, "name": self.name,
            "counter": self.counter, "at_once": self.at_once, "this_cpu": self.this_cpu,
            "instead": self.instead, "label": self.label,
        }  # fmt: skip
        for table, entries in file.tables(known).items():
            for entry in entries:
                known[table](entry)

    def source(self, entry: Entry) -> None:
        entry.only("file", "functions")
        functions = self.api.sources.setdefault(entry.text("file"), [])
        functions += [name for name in entry.texts("functions") if name not in functions]

    def model(self, entry: Entry) -> None:
        if (module := entry.optional_text("module")) is not None:
            entry.only("module")
            self.api.modules.append(module)
            return
        key = "name" if entry.has("name") else "names"
        entry.only(key, "arguments", "ends", "looks", "function", "reason")
        reason, arguments = entry.text("reason"), entry.optional_texts("arguments")
        ends, looks = entry.flag("ends"), entry.flag("looks")
        function = entry.optional_text("function")
        for name in entry.texts(key) if key == "names" else (entry.text(key),):
            self._new(name)
            self.api.model[name] = Meaning(function or name, arguments, ends, looks, reason)

    def operation(self, entry: Entry) -> None:
        entry.only("names", "does")
        operation = entry.text("does")
        if operation not in OPERATIONS:
            entry.fail(f"there is no operation {operation!r}", f"there are {', '.join(OPERATIONS)}")
        for name in entry.texts("names"):
            self._new(name)
            self.api.operations[name] = operation

    def _new(self, name: str) -> None:
        for table in (self.api.model, self.api.drop, self.api.operations):
            table.pop(name, None)

    def drop(self, entry: Entry) -> None:
        entry.only("names", "reason")
        reason = entry.text("reason")
        for name in entry.texts("names"):
            self._new(name)
            self.api.drop[name] = reason

    def outside(self, entry: Entry) -> None:
        self._each(entry, self.api.outside)

    def counter(self, entry: Entry) -> None:
        self._each(entry, self.api.counters)

    def at_once(self, entry: Entry) -> None:
        self._each(entry, self.api.at_once)

    def this_cpu(self, entry: Entry) -> None:
        self._each(entry, self.api.this_cpu)

    def _each(self, entry: Entry, table: dict[str, str]) -> None:
        entry.only("names", "reason")
        reason = entry.text("reason")
        for name in entry.texts("names"):
            table[name] = reason

    def name(self, entry: Entry) -> None:
        entry.only("c", "prefix", "is", "given")
        c = entry.text("c")
        if (prefix := entry.optional_text("prefix")) is not None:
            self.api.prefixes[c] = prefix
        if (name := entry.optional_text("is")) is not None:
            self.api.names[c] = name
        if (reason := entry.optional_text("given")) is not None:
            self.api.given[c] = reason

    def instead(self, entry: Entry) -> None:
        entry.only("names", "function", "reason", "has")
        instead = Instead(entry.text("function"), entry.text("reason"), entry.optional_text("has"))
        for name in entry.texts("names"):
            self.api.instead[name] = instead

    def label(self, entry: Entry) -> None:
        entry.only("label", "store", "count", "call", "below")
        label = Label(
            entry.text("label"),
            entry.optional_text("store"),
            entry.optional_text("count"),
            entry.optional_text("call"),
            entry.text("below"),
        )
        self.api.labels.append(label)
