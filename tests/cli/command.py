"""Running the command line as a user does."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

import pmaplab

# The folder that Python has to know to find the package.
SOURCES = str(Path(pmaplab.__file__).resolve().parents[1])
# Seconds that a command line may take.
TIMEOUT = 120
COMMAND = [sys.executable, "-m", "pmaplab"]


def environment() -> dict[str, str]:
    """Without what would change how output is shown or buffered."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONUNBUFFERED", "NO_COLOR", "FORCE_COLOR", "COLUMNS")
    }
    return kept | {"PYTHONPATH": SOURCES}


class _Server:
    """Runs command lines (served.py); one for each process of pytest."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("served.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            start_new_session=True,
        )
        atexit.register(self.end)

    def run(self, arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        """One command line."""
        process = self.process
        assert process.stdin is not None and process.stdout is not None
        with tempfile.NamedTemporaryFile() as output, tempfile.NamedTemporaryFile() as errors:
            request = {
                "arguments": arguments,
                "environment": environment(),
                "files": [output.name, errors.name],
                "folder": str(folder),
            }
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            if not select.select([process.stdout], [], [], TIMEOUT)[0]:
                raise subprocess.TimeoutExpired(arguments, TIMEOUT)
            status = int(process.stdout.readline())
            texts = (file.read().decode() for file in (output, errors))
            return subprocess.CompletedProcess(arguments, status, *texts)

    def end(self) -> None:
        """End it, and what it may still run."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@functools.cache
def _server() -> _Server:
    return _Server()


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """One command line in a process of its own; it gets no terminal and no input."""
    try:
        return _server().run([*map(str, arguments)], cwd or Path.cwd())
    except subprocess.TimeoutExpired:
        _server().end()
        _server.cache_clear()
        raise


def run_alone(
    *arguments: str | Path, stdout: int | IO[str] = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """The same in a Python that is started for it."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        timeout=TIMEOUT,
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
