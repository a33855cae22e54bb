"""The ``pmaplab`` command."""

from __future__ import annotations

import argparse
import gc
import io
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from pmaplab import __version__
from pmaplab.cli import (
    bench,
    boot,
    check,
    compare,
    conform,
    export,
    litmus,
    mutate,
    review,
    tracecmd,
    tree,
    twins,
)
from pmaplab.cli.output import show
from pmaplab.cli.parallel import WorkerError, out_of_memory, use_ray
from pmaplab.errors import PmaplabError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

COMMANDS = (
    review,
    twins,
    check,
    tree,
    compare,
    conform,
    mutate,
    boot,
    litmus,
    export,
    bench,
    tracecmd,
)

# What the shell would say of a command that a signal has ended.
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
USAGE = 2
BUG = 70  # EX_SOFTWARE of sysexits.h


class Terminated(BaseException):
    """SIGTERM: the workers have to be ended first."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; the exit status.

    The one place where errors become messages.
    """
    _forgiving_streams()
    # Programs are many small objects that live long: cycles are looked for less often.
    gc.set_threshold(200_000, 20, 20)
    signal.signal(signal.SIGTERM, _terminate)
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        try:
            options = _parser().parse_args(words)
            use_ray(getattr(options, "ray", None))
            status = int(options.run(options))
        except SystemExit as error:
            # argparse: the help, the version, or a message about the usage.
            status = error.code if isinstance(error.code, int) else USAGE
        return status
    except PmaplabError as error:
        _say(str(error) if error.location else f"pmaplab: {error}")
        return USAGE
    except KeyboardInterrupt:
        _say("pmaplab: interrupted")
        return INTERRUPTED
    except Terminated:
        _say("pmaplab: terminated")
        return TERMINATED
    except MemoryError:
        _say(f"pmaplab: {out_of_memory()}")
        return USAGE
    except OSError as error:
        _say(f"pmaplab: {error}")
        return USAGE
    except Exception as error:
        _bug(error, debug="--debug" in words)
        return BUG


class _Parser(argparse.ArgumentParser):
    """Does not pass over a help text that cannot be written."""

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        if file is None:
            show(self.format_help())
        else:
            super().print_help(file)


class _Version(argparse.Action):
    """As argparse's own, but notices that it cannot be written."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        show(f"pmaplab {__version__}\n")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pmaplab",
        description="An executable model and exhaustive checker for the FreeBSD amd64 pmap layer.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    parser.add_argument(
        "--debug", action="store_true", help="show the traceback of an internal error"
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def _forgiving_streams() -> None:
    """A character that the terminal does not have is no reason to stop."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _terminate(*_: object) -> NoReturn:
    raise Terminated


def _bug(error: Exception, *, debug: bool) -> None:
    """Own up to an error that is no mistake of the user's."""
    lines = traceback.format_exception(error)
    text = str(error) if isinstance(error, WorkerError) else "".join(lines)
    last = text.strip().splitlines()[-1]
    if debug:
        _say(text.rstrip())
    advice = "" if debug else "; `pmaplab --debug ...` shows the traceback"
    _say(f"pmaplab: internal error: {last}\nThis is a bug of pmaplab{advice}.")


def _say(message: str) -> None:
    """Write to standard error; there is nobody to tell when that fails."""
    try:
        if sys.stderr is not None:
            print(message, file=sys.stderr, flush=True)
    except OSError:
        pass
