"""Holding exported systems to the interpreter, with SPIN and Rumur."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmaplab.bench.peers import HOLDS, RUMUR, SPIN, VIOLATED, Found, missing, run_rumur, run_spin
from pmaplab.exports.header import About
from pmaplab.exports.murphi import murphi
from pmaplab.exports.names import one_line
from pmaplab.exports.promela import promela
from pmaplab.exports.steps import StepSystem
from pmaplab.search.result import ASSERTIONS, PROGRESS, Result

ABOUT = About("a test")


def needs(tool: str) -> pytest.MarkDecorator:
    """Skips a test where the tool is not installed, and says so."""
    reason = missing(tool)
    return pytest.mark.skipif(reason is not None, reason=reason or "")


needs_spin = needs(SPIN)
needs_rumur = needs(RUMUR)


def by_spin(steps: StepSystem, folder: Path) -> Found:
    """What SPIN finds, going on after errors."""
    return run_spin(promela(steps, ABOUT), folder, optimize="-O0", depth=100_000, table=18)


def by_rumur(steps: StepSystem, folder: Path) -> Found:
    return run_rumur(murphi(steps, ABOUT), folder, optimize="-O0")


def failing(result: Result) -> frozenset[str]:
    """The properties that fail, as the exports name them."""
    return frozenset(one_line(name) for name in result.violations if name != PROGRESS)


def spin_differs(steps: StepSystem, result: Result, folder: Path) -> list[str]:
    """In what SPIN disagrees: states, transitions and properties must be equal,
    whether any fails or not."""
    found = by_spin(steps, folder)
    verdict = VIOLATED if failing(result) else HOLDS
    return _different(
        states=(found.states, result.states),
        transitions=(found.transitions, result.transitions),
        violated=(found.violated, failing(result)),
        verdict=(found.verdict, verdict),
        reached=(found.reached, frozenset(map(one_line, result.reached))),
    )


def rumur_differs(steps: StepSystem, result: Result, folder: Path) -> list[str]:
    """In what Rumur disagrees.  It does not count steps that fail, and does not
    go on from where an invariant does."""
    found = by_rumur(steps, folder)
    violated = failing(result)
    pairs = {"verdict": (found.verdict, VIOLATED if violated else HOLDS)}
    if not violated - {ASSERTIONS}:
        pairs["states"] = (str(found.states), str(result.states))
    if not violated:
        pairs["transitions"] = (str(found.transitions), str(result.transitions))
    return _different(**pairs)


def _different(**pairs: tuple[object, object]) -> list[str]:
    return [
        f"{name}: {theirs} instead of {ours}"
        for name, (theirs, ours) in pairs.items()
        if theirs != ours
    ]
