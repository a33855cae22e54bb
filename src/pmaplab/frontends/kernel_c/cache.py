"""What was parsed before, kept on disk by what it was parsed from.

An entry's name is a digest of everything that is known before parsing: the files
that are parsed, the table, the bounds, this front end, libclang.  It lists the
headers that were read with their digests, and counts only as long as these are
the same.  A cache that cannot be read or written is as good as none.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pmaplab.caches import cache_folder
from pmaplab.errors import Location
from pmaplab.frontends.kernel_c import clang
from pmaplab.frontends.kernel_c.api import Api
from pmaplab.frontends.kernel_c.nodes import (
    CFunction,
    CType,
    CVariable,
    Node,
    Parameter,
    Parsed,
)
from pmaplab.frontends.kernel_c.source import SourceTree

# The newest entries are kept.
_MOST = 64


def folder() -> Path:
    """Where the entries are."""
    return cache_folder() / "trees"


def key_of(tree: SourceTree, api: Api, maxcpu: int, limits: dict[str, int]) -> str:
    """The name of the entry for what is about to be parsed."""
    texts = {name: tree.read(name) for name in {*api.sources, *tree.changed} if tree.has(name)}
    known = [
        _front_end(),
        clang.version(),
        str(tree.root),
        maxcpu,
        sorted(limits.items()),
        api.texts,
        sorted((name, _digest(text)) for name, text in texts.items()),
    ]
    return _digest(json.dumps(known))


def load(key: str, tree: SourceTree) -> Parsed | None:
    """The entry of that name, if there is one and its headers are the same."""
    try:
        path = folder() / f"{key}.json.gz"
        data = json.loads(gzip.decompress(path.read_bytes()))
        for name, digest in data["headers"]:
            if not tree.has(name) or _digest(tree.read(name)) != digest:
                return None
        if any(tree.has(name) for name in data["absent"]):
            return None
        result = _Decoder(data).parsed()
        os.utime(path)
        return result
    except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError):
        return None


def store(key: str, tree: SourceTree, parsed: Parsed) -> None:
    """Keep what was parsed."""
    headers = [name.removeprefix("sys/") for name in parsed.headers if name.startswith("sys/")]
    data = _Encoder().parsed(parsed)
    data["headers"] = [[name, _digest(tree.read(name))] for name in headers if tree.has(name)]
    data["absent"] = list(parsed.absent)
    with contextlib.suppress(OSError):
        place = folder()
        place.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=place, suffix=".new")
        with os.fdopen(descriptor, "wb") as file:
            file.write(gzip.compress(json.dumps(data).encode(), compresslevel=1))
        Path(name).replace(place / f"{key}.json.gz")
        entries = sorted(place.glob("*.json.gz"), key=lambda path: path.stat().st_mtime)
        for old in entries[:-_MOST]:
            old.unlink(missing_ok=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


@functools.cache
def _front_end() -> str:
    """A digest of this front end."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return _digest("".join(path.read_text(encoding="utf-8") for path in files))


@dataclass
class _Encoder:
    """Types and names of files are written once, and then by number."""

    types: dict[CType, int] = field(default_factory=dict)
    type_list: list[Any] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)

    def parsed(self, parsed: Parsed) -> dict[str, Any]:
        functions = [self._function(f) for f in parsed.functions.values()]
        variables = [self._variable(v) for v in parsed.variables.values()]
        return {
            "functions": functions,
            "variables": variables,
            "ifuncs": parsed.ifuncs,
            "tunables": sorted(parsed.tunables),
            "missing": list(parsed.missing),
            "names": list(parsed.headers),
            "types": self.type_list,
            "files": list(self.files),
        }

    def _type(self, ctype: CType) -> int:
        if ctype not in self.types:
            target = None if ctype.target is None else self._type(ctype.target)
            self.types[ctype] = len(self.type_list)
            self.type_list.append(
                [ctype.kind, ctype.text, ctype.bits, ctype.signed, ctype.name, ctype.length, target]
            )
        return self.types[ctype]

    def _place(self, loc: Location) -> list[int]:
        file = self.files.setdefault(loc.file, len(self.files))
        return [file, loc.line, loc.column, loc.end_column]

    def _node(self, node: Node) -> list[Any]:
        return [
            node.kind,
            self._place(node.loc),
            self._type(node.type),
            [self._node(child) for child in node.children],
            node.name,
            node.ref,
            node.key,
            node.value,
        ]

    def _function(self, f: CFunction) -> list[Any]:
        parameters = [[p.name, p.key, self._type(p.type)] for p in f.parameters]
        return [f.name, self._place(f.loc), parameters, self._type(f.result), self._node(f.body)]

    def _variable(self, v: CVariable) -> list[Any]:
        initial = None if v.initial is None else self._node(v.initial)
        return [v.name, self._place(v.loc), self._type(v.type), v.defined, initial]


class _Decoder:
    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.types: list[CType] = []
        for kind, text, bits, signed, name, length, target in data["types"]:
            inner = None if target is None else self.types[target]
            self.types.append(CType(kind, text, bits, signed, name, length, inner))

    def parsed(self) -> Parsed:
        data = self.data
        functions = [self._function(*item) for item in data["functions"]]
        variables = [self._variable(*item) for item in data["variables"]]
        return Parsed(
            {f.name: f for f in functions},
            {v.name: v for v in variables},
            dict(data["ifuncs"]),
            frozenset(data["tunables"]),
            tuple(data["missing"]),
            tuple(data["absent"]),
            tuple(data["names"]),
        )

    def _place(self, place: list[int]) -> Location:
        file, line, column, end = place
        return Location(self.data["files"][file], line, column, end)

    def _node(self, item: list[Any]) -> Node:
        kind, place, ctype, children, name, ref, key, value = item
        inner = tuple(self._node(child) for child in children)
        return Node(kind, self._place(place), self.types[ctype], inner, name, ref, key, value)

    def _function(
        self, name: str, place: list[int], parameters: list[Any], result: int, body: list[Any]
    ) -> CFunction:
        found = tuple(Parameter(p[0], p[1], self.types[p[2]]) for p in parameters)
        return CFunction(name, self._place(place), found, self.types[result], self._node(body))

    def _variable(
        self, name: str, place: list[int], ctype: int, defined: bool, initial: list[Any] | None
    ) -> CVariable:
        node = None if initial is None else self._node(initial)
        return CVariable(name, self._place(place), self.types[ctype], defined, node)
