"""What is kept of a bring-up is what it came to, and is used for that system alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmaplab import kept_systems
from pmaplab.frontends.kernel_python.source import PACKAGE_ROOT
from pmaplab.kept_begun import begun
from pmaplab.kept_systems import Package
from pmaplab.reviews.measure import BuildJob
from pmaplab.search.sharing import Begun, begin
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds, System

# Its bring-up fails.
VIOLATED = RunSpec("switch", "pcid", Bounds(operations=1), proposal="committed")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_systems, "folder", lambda: tmp_path / "systems")
    # As if the package was older than this process, whoever works on it.
    package = Package("the package", kept_systems._files(PACKAGE_ROOT))
    monkeypatch.setattr(kept_systems, "_package", lambda: package)


def never() -> System:
    raise AssertionError("what is kept was to be used")


def entries() -> list[Path]:
    return sorted(kept_systems.folder().iterdir())


def test_it_is_what_it_was() -> None:
    expected = begin(VIOLATED.build())
    assert set(expected.violations) == {"curpmap"} and len(expected.bring_up) > 50
    assert begun(VIOLATED, VIOLATED.build) == expected
    assert begun(VIOLATED, never) == expected
    assert len(entries()) == 1


def test_a_system_without_a_bring_up() -> None:
    spec = RunSpec("boot", "nopcid", Bounds(operations=1))
    first = begun(spec, spec.build)
    assert (first.bring_up, first.violations) == ((), {})
    assert begun(spec, never) == first


def test_what_is_damaged_is_made_again() -> None:
    expected = begun(VIOLATED, VIOLATED.build)
    (entry,) = entries()
    whole = entry.read_bytes()
    for damaged in (b"", whole[:-1], whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]):
        entry.write_bytes(damaged)
        with pytest.raises(AssertionError, match="to be used"):
            begun(VIOLATED, never)
        assert begun(VIOLATED, VIOLATED.build) == expected
        assert entry.read_bytes() == whole


def test_observers_make_another_system() -> None:
    job = BuildJob("committed", "pcid", "switch")
    with_observers = job.run()
    without: Begun = begun(job.spec(), job.spec().build)
    assert len(entries()) == 2
    assert with_observers.digest != without.digest
    assert with_observers == begin(job.build())


def test_nothing_is_kept_where_the_package_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_systems, "_package", lambda: None)
    expected = begun(VIOLATED, VIOLATED.build)
    assert not kept_systems.folder().exists()
    with pytest.raises(AssertionError, match="to be used"):
        begun(VIOLATED, never)
    assert expected == begin(VIOLATED.build())
