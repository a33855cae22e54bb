"""``pmaplab trace``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cli.command import fails, run


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traces") / "t.json"
    result = run(
        "check", "--scenario", "switch", "--mode", "nopcid", "--operations", "1", "-o", path
    )
    assert result.returncode == 1
    return path


@pytest.fixture
def copy(stored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(stored, tmp_path / "copy.json"))


def test_it_shows_what_check_has_shown(stored: Path) -> None:
    result = run("trace", stored)
    assert result.returncode == 0
    assert "counterexample to curpmap: the reference kernel, scenario switch" in result.stdout
    assert "CPU_CLR_ATOMIC(cpuid, oldpmap.pm_active)" in result.stdout
    assert "curpmap fails on CPU" in result.stdout
    full = run("trace", stored, "--full")
    assert full.returncode == 0
    assert len(full.stdout) >= len(result.stdout)


def test_json(stored: Path) -> None:
    result = run("trace", stored, "--format", "json")
    assert result.returncode == 0
    data = json.loads(stored.read_text())
    shown = json.loads(result.stdout)["traces"]
    assert len(shown) == len(data["traces"])
    for trace, kept in zip(shown, data["traces"], strict=True):
        assert len(trace["trace"]) == len(kept["steps"])
        assert trace["failed"] == kept["failed"]


def test_a_truncated_file(copy: Path) -> None:
    text = copy.read_text()
    copy.write_text(text[: len(text) // 2])
    fails(run("trace", copy), f"{copy}:", "ends in the middle", "advice: ")


def test_a_model_that_has_changed(copy: Path) -> None:
    copy.write_text(copy.read_text().replace("PCPU.curthread = thread0", "PCPU.curthread = NULL"))
    fails(run("trace", copy), f"{copy}: trace 1: step ", "reads `PCPU.curthread = thread0`")


def test_no_traces(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    path.write_text('{"format": "pmaplab-trace", "version": 1, "traces": []}')
    result = run("trace", path)
    assert (result.returncode, result.stdout) == (0, f"{path}: no counterexamples\n")


def test_other_files(tmp_path: Path) -> None:
    fails(run("trace", tmp_path / "nothing"), "nothing: no such file")
    fails(run("trace", tmp_path), "directory")
    fails(run("trace"), "the following arguments are required: FILE.json")
