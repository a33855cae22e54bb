"""``pmaplab boot``."""

from __future__ import annotations

import json

import pytest

from cli.command import fails, run


def test_the_figure_that_the_review_quotes() -> None:
    result = run("boot")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "FreeBSD/SMP: Multiprocessor System Detected: 6 CPUs"
    assert "debug.count: 250" in lines
    assert "vm.pmap.pcid_enabled: 0" in lines
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("--mode", "pcid"), 251),
        (("--mode", "pcid", "--seed", "7"), 251),
        (("--cpus", "3", "--maxcpu", "64"), 61),
        (("--proposal", "before"), 250),
        (("--proposal", "committed"), 256),
        (("--proposal", "committed", "--mode", "pcid+invpcid+pti", "--cpus", "2"), 256),
    ],
)
def test_one_node(arguments: tuple[str, ...], count: int) -> None:
    result = run("boot", *arguments, "--sysctl", "debug.count")
    assert result.stdout.splitlines()[-1] == f"debug.count: {count}"
    assert result.stdout.count("debug.count") == 1
    assert "vm.pmap" not in result.stdout


def test_json_and_seeds() -> None:
    arguments = ("boot", "--cpus", "2", "--maxcpu", "4", "--format", "json", "--seed")
    first, again, other = (run(*arguments, seed).stdout for seed in ("1", "1", "2"))
    assert first == again
    assert json.loads(first)["seed"] == 1
    assert json.loads(first)["console"][1] == "SMP: AP CPU #1 Launched!"
    assert json.loads(first)["steps"] != json.loads(other)["steps"]


def test_bad_usage() -> None:
    fails(run("boot", "--sysctl", "debug.cuont"), "'debug.cuont'", "did you mean debug.count?")
    fails(run("boot", "--cpus", "0"), "a machine with 0 CPUs cannot boot")
    fails(run("boot", "--cpus", "7", "--maxcpu", "6"), "7 CPUs are more than MAXCPU, which is 6")
    fails(run("boot", "--maxcpu", "5000"), "MAXCPU must be from 1 to 4096")
    fails(run("boot", "--mode", "all"), "there is no mode 'all'")
    fails(run("boot", "--seed", "x"), "--seed", "'x' is not a whole number")
    fails(run("boot", "--proposal", "comitted"), "did you mean committed?")
