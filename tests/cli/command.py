"""Running the command line as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pmaplab

# The folder that Python has to know to find the package.
SOURCES = str(Path(pmaplab.__file__).resolve().parents[1])
COMMAND = [sys.executable, "-m", "pmaplab"]


def environment() -> dict[str, str]:
    """Without what would change how output is shown or buffered."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONUNBUFFERED", "NO_COLOR", "FORCE_COLOR", "COLUMNS")
    }
    return kept | {"PYTHONPATH": SOURCES}


def run(
    *arguments: str | Path,
    cwd: Path | None = None,
    stdout: int | IO[str] = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    """One command line; it gets no terminal and no input."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        timeout=120,
        check=False,
    )


def fails(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Bad usage or input: status 2, one clear message, no traceback."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert "Exception ignored" not in result.stderr
    assert "internal error" not in result.stderr
    for part in parts:
        assert part in result.stderr
