"""Checkpoints of native searches: where they are, and whose they are.

The worker writes and reads them (runtime/checkpoint.c); the first line of each
says what search it belongs to.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pmaplab.errors import UsageError

FILE = "search"
FORMAT = "pmaplab-checkpoint-4"
SECONDS = 60.0


def identity(model: str, question: str) -> str:
    """What search it is: the C text of its model, and what the worker is told."""
    digest = hashlib.sha256(f"{len(model)}:{model}{question}".encode()).hexdigest()
    return f"{FORMAT}-{digest}"


def prepare(folder: Path, name: str) -> None:
    """Make the folder; raises UsageError where it cannot be made, or holds the
    checkpoint of another search than ``name``."""
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            return
        with path.open("rb") as file:
            line = file.readline(200)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    found = line.decode("ascii", errors="replace").strip()
    if found == name:
        return
    if found.startswith(FORMAT) and len(found) == len(name):
        why, advice = "is of another search", "name another folder, or the same options as then"
    else:
        why, advice = "is no checkpoint, or a damaged one", "remove it to begin again"
    raise UsageError(f"{path} {why}", advice=advice)


def belongs(folder: Path, name: str) -> bool:
    """Whether the folder has a checkpoint of the search ``name``."""
    try:
        with (folder / FILE).open("rb") as file:
            return file.readline(200).decode("ascii", errors="replace").strip() == name
    except OSError:
        return False
