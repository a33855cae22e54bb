"""Systems that were prepared before, kept on disk by all that they are made from.

An entry's name is a digest of the whole package (kernel, machine, scenarios, properties,
and the code that lowers them), the version of Python, and the run: bounds, mode and the
contents of the user's files.  What is in an entry carries a digest of its own, and is made
again if it is damaged.  Nothing is kept where files change meanwhile, nor of trees, which
read more files than are known before.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import stat
import sys
import tempfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pmaplab import STARTED
from pmaplab.caches import cache_folder
from pmaplab.errors import PmaplabError
from pmaplab.frontends.kernel_python.source import PACKAGE_ROOT
from pmaplab.native.prepared import Prepared
from pmaplab.spec import RunSpec, digest

Kept = TypeVar("Kept")

# The newest entries are kept.
_MOST = 1000
# Seconds by which clocks of files may be behind.
_COARSE = 0.05


@dataclass(frozen=True, slots=True)
class KeptSystem:
    """``assumptions`` are what a verdict on the system rests on; ``exemptions`` have the
    function and the reason by region."""

    prepared: Prepared
    assumptions: tuple[str, ...]
    exemptions: Mapping[str, tuple[str, str]]


def folder() -> Path:
    """Where the entries are."""
    return cache_folder() / "systems"


def key_of(spec: RunSpec, *more: str) -> str | None:
    """The name of the entry of a run; None for one of which nothing is kept.  ``more`` tells
    apart what else is kept of it."""
    package = _package()
    if spec.tree is not None or package is None:
        return None
    try:
        files = [(path, str(Path(path).resolve()), digest(path)) for path in spec.user_files]
    except (PmaplabError, OSError):
        # Building it will give the account.
        return None
    # All that a run has, whatever it will have one day.
    run = asdict(replace(spec, digests=()))
    known = [package.digest, sys.version, run, files, *more]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def load(key: str) -> KeptSystem | None:
    """The entry of that name, if there is one and it is whole."""
    return load_data(key, _kept_system)


def _kept_system(data: Any) -> KeptSystem:
    return KeptSystem(
        Prepared.from_json(data["prepared"]),
        tuple(data["assumptions"]),
        {region: (function, reason) for region, function, reason in data["exemptions"]},
    )


def load_data(key: str, decoded: Callable[[Any], Kept]) -> Kept | None:
    """What the entry of that name has, if there is one and it is whole; ``decoded`` makes
    it from JSON data, or raises KeyError, TypeError or ValueError."""
    path = folder() / key
    try:
        kept = path.read_bytes()
        if not kept.startswith(_seal(key, kept[_SEAL:])):
            return None
        result = decoded(json.loads(zlib.decompress(kept[_SEAL:])))
        # Used just now: others go first.
        os.utime(path)
        return result
    except (OSError, ValueError, KeyError, TypeError, zlib.error):
        return None


def store(key: str, spec: RunSpec, kept: KeptSystem) -> None:
    """Keep the system of a run that had this key before it was built."""
    data = {
        "prepared": kept.prepared.to_json(),
        "assumptions": kept.assumptions,
        "exemptions": [[region, *named] for region, named in kept.exemptions.items()],
    }
    store_data(key, key_of(spec), data)


def store_data(key: str, now: str | None, data: Mapping[str, Any]) -> None:
    """Keep JSON data of a run that had this key before it was built, and has the key
    ``now``."""
    if now != key or not _is_unchanged():
        return
    content = zlib.compress(json.dumps(data).encode(), 1)
    # A cache that cannot be written is as good as none.
    with contextlib.suppress(OSError):
        place = folder()
        place.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=place, suffix=".new")
        with os.fdopen(descriptor, "wb") as file:
            file.write(_seal(key, content) + content)
        Path(name).replace(place / key)
        _prune(place)


# The length of what stands before the content.
_SEAL = hashlib.sha256().digest_size


def _seal(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + content).digest()


def _prune(place: Path) -> None:
    times: dict[Path, float] = {}
    for path in place.iterdir():
        # Another process may remove the same ones.
        with contextlib.suppress(OSError):
            times[path] = path.stat().st_mtime
    for path in sorted(times, key=lambda path: times[path])[:-_MOST]:
        path.unlink(missing_ok=True)


# --- the package -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Package:
    """The files of a folder: a digest of their names and contents, and how each of them
    looked from outside."""

    digest: str
    files: tuple[tuple[str, int, int], ...]


def read_package(root: Path, before: float) -> Package | None:
    """The files below ``root``; None where one has changed since the time ``before``: a
    process that began then may have read another one."""
    files = _files(root)
    if not files or any(changed >= (before - _COARSE) * 1e9 for _, changed, _ in files):
        return None
    result = hashlib.sha256()
    for name, _, _ in files:
        content = (root / name).read_bytes()
        result.update(f"{name}\0{len(content)}\0".encode())
        result.update(content)
    return Package(result.hexdigest(), files) if _files(root) == files else None


def _files(root: Path) -> tuple[tuple[str, int, int], ...]:
    """The name, the time of the last change in nanoseconds, and the size of each file."""
    result = []
    for path in sorted(root.rglob("*")):
        found = path.stat()
        if stat.S_ISREG(found.st_mode) and path.parent.name != "__pycache__":
            name = str(path.relative_to(root))
            result.append((name, found.st_ctime_ns, found.st_size))
    return tuple(result)


@functools.cache
def _package() -> Package | None:
    try:
        return read_package(PACKAGE_ROOT, STARTED)
    except OSError:
        return None


def _is_unchanged() -> bool:
    package = _package()
    try:
        return package is not None and _files(PACKAGE_ROOT) == package.files
    except OSError:
        return False
