"""The same jobs on Ray, which is an optional package: ``--ray ADDRESS``.

Jobs and answers travel as plain data.  What a job names by its path must be there
on the machine that does it, under the same path.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import socket
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pmaplab
from pmaplab.caches import CACHE_VARIABLE
from pmaplab.cli.progress import ProgressBar
from pmaplab.errors import InputError, ModelError, PmaplabError, UsageError

LOCAL, AUTO = "local", "auto"
CLIENT = "ray://"
# Seconds for a cluster to answer at all.
PATIENCE = 5.0
# What decides where a worker keeps its caches.
_ENVIRONMENT = (CACHE_VARIABLE, "XDG_CACHE_HOME")
# What a client says first to whoever speaks gRPC, which is HTTP/2 (RFC 9113, 3.4), and
# the type in the header of the frame that comes back.
_HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_SETTINGS = b"\4"
_FRAME = 9
_INSTALL = "pip install 'pmaplab[ray]'; without --ray the jobs run on this machine's cores"
_ADDRESSES = f"it is {LOCAL}, {AUTO}, HOST:PORT or {CLIENT}HOST:PORT"

Work = Callable[[Any, Callable[[str], None]], Any]


def run_on_ray(address: str, jobs: Sequence[Any], work: Work, bar: ProgressBar) -> list[Any]:
    """``work`` done for every job on the cluster at ``address``; the answers are in
    the order of the jobs.

    Raises UsageError where there is no Ray or no cluster, what a job raised, and
    ModelError for a worker that has died.
    """
    ray = _package()
    with _connected(ray, address):
        return _run(ray, jobs, work, bar)


def check_ray(address: str) -> None:
    """Raises UsageError where there is no Ray, or nobody at the address."""
    _package()
    _check_address(address)


def _package() -> Any:
    # Before it is imported: what it says on its own belongs nowhere.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        name = error.name or "ray"
        missing = "Ray, which is not installed" if name == "ray" else f"{name}: {error}"
        raise UsageError(f"--ray needs {missing}", advice=_INSTALL) from None


def _check_address(address: str) -> None:
    if address in (LOCAL, AUTO):
        return
    host, colon, port = address.removeprefix(CLIENT).rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"{address!r} is no address of a Ray cluster", advice=_ADDRESSES)
    # Ray itself tries for minutes.
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE) as there:
            there.sendall(_HTTP2)
            answer = there.recv(_FRAME)
    except OSError as error:
        raise _unreachable(address, error.strerror or str(error)) from None
    if answer[3:4] != _SETTINGS:
        raise _unreachable(address, "what answers is something else")


def _unreachable(address: str, why: str) -> UsageError:
    return UsageError(
        f"there is no Ray cluster at {address}: {why}",
        advice=f"`ray start --head` starts one; --ray {LOCAL} uses this machine",
    )


@contextlib.contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """Connected to the cluster; signals are handled as before."""
    _check_address(address)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        options["include_dashboard"] = False
    else:
        # The workers of another machine may not have this version.
        options["runtime_env"] = {"py_modules": [str(Path(pmaplab.__file__).parent)]}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(address=address, **options)
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise _unreachable(address, lines[0]) from None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _run(ray: Any, jobs: Sequence[Any], work: Work, bar: ProgressBar) -> list[Any]:
    # What fails here must not be done twice, and is no fault of the machine.
    remote = ray.remote(max_retries=0, num_cpus=1)(_task)
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    here = str(Path.cwd())
    waiting: dict[Any, int] = {}
    for number, job in enumerate(jobs):
        waiting[remote.remote(work, job, here, environment)] = number
        bar.running(number, "on Ray")
    answers: list[Any] = [None] * len(jobs)
    while waiting:
        ready, _ = ray.wait(list(waiting), num_returns=1)
        for each in ready:
            number = waiting.pop(each)
            try:
                kind, content = ray.get(each)
            except Exception as error:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                raise ModelError(
                    f"a worker on Ray has died: {lines[0]}",
                    advice="perhaps for want of memory: lower the bounds, or set --max-states",
                ) from None
            if kind == "error":
                raise content
            if kind == "bug":
                raise WorkerError(content)
            answers[number] = content
            bar.done(number)
    return answers


class WorkerError(Exception):
    """A worker met an error that is no mistake of the user's; the text is its
    traceback."""


def _task(work: Work, job: Any, folder: str, environment: dict[str, str]) -> tuple[str, Any]:
    """One job, where Ray has put it."""
    try:
        os.environ.update(environment)
        try:
            os.chdir(folder)
        except OSError as error:
            # What the job names may be relative to it.
            message = f"{folder}: is not on the Ray worker: {error.strerror or error}"
            raise InputError(message, advice="the files must be there on all machines") from None
        return "answer", work(job, _silent)
    except PmaplabError as error:
        return "error", error
    except MemoryError:
        return "error", ModelError("there is not enough memory for this search")
    except Exception:
        return "bug", traceback.format_exc()


def _silent(_: str) -> None:
    """Progress is not sent over the network."""
