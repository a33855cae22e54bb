"""Writing results: to standard output, or whole files at once."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO

from rich.console import Console
from rich.text import Text

from pmaplab.errors import OutputError


def show(result: Text | str) -> None:
    """Write to standard output; raises OutputError when that fails."""
    stream = sys.stdout
    if stream is None:
        raise OutputError("standard output is closed")
    try:
        stream.write(result if isinstance(result, str) else rendered(result, stream))
        stream.flush()
    except OSError as error:
        raise stdout_error(error) from None


def rendered(text: Text, stream: IO[str]) -> str:
    """``text`` with the colours that ``stream`` can show; lines stay whole."""
    buffer = io.StringIO()
    # Colour only where the terminal has it and NO_COLOR does not forbid it.
    probe = Console(file=stream)
    system = probe.color_system if probe.is_terminal else None
    console = Console(
        file=buffer,
        color_system=system if system is None else "auto",
        force_terminal=system is not None,
        soft_wrap=True,
        highlight=False,
        emoji=False,
    )
    console.print(text, end="")
    return buffer.getvalue()


def stdout_error(error: OSError) -> OutputError:
    """What to say when standard output cannot be written; what is still
    buffered is dropped, so that Python does not try again at its exit."""
    drop_stdout()
    if error.errno == errno.EPIPE:
        return OutputError("standard output: the reader has closed the pipe")
    return OutputError(f"standard output: {error.strerror or error}")


def drop_stdout() -> None:
    """Send whatever is still written to standard output nowhere."""
    # A stream that is no real file has nothing left to be flushed into it.
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


class OutputFile:
    """A file that appears whole, or not at all.

    It is opened before the work begins, so that a folder that does not exist
    is noticed before hours of search and not after.  A target that is no
    regular file (a device, a pipe) is written directly.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._stream: IO[str] | None = None
        self._temporary: str | None = None

    def __enter__(self) -> OutputFile:
        target = Path(self.path)
        try:
            if target.is_dir():
                raise OutputError(f"{self.path}: is a directory")
            if target.exists() and not target.is_file():
                self._stream = target.open("w", encoding="utf-8")
                return self
            # Through a symbolic link, to the file that it stands for.
            target = Path(os.path.realpath(target))
            self._check_writable(target)
            handle, self._temporary = tempfile.mkstemp(
                prefix=f".{target.name}.", suffix=".tmp", dir=target.parent
            )
            mask = os.umask(0)
            os.umask(mask)
            Path(self._temporary).chmod(0o666 & ~mask)
            self._stream = os.fdopen(handle, "w", encoding="utf-8")
        except OSError as error:
            raise self._error(error) from None
        return self

    def _check_writable(self, target: Path) -> None:
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def write(self, text: str) -> None:
        """Put ``text`` into place; raises OutputError when that fails."""
        assert self._stream is not None
        try:
            self._stream.write(text)
            self._stream.flush()
            if self._temporary is not None:
                os.fsync(self._stream.fileno())
                Path(self._temporary).replace(os.path.realpath(self.path))
                self._temporary = None
        except OSError as error:
            raise self._error(error) from None

    def _error(self, error: OSError) -> OutputError:
        return OutputError(f"{self.path}: cannot be written: {error.strerror or error}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            # What cannot be written even now, write() has already reported.
            with contextlib.suppress(OSError):
                self._stream.close()
        if self._temporary is not None:
            Path(self._temporary).unlink(missing_ok=True)
