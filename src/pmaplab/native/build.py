"""Compiling a worker, and keeping what was compiled.

The runtime is compiled once, a model once for each program.  A worker is found
again by the contents of both, the compiler and its options.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from pmaplab.caches import CACHE_VARIABLE, cache_folder
from pmaplab.errors import ModelError

RUNTIME = Path(__file__).with_name("runtime")
_RUNTIME_OPTIONS = ("-std=gnu11", "-O3", "-pthread")
# A model's code runs once for what it depends on: it is compiled as fast as can be.
_MODEL_OPTIONS = ("-std=gnu11", "-O0", "-w")
# Workers kept, each of some 200 KB: more than the matrix, the review and the twins have
# together.  The ones used longest ago go first.
_MOST_KEPT = 500


class NoCompiler(Exception):
    """There is no C compiler on this machine, or it does not work."""


def find_compiler() -> str | None:
    """The C compiler: $CC, or the first of cc, gcc and clang that is there."""
    wanted = os.environ.get("CC")
    names = [wanted] if wanted else ["cc", "gcc", "clang"]
    return next((found for name in names if (found := shutil.which(name))), None)


def compiler() -> str:
    """The same; raises NoCompiler."""
    found = find_compiler()
    if found is None:
        raise NoCompiler("there is no C compiler on this machine")
    return found


@functools.cache
def _identity(path: str) -> str:
    try:
        found = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise NoCompiler(f"{path} cannot be run: {error.strerror or error}") from None
    return found.stdout


def worker(model: str, *, once: bool = False) -> Path:
    """The executable for the C text of a model; compiled if it is not there.

    One that is used ``once`` is kept apart, so that it takes no other's place.

    Raises NoCompiler, and ModelError when the folder cannot be written.
    """
    cc = compiler()
    key = _digest(_runtime_key(cc), model, *_MODEL_OPTIONS)
    folder = cache_folder() / "once" if once else cache_folder()
    path = folder / f"worker-{key[:32]}"
    if _is_whole(path):
        # Used just now: _prune() removes the others first.
        with contextlib.suppress(OSError):
            os.utime(_beside(path))
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="build-") as name:
            made = Path(name) / "worker"
            source = Path(name) / "model.c"
            source.write_text(model, encoding="utf-8")
            runtime = _runtime_object(cc, cache_folder())
            model_object = Path(name) / "model.o"
            include = f"-I{RUNTIME}"
            _run([cc, *_MODEL_OPTIONS, include, "-c", str(source), "-o", str(model_object)])
            objects = [str(model_object), str(runtime)]
            _run([cc, "-o", str(made), *objects, "-pthread", "-lm"])
            _keep(made, path)
        _prune(folder)
    except OSError as error:
        raise ModelError(
            f"{folder}: a worker cannot be built there: {error.strerror or error}",
            advice=f"set {CACHE_VARIABLE} to a folder that can be written, or use --engine python",
        ) from None
    return path


def _runtime_key(cc: str) -> str:
    sources = [path.read_text(encoding="utf-8") for path in sorted(RUNTIME.glob("*.[ch]"))]
    return _digest(_identity(cc), *sources, *_RUNTIME_OPTIONS)


def _runtime_object(cc: str, folder: Path) -> Path:
    """The runtime, compiled."""
    path = folder / f"runtime-{_runtime_key(cc)[:32]}.o"
    if not _is_whole(path):
        with tempfile.TemporaryDirectory(dir=folder, prefix="build-") as name:
            made = Path(name) / "made.o"
            _run([cc, *_RUNTIME_OPTIONS, "-c", str(RUNTIME / "runtime.c"), "-o", str(made)])
            _keep(made, path)
    return path


def _run(command: list[str]) -> None:
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        lines = found.stderr.strip().splitlines() or [f"status {found.returncode}"]
        raise NoCompiler(f"the C compiler {command[0]} does not work: {lines[0]}")


def _keep(made: Path, path: Path) -> None:
    """Put a file in its place, and its digest beside it."""
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    beside = made.with_name("digest")
    beside.write_text(digest, encoding="utf-8")
    made.replace(path)
    beside.replace(_beside(path))


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _is_whole(path: Path) -> bool:
    """Whether a kept file is there and is what it was."""
    try:
        wanted = _beside(path).read_text(encoding="utf-8")
        return hashlib.sha256(path.read_bytes()).hexdigest() == wanted
    except (OSError, UnicodeDecodeError):
        return False


def _prune(folder: Path) -> None:
    """Remove those used longest ago.  A worker that others run stays what it is for
    them; one that they are about to run is made again (asking)."""
    times: dict[Path, float] = {}
    for beside in folder.glob("worker-*.sha256"):
        # Another process may remove the same ones.
        with contextlib.suppress(OSError):
            times[beside] = beside.stat().st_mtime
    for beside in sorted(times, key=lambda path: times[path])[:-_MOST_KEPT]:
        with contextlib.suppress(OSError):
            beside.unlink()
            beside.with_name(beside.name.removesuffix(".sha256")).unlink()


def _digest(*texts: str) -> str:
    result = hashlib.sha256()
    for text in texts:
        data = text.encode()
        result.update(f"{len(data)}:".encode())
        result.update(data)
    return result.hexdigest()
