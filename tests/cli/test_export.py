"""``pmaplab export``."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.command import fails, run
from pmaplab.cli.main import main

SMALL = ("--operations", "1")


@pytest.mark.parametrize("language", ["promela", "murphi"])
def test_a_file(language: str, tmp_path: Path) -> None:
    target = tmp_path / "model"
    result = run("export", "--to", language, *SMALL, "-o", target)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    text = target.read_text(encoding="utf-8")
    assert "the reference kernel, scenario boot, mode nopcid" in text
    assert "CPUs 2, MAXCPU 2, processes 2" in text
    assert "Not exported:" in text


def test_standard_output() -> None:
    result = run("export", "--to", "promela", "--cpus", "1", *SMALL)
    assert result.returncode == 0
    assert "active proctype agent_cpu0()" in result.stdout


def test_what_is_to_be_expected() -> None:
    result = run("export", "--to", "promela", "--proposal", "before", "--search", *SMALL)
    assert result.returncode == 0
    assert "Expected: 10973 states, 21380 transitions" in result.stdout
    assert "Expected: violated: curpmap, pm_active" in result.stdout


def test_store_buffers_are_agents() -> None:
    result = run("export", "--to", "promela", "--memory", "tso", "--store-buffer", "1", *SMALL)
    assert result.returncode == 0
    assert "active proctype agent_cpu0_store_buffer()" in result.stdout
    assert "memory model tso, store buffers of at most 1 entry" in result.stdout


def test_too_large_to_draw() -> None:
    fails(run("export", "--to", "dot", *SMALL), "more than 1000 states", "--max-states")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("", ("--to",)),
        ("--to tla", ("invalid choice", "promela")),
        ("--to promela --scenario bot", ("did you mean boot?",)),
        ("--to promela --mode all", ("all",)),
        ("--to promela --cpus 0", ("cannot boot",)),
        ("--to promela --max-states 5", ("draws nothing",)),
        ("--to dot --max-states 0", ("at least 1",)),
        ("--to dot --search", ("--to dot is none",)),
        ("--to promela -o none/of/these", ("cannot be written",)),
    ],
)
def test_bad_input(
    arguments: str, parts: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", *arguments.split()]) == 2
    said = capsys.readouterr().err
    assert all(part in said for part in parts)


def test_what_the_language_cannot_express() -> None:
    result = run("export", "--to", "murphi", "--mode", "pcid", *SMALL)
    fails(result, "signed numbers of 64 bits cannot hold", "^", "--to promela")
