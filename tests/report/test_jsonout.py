"""The JSON of results has the documented keys, and only JSON in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pmaplab.report.jsonout import boot_json, check_json, dumps, trace_json
from pmaplab.report.verdict import check
from pmaplab.search.simulate import simulate
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds
from pmaplab.trace.store import traces_to_json

STEP = {"cpu", "context", "function", "file", "line", "text", "changes"}
FAILED = {
    "kind",
    "message",
    "cpu",
    "function",
    "file",
    "line",
    "column",
    "end_column",
    "text",
}


def test_a_violated_check() -> None:
    verdict = check(RunSpec(scenario="switch", bounds=Bounds(operations=1)))
    (result,) = json.loads(dumps(check_json([verdict])))["results"]
    assert set(result) == {
        "mode",
        "scenario",
        "proposal",
        "kernel",
        "tree",
        "from_tree",
        "verdict",
        "property",
        "properties",
        "states",
        "transitions",
        "depth",
        "prefix",
        "seconds",
        "bounds",
        "assumptions",
        "exemptions",
        "unreached",
        "stopped",
        "engine",
        "build_seconds",
        "note",
        "reductions",
        "savings",
        "passed",
        "images",
        "symmetries",
        "told_apart",
        "searched_again",
        "broken_facts",
        "looked_at",
        "failed",
        "trace",
    }
    assert result["verdict"] == "violated"
    assert result["property"] in result["properties"]
    assert result["properties"][result["property"]] == {
        "verdict": "violated",
        "steps": len(result["trace"]),
        "accepted": None,
    }
    assert all(set(step) == STEP for step in result["trace"])
    assert all(
        set(change) == {"cell", "old", "new"}
        for step in result["trace"]
        for change in step["changes"]
    )
    assert set(result["failed"]) == FAILED
    assert set(result["bounds"]) == {
        "cpus",
        "maxcpu",
        "processes",
        "kernel_processes",
        "pcids",
        "invpcid_drains",
        "walker_forwards",
        "operations",
        "pages",
        "preemptions",
        "store_buffer",
    }
    assert all(set(entry) == {"function", "reason"} for entry in result["exemptions"])


def test_a_property_that_does_not_fail() -> None:
    spec = RunSpec(scenario="switch", bounds=Bounds(operations=1))
    (result,) = check_json([check(spec, name="assertions")])["results"]
    assert (result["property"], result["failed"], result["trace"]) == ("assertions", None, [])


def test_a_trace() -> None:
    verdict = check(RunSpec(scenario="switch", bounds=Bounds(operations=1)))
    assert verdict.trace is not None
    (trace,) = json.loads(dumps(trace_json([verdict.trace])))["traces"]
    assert trace["property"] == verdict.trace.property
    assert trace["prefix"] == verdict.trace.prefix
    assert all(set(step) == STEP for step in trace["trace"])


def test_a_boot() -> None:
    spec = RunSpec(scenario="multiuser", bounds=Bounds(cpus=2, maxcpu=4, operations=1))
    run = simulate(spec.build(), seed=4)
    result = json.loads(dumps(boot_json(spec, 4, run, ["debug.count"])))
    assert set(result) == {
        "proposal",
        "mode",
        "cpus",
        "maxcpu",
        "seed",
        "console",
        "steps",
        "switches",
        "sysctl",
        "failure",
    }
    assert result["sysctl"] == {"debug.count": run.sysctl("debug.count")}
    assert result["seed"] == 4
    assert len(result["switches"]) == 2


def test_every_key_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
    verdict = check(RunSpec(scenario="switch", bounds=Bounds(operations=1)))
    assert verdict.trace is not None
    spec = RunSpec(scenario="multiuser", bounds=Bounds(cpus=1, maxcpu=1, operations=1))
    boot = boot_json(spec, None, simulate(spec.build()), [])
    stored = traces_to_json([verdict.trace])
    for data in (check_json([verdict]), trace_json([verdict.trace]), boot, stored):
        for key in keys(data):
            assert f"`{key}`" in text or f'"{key}"' in text, key


def keys(data: object) -> Iterator[str]:
    """The keys of all objects, except where they are names themselves."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield key
            if key not in ("properties", "sysctl"):
                yield from keys(value)
    elif isinstance(data, list):
        for value in data:
            yield from keys(value)
