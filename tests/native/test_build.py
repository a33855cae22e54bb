"""Compiling and running a worker, and what happens where that fails."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from native.compare import summary
from pmaplab.caches import CACHE_VARIABLE, cache_folder
from pmaplab.errors import ModelError, UsageError
from pmaplab.native import asking, build, prepared
from pmaplab.native.build import NoCompiler
from pmaplab.native.choose import Engine, search_with
from pmaplab.native.codegen import generate
from pmaplab.native.engine import search_natively
from pmaplab.native.protocol import WorkerDied
from pmaplab.native.readback import NativeError
from pmaplab.search.bfs import search
from pmaplab.search.interpreter import Interpreter
from pmaplab.system import System
from search.small import HEAD, function, system


@pytest.fixture
def small() -> System:
    text = HEAD + function("first", "store @word:*u32, 1:u32", "return")
    return system(text + function("second", "store @word:*u32, 2:u32", "return"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    # Compiled fast: it searches little.
    monkeypatch.setattr(build, "_RUNTIME_OPTIONS", ("-std=gnu11", "-O0", "-pthread"))
    return tmp_path / "cache"


def kept(cache: Path) -> list[Path]:
    return sorted(path for path in cache.glob("worker-*") if path.suffix != ".sha256")


def test_a_build_is_kept_and_found_again(cache: Path, small: System) -> None:
    expected = summary(search(small))
    assert summary(search_natively(small)) == expected
    (worker,) = kept(cache)
    made = worker.stat().st_ino
    assert summary(search_natively(small)) == expected
    assert worker.stat().st_ino == made


def test_a_damaged_build_is_made_again(cache: Path, small: System) -> None:
    damage = b"#!/bin/sh\nexit 0\n"
    expected = summary(search_natively(small))
    (worker,) = kept(cache)
    worker.write_bytes(damage)
    for runtime in cache.glob("runtime-*.o"):
        runtime.write_bytes(damage)
    assert summary(search_natively(small)) == expected


def test_a_build_that_another_process_removes(
    cache: Path, small: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, made = summary(search_natively(small)), build.worker
    removed: list[Path] = []

    def found_and_removed(model: str, *, once: bool) -> Path:
        path = made(model, once=once)
        if not removed:
            path.unlink()
            removed.append(path)
        return path

    monkeypatch.setattr(asking, "worker", found_and_removed)
    assert summary(search_natively(small)) == expected
    assert kept(cache) == removed


def test_builds_and_removals_at_once(
    cache: Path, small: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_MOST_KEPT", 1)
    made = Interpreter(small.program)
    text = generate(small.program, made.layout, made.code)
    build.worker(text)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda number: build.worker(f"{text}/* {number % 3} */\n"), range(8)))
    assert len(set(paths)) == 3
    assert kept(cache)


def test_a_folder_that_cannot_be_written(
    tmp_path: Path, small: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "below"))
    with pytest.raises(ModelError, match="a worker cannot be built there"):
        search_natively(small)


def test_where_builds_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/pmaplab")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "pmaplab"


def test_without_a_compiler(small: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(NoCompiler):
        search_natively(small)
    with pytest.raises(UsageError, match="there is no C compiler on this machine"):
        search_with(Engine("native"), small)
    result = search_with(Engine("auto"), small)
    assert result.engine == "python" and summary(result) == summary(search(small))
    assert result.note is not None and "there is no C compiler" in result.note


def test_a_compiler_that_does_not_work(
    cache: Path, small: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "false")
    result = search_with(Engine("auto"), small)
    assert result.engine == "python"
    assert result.note is not None and "does not work" in result.note
    assert not kept(cache)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("kill -9 $$", "signal 9"),
        ("cat >/dev/null; exit 3", "status 3"),
        ("cat >/dev/null; echo no room >&2; exit 1", "no room"),
        ("cat >/dev/null", "status 0"),
        ("cat >/dev/null; echo '{\"complete'", "status 0"),
        ("cat >/dev/null; echo '{\"complete\": true}'; exit 4", "status 4"),
        ("exec 0<&-; exit 5", "status 5"),
    ],
)
def test_a_worker_that_dies_is_no_verdict(
    small: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    worker = tmp_path / "worker"
    worker.write_text(f"#!/bin/sh\n{script}\n")
    worker.chmod(0o755)
    monkeypatch.setattr(asking, "worker", lambda *_, **__: worker)
    with pytest.raises(WorkerDied, match=said):
        search_with(Engine("auto"), small)


def test_a_counterexample_that_cannot_be_replayed_is_no_verdict(
    small: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code that does something else than the interpreter."""
    wrong = system(
        HEAD
        + function("first", 'assert false, MPASS, "no"', "return")
        + function("second", "store @word:*u32, 2:u32", "return")
    )
    code = Interpreter(wrong.program)
    text = generate(wrong.program, code.layout, code.code)
    monkeypatch.setattr(prepared, "generate", lambda *_: text)
    with pytest.raises(NativeError, match="no assertion fails in the interpreter"):
        search_natively(small)


def test_the_generated_text_has_names_and_places(small: System) -> None:
    made = Interpreter(small.program)
    text = generate(small.program, made.layout, made.code)
    assert "/* f_first */" in text
    assert " store */" in text
