"""Searches that are interrupted and go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from native.compare import summary
from pmaplab.errors import UsageError
from pmaplab.machine.modes import MODES
from pmaplab.native import checkpoint
from pmaplab.native.choose import Engine, search_with
from pmaplab.native.engine import search_natively
from pmaplab.native.protocol import WorkerDied
from pmaplab.search.result import Limits, Result
from pmaplab.system import Bounds, System, build_system


@pytest.fixture(scope="module")
def system() -> System:
    return build_system("switch", (), MODES[4], Bounds(operations=2))


@pytest.fixture(scope="module")
def whole(system: System) -> Result:
    return search_natively(system)


def interrupted(*_: int) -> None:
    """The progress of a search that its user ends."""
    raise KeyboardInterrupt


def same(found: Result, whole: Result) -> None:
    assert summary(found) == summary(whole)
    assert found.violations == whole.violations


def test_it_goes_on_after_each_limit(system: System, whole: Result, tmp_path: Path) -> None:
    for most in (1, 10, 3_000, 30_000, 31_000, 150_000):
        some = search_natively(system, limits=Limits(states=most), checkpoint=tmp_path)
        assert not some.complete and (tmp_path / "search").exists()
    same(search_natively(system, threads=1, checkpoint=tmp_path), whole)
    # Nothing is left to go on with.
    assert not list(tmp_path.iterdir())


def test_it_goes_on_after_a_time_limit(system: System, whole: Result, tmp_path: Path) -> None:
    some = search_natively(system, limits=Limits(seconds=0.05), checkpoint=tmp_path)
    assert not some.complete
    same(search_natively(system, checkpoint=tmp_path), whole)


def test_the_last_of_many_is_used_where_the_worker_is_killed(
    system: System, whole: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS", 0)
    monkeypatch.setattr("pmaplab.native.protocol._end", lambda _: None)

    with pytest.raises(KeyboardInterrupt):
        search_natively(system, progress=interrupted, checkpoint=tmp_path)
    assert (tmp_path / "search").exists()
    same(search_natively(system, checkpoint=tmp_path), whole)


def test_an_interrupted_worker_writes_one(tmp_path: Path) -> None:
    system = build_system("switch", (), MODES[4], Bounds(operations=3))
    with pytest.raises(KeyboardInterrupt):
        search_natively(system, progress=interrupted, checkpoint=tmp_path)
    assert (tmp_path / "search").exists()
    result = search_natively(system, checkpoint=tmp_path)
    assert (result.states, result.transitions) == (3223064, 6464810)


def test_fingerprints(system: System, whole: Result, tmp_path: Path) -> None:
    some = Limits(states=30_000)
    search_natively(system, limits=some, fingerprints=True, checkpoint=tmp_path)
    same(search_natively(system, fingerprints=True, checkpoint=tmp_path), whole)


@pytest.mark.parametrize("where", [0.3, 0.6, 0.9999])
def test_a_damaged_one(system: System, tmp_path: Path, where: float) -> None:
    search_natively(system, limits=Limits(states=30_000), checkpoint=tmp_path)
    path = tmp_path / "search"
    data = bytearray(path.read_bytes())
    data[int(len(data) * where)] ^= 4
    path.write_bytes(data)
    with pytest.raises(WorkerDied, match="the checkpoint is damaged"):
        search_natively(system, checkpoint=tmp_path)


def test_a_short_one(system: System, tmp_path: Path) -> None:
    search_natively(system, limits=Limits(states=30_000), checkpoint=tmp_path)
    path = tmp_path / "search"
    data = path.read_bytes()
    for length in (len(data) - 1, len(data) // 2, 90):
        path.write_bytes(data[:length])
        with pytest.raises(WorkerDied, match="the checkpoint is damaged"):
            search_natively(system, checkpoint=tmp_path)
    path.write_bytes(data[:20])
    with pytest.raises(UsageError, match="no checkpoint, or a damaged one"):
        search_natively(system, checkpoint=tmp_path)


def test_that_of_another_search(system: System, tmp_path: Path) -> None:
    search_natively(system, limits=Limits(states=30_000), checkpoint=tmp_path)
    other = build_system("switch", (), MODES[4], Bounds(operations=1))
    with pytest.raises(UsageError, match="is of another search"):
        search_natively(other, checkpoint=tmp_path)


def test_a_folder_that_cannot_be_made(system: System, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError):
        search_natively(system, checkpoint=tmp_path / "file" / "below")


def test_without_a_compiler(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(UsageError, match="there is no C compiler"):
        search_with(Engine("auto", checkpoint=tmp_path), system)
