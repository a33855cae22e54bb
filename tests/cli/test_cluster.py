"""Jobs on Ray: with a stand-in for its package, and with itself where it is there."""

from __future__ import annotations

import importlib.util
import pickle
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.command import fails, run
from cli.test_parallel import bug, greedy, mistake, square
from pmaplab.cli import cluster, parallel
from pmaplab.cli.progress import ProgressBar
from pmaplab.errors import InputError, ModelError, UsageError

SWITCH = ("check", "--proposal", "repaired", "--scenario", "switch", "--operations", "1")


class Ray(SimpleNamespace):
    """Does a task when it is asked for; what travels is pickled."""

    def __init__(self) -> None:
        super().__init__(addresses=[], open=False)

    def init(self, address: str, **_: object) -> None:
        if address == "auto":
            raise ConnectionError("Could not find any running Ray instance.")
        self.addresses.append(address)
        self.open = True

    def shutdown(self) -> None:
        self.open = False

    def remote(self, **options: object) -> Any:
        assert options == {"max_retries": 0, "num_cpus": 1}

        def wrap(function: Any) -> Any:
            def later(*arguments: object) -> bytes:
                return pickle.dumps((function, arguments))

            return SimpleNamespace(remote=later)

        return wrap

    def wait(self, waiting: list[bytes], num_returns: int) -> tuple[list[bytes], list[bytes]]:
        return waiting[-num_returns:], waiting[:-num_returns]

    def get(self, task: bytes) -> Any:
        function, arguments = pickle.loads(task)
        return pickle.loads(pickle.dumps(function(*arguments)))


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ray]:
    package = Ray()
    monkeypatch.setattr(cluster, "_package", lambda: package)
    yield package
    parallel.use_ray(None)


def bar(count: int) -> ProgressBar:
    return ProgressBar(count, "testing")


def test_jobs_are_done_there(ray: Ray) -> None:
    parallel.use_ray("local")
    with bar(4) as shown:
        assert parallel.run_all([0, 1, 2, 3], square, shown) == [0, 1, 4, 9]
    assert ray.addresses == ["local"] and not ray.open


def test_errors_come_out_here(ray: Ray) -> None:
    parallel.use_ray("local")
    with bar(1) as shown:
        with pytest.raises(InputError, match="bad"):
            parallel.run_all([7], mistake, shown)
        with pytest.raises(parallel.WorkerError, match="ZeroDivisionError"):
            parallel.run_all([7], bug, shown)
        with pytest.raises(ModelError, match="memory"):
            parallel.run_all([7], greedy, shown)
    assert not ray.open


def test_a_worker_that_dies(ray: Ray, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_: object) -> None:
        raise RuntimeError("The worker died unexpectedly")

    monkeypatch.setattr(ray, "get", lost)
    parallel.use_ray("local")
    with bar(1) as shown, pytest.raises(ModelError, match="worker on Ray has died"):
        parallel.run_all([7], square, shown)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    kind, error = cluster._task(square, 3, str(tmp_path / "nowhere"), {})
    assert kind == "error" and "is not on the Ray worker" in str(error)


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize("address", ["nonsense", "host:", ":1", "host:x", "ray://host"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        parallel.use_ray(address)


@pytest.mark.usefixtures("ray")
def test_nobody_at_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UsageError, match="there is no Ray cluster"):
        parallel.use_ray(f"127.0.0.1:{port}")
    parallel.use_ray("auto")
    with bar(1) as shown, pytest.raises(UsageError, match="Could not find"):
        parallel.run_all([7], square, shown)


@pytest.mark.usefixtures("ray")
def test_somebody_else_at_the_address() -> None:
    def answer(server: socket.socket) -> None:
        with server.accept()[0] as connection:
            connection.recv(100)
            connection.sendall(b"HTTP/1.0 400 Bad Request\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        other = threading.Thread(target=answer, args=(server,))
        other.start()
        with pytest.raises(UsageError, match="something else"):
            parallel.use_ray(f"127.0.0.1:{server.getsockname()[1]}")
        other.join()


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray() -> None:
    result = run(*SWITCH, "--mode", "nopcid", "--ray", "local")
    fails(result, "--ray needs Ray, which is not installed", "pip install 'pmaplab[ray]'")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_a_check_on_ray_itself() -> None:
    here, there = (run(*SWITCH, *more) for more in ((), ("--ray", "local")))
    assert there.returncode == here.returncode == 0, there.stderr
    assert there.stderr == ""
    columns = slice(0, 4)  # without depth and time
    rows = [[line.split()[columns] for line in r.stdout.split("\n")[3:9]] for r in (here, there)]
    assert rows[0] == rows[1]
