"""``pmaplab twins``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cli.command import fails, run
from pmaplab.cli.main import main
from pmaplab.twins import data
from pmaplab.twins.measure import find_twins

ONE = ("--twin", "no-local-flush", "--mode", "nopcid", "--memory", "sc")


def test_text() -> None:
    result = run("twins", *ONE, "--traces")
    assert (result.returncode, result.stderr) == (0, "")
    assert "no-local-flush" in result.stdout
    assert "1 of 1 cells are as they must be" in result.stdout
    assert "counterexample to no stale use" in result.stdout


def test_json() -> None:
    result = run("twins", *ONE, "--format", "json")
    assert result.returncode == 0
    found = json.loads(result.stdout)
    assert found["kernel"] == "repaired"
    scenarios = {"activate", "shootdown"}
    assert set(found["searches"]) == scenarios | {f"{name}, preempted" for name in scenarios}
    (cell,) = found["cells"]
    text = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
    assert all(f"`{key}`" in text for key in (*found, *cell))
    assert cell["twin"] == "no-local-flush"
    assert (cell["mode"], cell["memory"]) == ("nopcid", "sc")
    assert cell["expected"] == cell["property"] == "no stale use"
    assert (cell["verdict"], cell["agreement"]) == ("violated", "agrees")
    assert cell["steps"] > cell["prefix"] > 0


def test_a_wrong_expectation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (twin,) = find_twins(["no-local-flush"], data.TWINS)
    monkeypatch.setattr(data, "TWINS", (replace(twin, violated=()),))
    assert main(["twins", *ONE]) == 1
    shown = capsys.readouterr().out
    assert "! no stale use" in shown
    assert "differs: no-local-flush nopcid sc: expected holds, found no stale use" in shown


def test_an_incomplete_search() -> None:
    result = run("twins", *ONE, "--max-states", "3", "--engine", "python")
    assert result.returncode == 3
    assert "undecided: no-local-flush nopcid sc: expected no stale use violated" in result.stdout
    assert "the limit of 3 states is reached" in result.stdout


def test_bad_usage() -> None:
    fails(
        run("twins", "--twin", "no-local-flash"), "there is no twin", "did you mean no-local-flush"
    )
    fails(run("twins", "--mode", "pcd"), "there is no mode 'pcd'")
    fails(run("twins", "--memory", "pso"), "invalid choice: 'pso'")
    fails(run("twins", "--max-states", "0"), "at least 1")
