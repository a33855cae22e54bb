"""What is kept of a system is used for that system alone, and only while it is whole."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from pmaplab import kept_systems
from pmaplab.caches import CACHE_VARIABLE
from pmaplab.errors import ModelError
from pmaplab.frontends.kernel_python.source import PACKAGE_ROOT
from pmaplab.ir.nodes import PROGRAM_REDUCTIONS
from pmaplab.kept_systems import KeptSystem, Package, key_of, load, read_package, store
from pmaplab.native import build
from pmaplab.native.choose import Engine
from pmaplab.native.engine import search_prepared
from pmaplab.native.readback import NativeError
from pmaplab.report.verdict import Verdict, check
from pmaplab.search.reductions import PARTIAL_ORDER, Reductions
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds

HEAD = """\
from __future__ import annotations

from pmaplab.kernel_python import MPASS, invariant, must_reach, sometimes, thread_context, u32

hits: u32 = 0
last: u32 = 0


@thread_context
def cpu_main() -> None:
    global hits, last
    hits = 1
    last = hits
    sometimes("stored")


@invariant("small")
def hits_are_small(cpu: u32) -> None:
    MPASS(hits < LIMIT)


must_reach("stored")
"""
HOLDS, VIOLATED = HEAD.replace("LIMIT", "2"), HEAD.replace("LIMIT", "1")


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("builds")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, builds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems of each test alone; what is compiled is shared."""
    monkeypatch.setenv(CACHE_VARIABLE, str(builds))
    monkeypatch.setattr(build, "_RUNTIME_OPTIONS", ("-std=gnu11", "-O0", "-pthread"))
    monkeypatch.setattr(kept_systems, "folder", lambda: tmp_path / "systems")
    # As if the package was older than this process, whoever works on it.
    package = Package("the package", kept_systems._files(PACKAGE_ROOT))
    monkeypatch.setattr(kept_systems, "_package", lambda: package)


@pytest.fixture
def own(tmp_path: Path) -> Callable[[str], RunSpec]:
    def written(text: str) -> RunSpec:
        path = tmp_path / "own.py"
        path.write_text(text)
        return RunSpec(scenario=str(path), bounds=Bounds(operations=1)).pinned()

    return written


def result(spec: RunSpec, engine: Engine | None = None) -> Verdict:
    """The verdict, without what no two searches have in common."""
    verdict = check(spec, engine=engine or Engine(threads=1), keep=True)
    return replace(verdict, seconds=0.0, build_seconds=0.0)


def entries() -> list[Path]:
    folder = kept_systems.folder()
    return sorted(folder.iterdir()) if folder.exists() else []


def never(*_: object) -> None:
    raise AssertionError("what is kept was to be used")


@pytest.mark.parametrize("beyond", [None, 0, 2])
def test_what_is_kept_is_searched_as_the_system_is(
    own: Callable[[str], RunSpec], monkeypatch: pytest.MonkeyPatch, beyond: int | None
) -> None:
    reductions = Reductions() if beyond is None else Reductions(frozenset([PARTIAL_ORDER]), beyond)
    spec, engine = own(HOLDS), Engine(threads=1, reductions=reductions)
    first = result(spec, engine)
    assert (first.verdict, first.engine, len(entries())) == ("holds", "native", 1)
    assert (PARTIAL_ORDER in first.reductions) is (beyond is not None)
    if beyond is None:
        monkeypatch.setattr(RunSpec, "build", never)
    assert result(spec, engine) == first


def test_counterexamples_of_what_is_kept(own: Callable[[str], RunSpec]) -> None:
    spec = own(VIOLATED)
    first = result(spec)
    assert (first.verdict, len(entries())) == ("violated", 1)
    assert first.trace is not None and first.trace.steps
    assert result(spec) == first


def test_an_error_in_what_is_kept_has_its_line(own: Callable[[str], RunSpec]) -> None:
    text = HOLDS.replace("hits: u32", "hits: Annotated[u32, Range(0, 1)]")
    text = text.replace("import MPASS,", "import MPASS, Range,").replace("hits = 1", "hits += 1")
    spec = own(text.replace("from pmaplab", "from typing import Annotated\nfrom pmaplab"))
    for _ in range(2):
        with pytest.raises(ModelError, match="does not fit") as raised:
            result(spec)
        assert raised.value.source is not None and "hits += 1" in raised.value.source
        assert len(entries()) == 1


def test_a_system_with_exemptions_and_bring_up(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = Bounds(operations=1, processes=1)
    spec = RunSpec(scenario="switch", mode="pcid", proposal="repaired", bounds=bounds)
    first = result(spec)
    assert first.exemptions and first.prefix and first.assumptions
    monkeypatch.setattr(RunSpec, "build", never)
    assert result(spec) == first


def test_nothing_is_kept_where_the_bring_up_fails(own: Callable[[str], RunSpec]) -> None:
    text = HOLDS.replace("MPASS(hits < 2)", "MPASS(hits > 0)")
    assert result(own(text)).verdict == "violated"
    text = VIOLATED.replace(
        "@thread_context",
        "@bring_up_context\ndef up() -> None:\n    global hits\n    hits = 1\n\n\n@thread_context",
    ).replace("MPASS,", "MPASS, bring_up_context,")
    before = entries()
    first = result(own(text))
    assert (first.verdict, first.prefix > 0) == ("violated", True)
    assert entries() == before


def test_without_a_compiler_the_interpreter_searches(
    own: Callable[[str], RunSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = own(HOLDS)
    first = result(spec)
    monkeypatch.setenv("CC", "no-such-compiler")
    second = result(spec)
    assert second.note is not None
    assert second == replace(first, engine="python", note=second.note)


# --- what it is known by -------------------------------------------------------------


CHANGES: dict[str, Callable[[RunSpec], RunSpec]] = {
    "mode": lambda spec: replace(spec, mode="pcid"),
    "scenario": lambda spec: replace(spec, scenario="switch"),
    "proposal": lambda spec: replace(spec, proposal="repaired"),
    "canonical_pcids": lambda spec: replace(spec, canonical_pcids=True),
    "without": lambda spec: replace(spec, without=PROGRAM_REDUCTIONS[:1]),
    **{
        name: lambda spec, name=name, value=value: replace(  # type: ignore[misc]
            spec, bounds=replace(spec.bounds, **{name: value})
        )
        for name, value in (
            ("cpus", 1),
            ("maxcpu", 3),
            ("processes", 1),
            ("kernel_processes", 1),
            ("pcids", None),
            ("operations", None),
            ("pages", 1),
            ("store_buffer", 2),
            ("invpcid_drains", 1),
            ("walker_forwards", 1),
            ("preemptions", 1),
        )
    },
}


def test_all_of_a_run_is_a_part_of_the_name() -> None:
    elsewhere = {"bounds", "kernel", "exemptions", "tree", "digests"}
    assert {*Bounds.__slots__, *RunSpec.__slots__} - elsewhere == CHANGES.keys()


@pytest.mark.parametrize("change", CHANGES)
def test_another_run_has_another_name(own: Callable[[str], RunSpec], change: str) -> None:
    spec = own(HOLDS)
    assert key_of(CHANGES[change](spec)) not in (None, key_of(spec))


@pytest.mark.parametrize("field", ["scenario", "kernel", "exemptions"])
def test_one_byte_of_a_file_is_another_name(tmp_path: Path, field: str) -> None:
    path = tmp_path / "own.py"
    path.write_text(HOLDS)
    spec = replace(RunSpec(), **{field: str(path)})  # type: ignore[arg-type]
    known = key_of(spec)
    assert known is not None and key_of(spec) == known != key_of(RunSpec())
    path.write_text(HOLDS.replace("hits = 1", "hits = 0"))
    assert key_of(spec) != known


def test_another_version_is_another_name(
    own: Callable[[str], RunSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = own(HOLDS)
    known = key_of(spec)
    with monkeypatch.context() as changed:
        changed.setattr(sys, "version", "4.0")
        assert key_of(spec) not in (None, known)
    monkeypatch.setattr(kept_systems, "_package", lambda: Package("another one", ()))
    assert key_of(spec) not in (None, known)


def test_a_changed_byte_is_searched_anew(own: Callable[[str], RunSpec]) -> None:
    assert result(own(HOLDS)).verdict == "holds"
    assert result(own(VIOLATED)).verdict == "violated"
    assert len(entries()) == 2


# --- the package -----------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path) -> Path:
    root = tmp_path / "package"
    (root / "inner" / "__pycache__").mkdir(parents=True)
    (root / "a.py").write_text("a = 1\n")
    (root / "inner" / "b.toml").write_text("b = 1\n")
    (root / "inner" / "__pycache__" / "c.pyc").write_text("compiled")
    return root


def digest(package: Path) -> str:
    found = read_package(package, time.time() + 10)
    assert found is not None
    return found.digest


def test_the_digest_of_the_package(package: Path) -> None:
    known = digest(package)
    (package / "inner" / "__pycache__" / "c.pyc").write_text("compiled again")
    assert digest(package) == known
    (package / "a.py").write_text("a = 2\n")
    changed = digest(package)
    (package / "inner" / "b.toml").rename(package / "inner" / "c.toml")
    assert len({known, changed, digest(package)}) == 3


def test_a_package_that_changed_after_the_start(package: Path) -> None:
    assert read_package(package, time.time()) is None
    # Its time of modification proves nothing.
    os.utime(package / "a.py", (0, 0))
    assert read_package(package, time.time()) is None


def test_nothing_is_kept_of_a_package_that_changes(
    own: Callable[[str], RunSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Package("the package", (("system.py", 0, 0),))
    monkeypatch.setattr(kept_systems, "_package", lambda: package)
    assert result(own(HOLDS)).verdict == "holds"
    assert entries() == []
    monkeypatch.setattr(kept_systems, "_package", lambda: None)
    assert key_of(own(HOLDS)) is None
    assert result(own(HOLDS)).verdict == "holds"
    assert entries() == []


def test_nothing_is_kept_of_a_file_that_changes(
    own: Callable[[str], RunSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, built = own(HOLDS), RunSpec.build

    def changed(self: RunSpec) -> object:
        system = built(self)
        own(VIOLATED)
        return system

    with monkeypatch.context() as changing:
        changing.setattr(RunSpec, "build", changed)
        assert result(spec).verdict == "holds"
    assert entries() == []
    assert result(own(VIOLATED)).verdict == "violated"


# --- the entries ------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["byte", "end", "empty", "other name"])
def test_what_is_damaged_is_made_again(own: Callable[[str], RunSpec], damage: str) -> None:
    spec = own(HOLDS)
    first = result(spec)
    (entry,) = entries()
    whole = entry.read_bytes()
    middle = len(whole) // 2
    if damage == "other name":
        kept = load(entry.name)
        assert kept is not None
        other = own(VIOLATED)
        key = key_of(other)
        assert key is not None
        entry.rename(entry.with_name(key))
        assert result(other).verdict == "violated"
        return
    entry.write_bytes(
        {
            "byte": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "end": whole[:-1],
            "empty": b"",
        }[damage]
    )
    assert load(entry.name) is None
    assert result(spec) == first
    assert entry.read_bytes() == whole


def test_what_was_prepared_of_another_system(own: Callable[[str], RunSpec]) -> None:
    """Where something fails, the system is built, and compared."""
    spec = own(VIOLATED)
    result(spec)
    (entry,) = entries()
    kept = load(entry.name)
    assert kept is not None
    other = own(HOLDS)
    with pytest.raises(NativeError, match="of another system"):
        search_prepared(kept.prepared, other.build, threads=1)


def test_two_that_keep_the_same(own: Callable[[str], RunSpec]) -> None:
    spec = own(HOLDS)
    first = result(spec)
    (entry,) = entries()
    kept = load(entry.name)
    assert kept is not None

    def again(_: int) -> KeptSystem | None:
        store(entry.name, spec, kept)
        return load(entry.name)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(again, range(40))) == [kept] * 40
    assert entries() == [entry]
    assert result(spec) == first


def test_processes_at_once(own: Callable[[str], RunSpec]) -> None:
    spec = own(HOLDS)
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as processes:
        all_of_them = list(processes.map(result, [spec] * 3))
    assert all_of_them == [result(spec)] * 3
    (entry,) = entries()
    assert load(entry.name) is not None


def test_old_entries_go(own: Callable[[str], RunSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_systems, "_MOST", 1)
    result(own(HOLDS))
    (old,) = entries()
    os.utime(old, (1, 1))
    result(own(VIOLATED))
    assert [entry.name for entry in entries()] != [old.name]
    assert len(entries()) == 1
