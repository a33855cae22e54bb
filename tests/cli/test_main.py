"""What every command does alike: output that fails, signals, internal errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import pmaplab
from cli.command import COMMAND, environment, fails, run, run_alone
from pmaplab.cli import boot, main
from pmaplab.cli.parallel import WorkerError

LONG = [*COMMAND, "check", "--proposal", "repaired", "--cpus", "3", "--operations", "9"]


def test_version_and_help() -> None:
    assert run_alone("--version").stdout == f"pmaplab {pmaplab.__version__}\n"
    result = run("--help")
    assert result.returncode == 0
    for command in ("review", "check", "boot", "trace"):
        assert command in result.stdout
        assert run(command, "--help").returncode == 0


def test_bad_usage() -> None:
    fails(run(), "required: COMMAND")
    fails(run("chekc"), "invalid choice: 'chekc'")


COMMANDS = [
    ("--help",),
    ("--version",),
    ("boot",),
    ("check", "--help"),
    ("check", "--scenario", "switch", "--operations", "1", "--mode", "nopcid"),
]


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_full_disk(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        result = run_alone(*arguments, stdout=full)
    fails(result, "pmaplab: standard output: No space left on device")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_closed_pipe(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = run_alone(*arguments, stdout=writing)
    finally:
        os.close(writing)
    fails(result, "pmaplab: standard output: the reader has closed the pipe")
    assert result.stderr.count("\n") == 1


def test_no_standard_output() -> None:
    command = f"exec {sys.executable} -m pmaplab boot >&-"
    result = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, env=environment(), check=False
    )
    fails(result, "standard output is closed")


def interrupted(
    tmp_path: Path, engine: str, stop: Callable[[subprocess.Popen[str]], None]
) -> tuple[int, str]:
    """The status and the messages of a long search that ``stop`` ends."""
    process = subprocess.Popen(
        [*LONG, "--engine", engine, "-o", str(tmp_path / "t.json")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
        # What a shell starts in the background ignores Ctrl-C, and would hand that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    # The output file is there before the search begins.
    deadline = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.5)
    stop(process)
    try:
        _, messages = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    # Nobody of its session is left; their deaths are noticed a little later.
    deadline = time.monotonic() + 20
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.02)
    return process.returncode, messages


@pytest.mark.parametrize("engine", ["auto", "python"])
def test_ctrl_c(tmp_path: Path, engine: str) -> None:
    """A terminal sends it to the workers as well."""
    status, messages = interrupted(tmp_path, engine, lambda p: os.killpg(p.pid, signal.SIGINT))
    assert (status, messages) == (130, "pmaplab: interrupted\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("engine", ["auto", "python"])
def test_being_terminated(tmp_path: Path, engine: str) -> None:
    status, messages = interrupted(tmp_path, engine, lambda p: p.terminate())
    assert (status, messages) == (143, "pmaplab: terminated\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [ValueError("no such\nluck"), WorkerError("Trace\nno luck\n")])
def test_a_bug(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> int:
        raise error

    monkeypatch.setattr(boot, "run", broken)
    assert main.main(["boot"]) == 70
    message = capsys.readouterr().err
    assert "internal error" in message
    assert "This is a bug of pmaplab" in message
    assert "--debug" in message
    assert "Traceback" not in message
    assert main.main(["--debug", "boot"]) == 70
    message = capsys.readouterr().err
    assert "luck" in message
    assert "--debug" not in message


def test_not_enough_memory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def greedy(_: object) -> int:
        raise MemoryError

    monkeypatch.setattr(boot, "run", greedy)
    assert main.main(["boot"]) == 2
    assert "not enough memory" in capsys.readouterr().err
