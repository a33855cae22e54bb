"""``pmaplab bench``: agreement, ratios, the text and the data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cli.command import fails, run
from pmaplab.bench import measure as bench
from pmaplab.bench.measure import Bench, Row, disagreements
from pmaplab.bench.peers import (
    HOLDS,
    INCOMPLETE,
    MODEL_ERROR,
    VIOLATED,
    Found,
    PeerError,
    missing,
    run_spin,
)
from pmaplab.report.bench import bench_json, bench_text

FOUND = Found(100, 200, HOLDS, frozenset(), frozenset(), 2.0, 1.0, 12.5)


def test_equal_results_agree() -> None:
    assert disagreements({"python": FOUND, "spin": replace(FOUND, seconds=9.0)}) == []


@pytest.mark.parametrize(
    "other",
    [
        replace(FOUND, states=101),
        replace(FOUND, transitions=199),
        replace(FOUND, verdict=VIOLATED),
        replace(FOUND, verdict=INCOMPLETE),
        replace(FOUND, verdict=MODEL_ERROR),
    ],
)
def test_any_difference_is_named(other: Found) -> None:
    (text,) = disagreements({"python": FOUND, "spin": other})
    assert text.startswith("spin: ")


def test_numbers_of_runs_with_violations_are_not_compared() -> None:
    violated = replace(FOUND, verdict=VIOLATED)
    assert disagreements({"python": violated, "rumur": replace(violated, states=7)}) == []


def test_ratios_are_against_the_better_peer() -> None:
    row = Row("x", {"python": FOUND, "spin": replace(FOUND, seconds=1.0), "rumur": FOUND})
    assert row.ratios == {"transitions_per_s": 0.5, "to_verdict": pytest.approx(2 / 3)}
    assert Row("x", {"python": FOUND}).ratios == {"transitions_per_s": None, "to_verdict": None}


def test_text_and_data() -> None:
    row = Row("x", {"python": FOUND}, {"native": "not there"}, ["spin: 1 states, python: 2"])
    whole = Bench("a processor", 2, 1e7, (row,))
    assert not whole.agrees
    text = bench_text(whole)
    assert "10,000,000 random inserts/s" in text
    assert "DISAGREES  spin: 1 states, python: 2" in text
    assert "native         not there" in text
    data = bench_json(whole)
    assert set(data) == {"machine", "limit_inserts_per_s", "systems"}
    (system,) = data["systems"]
    assert (system["name"], system["states"], system["transitions"]) == ("x", 100, 200)
    assert system["tools"]["python"]["transitions_per_s"] == 100
    assert set(system["ratios"]) == {"transitions_per_s", "to_verdict"}


def test_an_engine_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "inserts_per_second", lambda _: 1.0)
    result = bench.measure(["boot-1"], ["python"])
    (row,) = result.rows
    assert row.found["python"].states == 9057
    assert result.agrees


def test_a_tool_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "inserts_per_second", lambda _: 1.0)
    monkeypatch.setenv("PATH", "")
    (row,) = bench.measure(["boot-1"], ["spin", "rumur"]).rows
    assert row.absent == {"spin": "spin is not installed", "rumur": "rumur is not installed"}
    assert not row.found
    assert missing("spin") == "spin is not installed"


def test_a_tool_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "spin"
    tool.write_text("#!/bin/sh\necho nonsense\nexit 3\n", encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(PeerError, match="spin ends with status 3: nonsense"):
        run_spin("", tmp_path)


def test_bad_usage() -> None:
    fails(run("bench", "nothing"), "there is no system 'nothing'", "boot-1")
    fails(run("bench", "--tool", "tlc"), "there is no tool 'tlc'", "spin")


def test_reduced_searches_count_for_the_verdict_alone() -> None:
    row = Row(
        "x",
        {
            "native": FOUND,
            "native-reduced": replace(FOUND, states=50, transitions=90, seconds=1.0),
            "spin": replace(FOUND, seconds=8.0),
            "spin-reduced": replace(FOUND, states=60, seconds=5.0),
        },
    )
    assert disagreements(row.found) == []
    assert row.ratios == {"transitions_per_s": 4.0, "to_verdict": 3.0}
    wrong = {"native": FOUND, "native-reduced": replace(FOUND, verdict=VIOLATED)}
    assert disagreements(wrong) == ["native-reduced: violated, native: holds"]
