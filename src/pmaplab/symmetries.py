"""What of the reference kernel may be interchangeable: its list, read from
kernels/freebsd/symmetries.toml, which says what the entries mean."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pmaplab.errors import InputError
from pmaplab.frontends.kernel_python.source import PACKAGE_ROOT, display_name
from pmaplab.search.symmetry import INDEX, LIKE, SET, WORD, Kind, Values

_FILE = PACKAGE_ROOT / "kernels/freebsd/symmetries.toml"
_KIND = {"name", "count", "objects", "cpus", "reason", "values"}
_VALUES = {"how", "like", "mask", "blocks", "among", "fields", "locals", "reason"}

_OPTION = re.compile(r"\[(\w+)\]")


def declared_symmetries(options: Mapping[str, int]) -> tuple[Kind, ...]:
    """The list for a system that is built with these options."""
    return read_symmetries(_FILE, options)


def read_symmetries(path: Path, options: Mapping[str, int]) -> tuple[Kind, ...]:
    """The kinds that a file declares.

    Raises InputError for a file that is not what symmetries.toml describes.
    """
    name = display_name(path)
    result: list[Kind] = []
    arrays: dict[str, str] = {}
    for number, entry in enumerate(_tables(_read(path), "symmetry", name), 1):
        where = f"{name}: [[symmetry]] {number}"
        _check(entry, _KIND, where)
        kind = Kind(
            _text(entry, "name", where),
            _option(options, _text(entry, "count", where), where),
            _texts(entry, "objects", where),
            tuple(
                _values(values, options, f"{where}, [[symmetry.values]] {at}")
                for at, values in enumerate(_tables(entry, "values", where), 1)
            ),
            entry.get("cpus", False) is True,
        )
        for array in kind.objects:
            if array in arrays:
                raise InputError(f"{where}: {array} has the objects of {arrays[array]} already")
            arrays[array] = kind.name
        result.append(kind)
    return tuple(result)


def _values(entry: dict[str, Any], options: Mapping[str, int], where: str) -> Values:
    _check(entry, _VALUES, where)
    how, blocks = _text(entry, "how", where), entry.get("blocks", 1)
    if how not in (INDEX, SET, LIKE):
        raise InputError(f"{where}: how is {how!r}", advice=f"it is {INDEX}, {SET} or {LIKE}")
    if (how == LIKE) != ("like" in entry):
        raise InputError(f"{where}: the key `like` is for how = {LIKE!r}, and needed there")
    if not isinstance(blocks, int) or blocks < 1 or ("blocks" in entry and how != INDEX):
        raise InputError(f"{where}: blocks is a number from 1 on, for how = {INDEX!r}")
    mask, among = entry.get("mask", WORD), 64
    if not isinstance(mask, int) or not 0 < mask <= WORD or ("mask" in entry and how != LIKE):
        raise InputError(f"{where}: mask is a number of 64 bits, for how = {LIKE!r}")
    if "among" in entry:
        if how != SET:
            raise InputError(f"{where}: the key `among` is for how = {SET!r}")
        among = _option(options, _text(entry, "among", where), where)
    fields = _texts(entry, "fields", where) if "fields" in entry else ()
    fields = tuple(
        _OPTION.sub(lambda found: f"[{_option(options, found[1], where)}]", f) for f in fields
    )
    local = _texts(entry, "locals", where) if "locals" in entry else ()
    if not fields and not local:
        raise InputError(f"{where}: there are neither fields nor locals")
    like = _text(entry, "like", where) if how == LIKE else ""
    return Values(how, fields, local, blocks, 64 // max(1, min(among, 64)), like, mask)


def _option(options: Mapping[str, int], name: str, where: str) -> int:
    if name not in options:
        raise InputError(
            f"{where}: there is no option {name!r}", advice=f"there are {sorted(options)}"
        )
    return options[name]


@functools.cache
def _read(path: Path) -> dict[str, Any]:
    name = display_name(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name}: {error}", advice="the file must be TOML") from None
    if set(data) - {"symmetry"}:
        raise InputError(f"{name}: there is no table [[{min(set(data) - {'symmetry'})}]]")
    return data


def _tables(data: dict[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    tables = data.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(entry, dict) for entry in tables):
        raise InputError(f"{where}: {key} is no list of tables", advice=f"write [[{key}]]")
    return tables


def _check(entry: dict[str, Any], allowed: set[str], where: str) -> None:
    """Only keys that there are, and a reason."""
    unknown = set(entry) - allowed
    if unknown:
        raise InputError(
            f"{where}: there is no key {min(unknown)!r}", advice=f"there are {sorted(allowed)}"
        )
    _text(entry, "reason", where)


def _text(entry: dict[str, Any], key: str, where: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise InputError(f"{where}: {key} is missing, or no text")
    return value


def _texts(entry: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = entry.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise InputError(f"{where}: {key} is missing, or no list of texts")
    return tuple(value)
