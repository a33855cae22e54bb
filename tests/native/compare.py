"""What two engines must agree on, and searches with and without reductions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import test_broken_kernels as broken
from pmaplab.errors import ModelError
from pmaplab.machine.modes import find_mode
from pmaplab.native import asking, protocol
from pmaplab.native.engine import search_natively
from pmaplab.search.bfs import search
from pmaplab.search.reductions import SEARCH_REDUCTIONS, Reductions
from pmaplab.search.result import Limits, Result
from pmaplab.system import System


def slow(*values: Any) -> Any:
    """The values of a test that is run with the slow ones."""
    return pytest.param(*values, marks=pytest.mark.slow)


def summary(result: Result) -> dict[str, Any]:
    """All that does not depend on which of several shortest ways was found."""
    return {
        "verdict": result.verdict(),
        "properties": result.properties,
        "complete": result.complete,
        "stopped": result.stopped,
        "states": result.states,
        "transitions": result.transitions,
        "depth": result.depth,
        "bring_up": result.bring_up,
        "violations": {name: found.steps for name, found in sorted(result.violations.items())},
        "exemptions": sorted(result.exemptions_used),
        "reached": sorted(result.reached),
        "unreached": result.unreached,
        "projected": result.projected,
    }


def outcome(run: Callable[[], Result]) -> dict[str, Any] | str:
    """The summary, or that there was no verdict."""
    try:
        return summary(run())
    except ModelError:
        return "no verdict"


def same(system: System, *, threads: int = 2) -> Result | None:
    """The native result, which must be the interpreter's; None where neither has
    a verdict."""
    expected = outcome(lambda: search(system, projected=True))
    native = partial(search_natively, system, threads=threads, once=True)
    found = outcome(lambda: native(projected=True))
    assert found == expected
    return None if expected == "no verdict" else native()


def same_where_it_holds(less: Result, found: Result, kinds: str) -> None:
    """``less`` is a search of the kernel with the symmetries ``kinds`` (with spaces between
    them), ``found`` one of all its states."""
    assert less.verdict() == found.verdict() and less.reached == found.reached
    assert less.exemptions_used == found.exemptions_used
    assert " ".join(less.symmetries) == kinds
    if "processes" not in kinds:
        told = {each.kind: each.function for each in less.told_apart}
        assert told == {"processes": "vmspace_alloc"}


def goes_on(
    made: System,
    reductions: Reductions,
    stops: dict[int, tuple[str, ...]],
    numbers: Callable[[Result], Any],
    folder: Path,
) -> None:
    """A search with checkpoints in ``folder`` is interrupted after each of ``stops`` states,
    when these symmetries are left, and comes to the ``numbers`` of one that is not."""
    kept = tuple(name for name in SEARCH_REDUCTIONS if name in reductions.names)
    whole = search_natively(made, reductions=reductions)
    asked: list[Path | None] = []

    def ask(*arguments: Any) -> Any:
        asked.append(arguments[3])
        return protocol.ask(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asking, "ask", ask)
        for most, kinds in stops.items():
            some = search_natively(
                made, reductions=reductions, limits=Limits(states=most), checkpoint=folder
            )
            assert not some.complete and (folder / "search").exists()
            assert some.symmetries == kinds
            assert some.reductions == kept
        asked.clear()
        found = search_natively(made, reductions=reductions, checkpoint=folder)
    assert numbers(found) == numbers(whole)
    # What tells processes apart is found again, without the checkpoint of the rest.
    assert asked == [None, folder]
    assert not list(folder.iterdir())


def broken_kernels(turn: int, *, of: int = 24) -> pytest.MarkDecorator:
    """``path`` and ``mode``: one mode of each, and but for those whose ``turn`` it is with the
    slow tests.  The interpreter's tests have all."""
    kernels = [
        kernel if number % of == turn else slow(*kernel)
        for number, kernel in enumerate(dict(broken.VIOLATED).items())
    ]
    return pytest.mark.parametrize(("path", "mode"), kernels, ids=broken.name)


def goes_back(path: Path, mode: str, reductions: Reductions) -> tuple[Result, Result]:
    """Two searches of a broken kernel: one that is asked for reductions and goes back on them,
    and one without."""
    made = broken.built(path, find_mode(mode))
    less, found = search_natively(made, reductions=reductions), search(made)
    assert not less.reductions
    assert summary(less) == summary(found)
    return less, found
