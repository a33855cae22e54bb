"""What of the reference kernel may be interchangeable: its list, read from
kernels/freebsd/symmetries.toml, which says what the entries mean."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path

from pmaplab.frontends.kernel_python.source import PACKAGE_ROOT, display_name
from pmaplab.search.symmetry import INDEX, LIKE, SET, WORD, Kind, Values
from pmaplab.tomldata import Entry, read_toml

_FILE = PACKAGE_ROOT / "kernels/freebsd/symmetries.toml"
_KIND = ("name", "count", "objects", "cpus", "reason", "values")
_VALUES = ("how", "like", "mask", "blocks", "among", "fields", "locals", "reason")

_OPTION = re.compile(r"\[(\w+)\]")


def declared_symmetries(options: Mapping[str, int]) -> tuple[Kind, ...]:
    """The list for a system that is built with these options."""
    return read_symmetries(_FILE, options)


def read_symmetries(path: Path, options: Mapping[str, int]) -> tuple[Kind, ...]:
    """The kinds that a file declares.

    Raises InputError for a file that is not what symmetries.toml describes.
    """
    result: list[Kind] = []
    arrays: dict[str, str] = {}
    for entry in _read(path):
        _check(entry, _KIND)
        kind = Kind(
            entry.text("name"),
            _option(options, entry.text("count"), entry),
            entry.some_texts("objects"),
            tuple(_values(values, options) for values in entry.tables("values")),
            entry.flag("cpus"),
        )
        for array in kind.objects:
            if array in arrays:
                entry.fail(f"{array} has the objects of {arrays[array]} already")
            arrays[array] = kind.name
        result.append(kind)
    return tuple(result)


def _values(entry: Entry, options: Mapping[str, int]) -> Values:
    _check(entry, _VALUES)
    how, blocks = entry.text("how"), entry.data.get("blocks", 1)
    if how not in (INDEX, SET, LIKE):
        entry.fail(f"how is {how!r}", f"it is {INDEX}, {SET} or {LIKE}")
    if (how == LIKE) != entry.has("like"):
        entry.fail(f"the key `like` is for how = {LIKE!r}, and needed there")
    if not isinstance(blocks, int) or blocks < 1 or (entry.has("blocks") and how != INDEX):
        entry.fail(f"blocks is a number from 1 on, for how = {INDEX!r}")
    mask, among = entry.data.get("mask", WORD), 64
    if not isinstance(mask, int) or not 0 < mask <= WORD or (entry.has("mask") and how != LIKE):
        entry.fail(f"mask is a number of 64 bits, for how = {LIKE!r}")
    if entry.has("among"):
        if how != SET:
            entry.fail(f"the key `among` is for how = {SET!r}")
        among = _option(options, entry.text("among"), entry)
    fields = entry.some_texts("fields") if entry.has("fields") else ()
    fields = tuple(
        _OPTION.sub(lambda found: f"[{_option(options, found[1], entry)}]", f) for f in fields
    )
    local = entry.some_texts("locals") if entry.has("locals") else ()
    if not fields and not local:
        entry.fail("there are neither fields nor locals")
    like = entry.text("like") if how == LIKE else ""
    return Values(how, fields, local, blocks, 64 // max(1, min(among, 64)), like, mask)


def _option(options: Mapping[str, int], name: str, entry: Entry) -> int:
    if name not in options:
        entry.fail(f"there is no option {name!r}", f"there are {sorted(options)}")
    return options[name]


@functools.cache
def _read(path: Path) -> list[Entry]:
    return read_toml(path, display_name(path)).tables(("symmetry",))["symmetry"]


def _check(entry: Entry, allowed: tuple[str, ...]) -> None:
    """Only keys that there are, and a reason."""
    entry.only(*allowed)
    entry.text("reason")
