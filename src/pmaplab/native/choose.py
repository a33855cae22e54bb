"""Which engine searches: generated C where a compiler is found, or Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pmaplab.errors import UsageError
from pmaplab.native.asking import NotNative
from pmaplab.native.build import NoCompiler
from pmaplab.native.codegen import Unsupported
from pmaplab.native.engine import search_natively
from pmaplab.native.prepared import Prepared
from pmaplab.search.reduced import search_reduced
from pmaplab.search.reductions import NO_REDUCTIONS, Reductions
from pmaplab.search.result import Limits, Progress, Result
from pmaplab.system import System

AUTO, NATIVE, PYTHON = "auto", "native", "python"
ENGINES = (AUTO, NATIVE, PYTHON)


@dataclass(frozen=True, slots=True)
class Engine:
    """How to search: one of ENGINES, and the threads of a native search (None
    for all cores).  ``fingerprints`` lets these tell states apart by 64 bits only,
    ``checkpoint`` is a folder in which they are kept when they are interrupted.
    ``reductions`` are those that both engines may use."""

    name: str = AUTO
    threads: int | None = None
    fingerprints: bool = False
    checkpoint: Path | None = None
    reductions: Reductions = NO_REDUCTIONS


DEFAULT_ENGINE = Engine()


def not_native(error: Exception) -> UsageError:
    """The error where the native engine is asked for and cannot do it."""
    return UsageError(
        f"the native engine cannot search here: {error}",
        advice="--engine python is slower and needs nothing",
    )


def search_with(
    engine: Engine,
    system: System,
    *,
    limits: Limits | None = None,
    stop_at_first: bool = False,
    judge_bring_up: bool = True,
    progress: Progress | None = None,
    projected: bool = False,
    once: bool = False,
    keep: Callable[[Prepared], None] | None = None,
) -> Result:
    """As :func:`pmaplab.search.reduced.search_reduced`, by the engine asked for; ``projected``,
    ``once`` and ``keep`` as in :func:`pmaplab.native.engine.search_natively`.

    Raises UsageError where the native engine is asked for and cannot do it.
    """
    note = None
    if engine.name != PYTHON:
        try:
            return search_natively(
                system,
                limits=limits,
                stop_at_first=stop_at_first,
                judge_bring_up=judge_bring_up,
                progress=progress,
                threads=engine.threads,
                fingerprints=engine.fingerprints,
                checkpoint=engine.checkpoint,
                reductions=engine.reductions,
                projected=projected,
                once=once,
                keep=keep,
            )
        except (NoCompiler, NotNative, Unsupported) as error:
            if engine.name == NATIVE or engine.checkpoint is not None:
                raise not_native(error) from None
            note = f"searched by the interpreter, which is slow: {error}"
    result = search_reduced(
        system,
        limits=limits,
        stop_at_first=stop_at_first,
        judge_bring_up=judge_bring_up,
        progress=progress,
        reductions=engine.reductions,
        projected=projected,
    )
    result.note = note
    return result
