"""Jobs in processes of their own."""

from __future__ import annotations

import os
import signal
import time

import pytest

from pmaplab.cli.parallel import Report, WorkerError, run_all
from pmaplab.cli.progress import ProgressBar
from pmaplab.errors import InputError, Location, ModelError


def square(job: int, report: Report) -> int:
    report(f"squaring {job}")
    # Later jobs are done first.
    time.sleep(0.05 / (1 + job))
    return job * job


def who(*_: object) -> int:
    return os.getpid()


def mistake(job: int, _: Report) -> int:
    raise InputError("bad", location=Location("f.py", job, 2), source="x y", advice="do better")


def bug(job: int, _: Report) -> int:
    return job // 0


def greedy(*_: object) -> int:
    raise MemoryError


def killed(job: int, _: Report) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return job


def bar(total: int) -> ProgressBar:
    return ProgressBar(total, "testing")


def test_answers_are_in_the_order_of_the_jobs() -> None:
    with bar(7) as shown:
        assert run_all(range(7), square, shown, workers=3) == [0, 1, 4, 9, 16, 25, 36]


def test_several_jobs_run_elsewhere_and_one_runs_here() -> None:
    with bar(4) as shown:
        assert os.getpid() not in run_all(range(4), who, shown, workers=2)
        assert run_all([0], who, shown, workers=2) == [os.getpid()]
        assert run_all([0, 1], who, shown, workers=1) == [os.getpid()] * 2
        assert run_all([], who, shown) == []


@pytest.mark.parametrize("jobs", [[4], [4, 4]])
def test_a_mistake_comes_out_as_it_is(jobs: list[int]) -> None:
    with bar(2) as shown, pytest.raises(InputError) as error:
        run_all(jobs, mistake, shown, workers=2)
    assert str(error.value) == "f.py:4:2: bad\n    x y\n     ^\n    advice: do better"


def test_a_bug_brings_its_traceback() -> None:
    with bar(2) as shown, pytest.raises(WorkerError, match="ZeroDivisionError"):
        run_all([1, 2], bug, shown, workers=2)


@pytest.mark.parametrize("jobs", [[1], [1, 2]])
def test_not_enough_memory(jobs: list[int]) -> None:
    with bar(2) as shown, pytest.raises(ModelError, match="not enough memory"):
        run_all(jobs, greedy, shown, workers=2)


def test_a_worker_that_is_killed() -> None:
    with bar(2) as shown, pytest.raises(ModelError, match=r"has died \(status -9\)"):
        run_all([1, 2], killed, shown, workers=2)
