"""A process that has loaded the command line, and runs each one in a fork of itself.

It is told a command line as a line of JSON, and answers with its exit status.  Loading
takes several times what most commands do.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from typing import BinaryIO, NoReturn

from pmaplab.cli.main import main
from pmaplab.machine.modes import MODES
from pmaplab.system import Bounds, build_system

_STREAMS = (0, 1, 2)


def serve() -> None:
    """Run one command line after another until there are no more."""
    # The kernel's files are parsed once.
    build_system("switch", (), MODES[0], Bounds(operations=1))
    gc.freeze()
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    for line in requests:
        child = os.fork()
        if child == 0:
            _run(json.loads(line), requests, answers)
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _run(request: dict[str, object], *ours: BinaryIO) -> NoReturn:
    """As a process of its own would: it ends with the interpreter."""
    for stream in ours:
        stream.close()
    arguments, environment, files = request["arguments"], request["environment"], request["files"]
    assert isinstance(arguments, list) and isinstance(environment, dict)
    assert isinstance(files, list)
    for number, name in zip(_STREAMS[1:], files, strict=True):
        file = os.open(str(name), os.O_WRONLY | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    os.chdir(str(request["folder"]))
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    sys.exit(main())


if __name__ == "__main__":
    serve()
