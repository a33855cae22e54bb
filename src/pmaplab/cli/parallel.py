"""Work for all cores: jobs in processes of their own.

The parent alone reacts to Ctrl-C, and then ends its workers.  An error in a
worker comes out in the parent as if it had happened there.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from pmaplab.cli.cluster import WorkerError as WorkerError
from pmaplab.cli.cluster import check_ray, run_on_ray
from pmaplab.cli.progress import ProgressBar
from pmaplab.errors import ModelError, PmaplabError

Job = TypeVar("Job")
Answer = TypeVar("Answer")
# Told a text now and then: how far the job is.
Report = Callable[[str], None]

# Seconds after which an idle worker looks whether its parent still lives.
PATIENCE = 2.0
_MEMORY = "lower the bounds, or set --max-states"


# The address of the Ray cluster that does the work, None for this machine's cores.
_ray: str | None = None


def use_ray(address: str | None) -> None:
    """From now on, do what run_all() is given on the cluster at ``address``.

    Raises UsageError where there is no Ray, or nobody at the address.
    """
    global _ray
    if address is not None:
        check_ray(address)
    _ray = address


def cores() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_all(
    jobs: Sequence[Job],
    work: Callable[[Job, Report], Answer],
    bar: ProgressBar,
    workers: int | None = None,
) -> list[Answer]:
    """``work`` done for every job; the answers are in the order of the jobs.

    ``work`` is a module's function; jobs and answers can be pickled.  A single
    job is done in this process.  All of it is done on Ray instead, where use_ray()
    has said so.  Raises what a job raised, the first that
    fails, and ModelError when there is not enough memory.
    """
    if _ray is not None and jobs:
        return run_on_ray(_ray, jobs, work, bar)
    count = min(len(jobs), workers or cores())
    if count <= 1:
        return [_here(number, job, work, bar) for number, job in enumerate(jobs)]
    return _Pool(jobs, work, bar, count).run()


def _here(number: int, job: Job, work: Callable[[Job, Report], Answer], bar: ProgressBar) -> Answer:
    try:
        answer = work(job, lambda text: bar.running(number, text))
    except MemoryError:
        raise out_of_memory() from None
    bar.done(number)
    return answer


def out_of_memory() -> ModelError:
    """The error for a search that does not fit."""
    return ModelError("there is not enough memory for this search", advice=_MEMORY)


class _Pool:
    def __init__(
        self,
        jobs: Sequence[Any],
        work: Callable[[Any, Report], Any],
        bar: ProgressBar,
        count: int,
    ) -> None:
        self.jobs = jobs
        self.bar = bar
        self.answers: list[Any] = [None] * len(jobs)
        self.left = len(jobs)
        self.waiting = iter(range(len(jobs)))
        self.workers: dict[Connection, BaseProcess] = {}
        # Workers inherit the mask: Ctrl-C reaches the parent alone.  They may be
        # ended before their first line, so they inherit how SIGTERM ends them too.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            for _ in range(count):
                ours, theirs = multiprocessing.Pipe()
                worker = multiprocessing.Process(
                    target=_serve, args=(theirs, work, os.getpid()), daemon=True
                )
                worker.start()
                theirs.close()
                self.workers[ours] = worker
        finally:
            signal.signal(signal.SIGTERM, handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def run(self) -> list[Any]:
        try:
            for connection in self.workers:
                self._hand_out(connection)
            while self.left:
                for ready in wait(list(self.workers)):
                    assert isinstance(ready, Connection)
                    self._receive(ready)
        finally:
            for worker in self.workers.values():
                worker.terminate()
            for worker in self.workers.values():
                worker.join()
        return self.answers

    def _hand_out(self, connection: Connection) -> None:
        number = next(self.waiting, None)
        if number is not None:
            connection.send((number, self.jobs[number]))

    def _receive(self, connection: Connection) -> None:
        try:
            kind, number, content = connection.recv()
        except (EOFError, ConnectionError):
            self.workers[connection].join()
            code = self.workers[connection].exitcode
            raise ModelError(
                f"a worker process has died (status {code}), perhaps for want of memory",
                advice=_MEMORY,
            ) from None
        if kind == "progress":
            self.bar.running(number, content)
        elif kind == "error":
            raise content
        elif kind == "bug":
            raise WorkerError(content)
        else:
            self.answers[number] = content
            self.left -= 1
            self.bar.done(number)
            self._hand_out(connection)


def _serve(connection: Connection, work: Callable[[Any, Report], Any], parent: int) -> None:
    """The life of a worker: one job after another until it is ended."""
    try:
        while os.getppid() == parent:
            if connection.poll(PATIENCE):
                number, job = connection.recv()
                connection.send(_answer(connection, work, parent, number, job))
    except (EOFError, ConnectionError):
        # The parent is gone, and nobody waits for the answer.
        return


def _answer(
    connection: Connection, work: Callable[[Any, Report], Any], parent: int, number: int, job: Any
) -> tuple[str, int, Any]:
    def report(text: str) -> None:
        if os.getppid() != parent:
            raise ConnectionError
        connection.send(("progress", number, text))

    try:
        return "answer", number, work(job, report)
    except PmaplabError as error:
        return "error", number, error
    except MemoryError:
        return "error", number, out_of_memory()
    except ConnectionError:
        raise
    except Exception:
        return "bug", number, traceback.format_exc()
