"""Trace files: what is written is read again, and nothing else is."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pmaplab.errors import TraceError
from pmaplab.spec import LATER_BOUNDS
from pmaplab.trace.record import Trace
from pmaplab.trace.store import read_traces, traces_to_json

Path_ = tuple[str | int, ...]
# These may be null.
OPTIONAL = {"proposal", "kernel", "exemptions", "operations", "pcids", "store_buffer"}
# These came later: older files do without.
LATER = set(LATER_BOUNDS)


def written(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data))
    return path


def places(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Every value inside ``value``, of lists only the first element."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from places(inner, (*path, key))
    elif isinstance(value, list) and value:
        yield (*path, 0)
        yield from places(value[0], (*path, 0))


def at(data: Any, path: Path_) -> Any:
    for key in path:
        data = data[key]
    return data


def test_what_is_written_is_read_again(
    tmp_path: Path, boot_trace: Trace, switch_trace: Trace, panic_trace: Trace, stuck_trace: Trace
) -> None:
    traces = [boot_trace, switch_trace, panic_trace, stuck_trace]
    path = written(tmp_path / "t.json", traces_to_json(traces))
    assert read_traces(path) == [replace(trace, watched=frozenset()) for trace in traces]


def test_no_traces(tmp_path: Path) -> None:
    assert read_traces(written(tmp_path / "t.json", traces_to_json([]))) == []


def test_a_missing_key_is_named(tmp_path: Path, panic_trace: Trace) -> None:
    data = traces_to_json([panic_trace])
    for place in places(data):
        if isinstance(place[-1], int) or place[-1] in LATER:
            continue
        damaged = copy.deepcopy(data)
        del at(damaged, place[:-1])[place[-1]]
        path = written(tmp_path / "t.json", damaged)
        with pytest.raises(TraceError) as error:
            read_traces(path)
        assert str(path) in str(error.value)
        assert place == ("format",) or repr(place[-1]) in error.value.message


@pytest.mark.parametrize("wrong", [None, [], {}, "text", 1.5, True])
def test_a_wrong_type_is_named(tmp_path: Path, panic_trace: Trace, wrong: object) -> None:
    data = traces_to_json([panic_trace])
    for place in places(data):
        old = at(data, place)
        if type(old) is type(wrong) or (wrong is None and place[-1] in OPTIONAL):
            continue
        if place[-1] in {"proposal", "scenario"} and wrong == "text":
            continue
        if place[-1] == "choices" and isinstance(wrong, list):
            continue
        damaged = copy.deepcopy(data)
        at(damaged, place[:-1])[place[-1]] = wrong
        path = written(tmp_path / "t.json", damaged)
        with pytest.raises(TraceError) as error:
            read_traces(path)
        assert str(path) in str(error.value), place


def test_every_truncation_is_noticed(tmp_path: Path, panic_trace: Trace) -> None:
    text = json.dumps(traces_to_json([panic_trace]), indent=2)
    path = tmp_path / "t.json"
    for length in range(0, len(text) - 1, 61):
        path.write_text(text[:length])
        with pytest.raises(TraceError) as error:
            read_traces(path)
        assert error.value.location is not None
        assert error.value.location.file == str(path)
        assert "ends in the middle" in error.value.message
        assert error.value.advice


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ends in the middle"),
        (b"no json", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "no trace file"),
        (b"{}", "no trace file"),
        (b'{"format": "pmaplab-trace", "version": 99, "traces": []}', "version 99"),
        (b'{"format": "pmaplab-trace", "version": true, "traces": []}', "whole number"),
        (b"[" * 100_000, "not JSON"),
        (b'{"version": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_other_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(content)
    with pytest.raises(TraceError, match=message) as error:
        read_traces(path)
    assert str(path) in str(error.value)


def test_a_folder_or_nothing(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such file"):
        read_traces(tmp_path / "nothing.json")
    with pytest.raises(TraceError, match="directory"):
        read_traces(tmp_path)


def test_a_file_is_never_named_without_its_digest(tmp_path: Path, boot_trace: Trace) -> None:
    data = traces_to_json([boot_trace])
    data["traces"][0]["run"]["scenario"] = "mine.py"
    with pytest.raises(TraceError, match=r"scenario.*sha256"):
        read_traces(written(tmp_path / "t.json", data))
