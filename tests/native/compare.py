"""What two engines must agree on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pmaplab.errors import ModelError
from pmaplab.native.engine import search_natively
from pmaplab.search.bfs import search
from pmaplab.search.result import Result
from pmaplab.system import System


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
