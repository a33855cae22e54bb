"""Which engine searches: generated C where a compiler is found, or Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pmaplab.errors import UsageError
from pmaplab.native.build import NoCompiler
from pmaplab.native.codegen import Unsupported
from pmaplab.native.engine import NotNative, search_natively
from pmaplab.search.bfs import Limits, Progress, Result, search
from pmaplab.system import System

AUTO, NATIVE, PYTHON = "auto", "native", "python"
ENGINES = (AUTO, NATIVE, PYTHON)


@dataclass(frozen=True, slots=True)
class Engine:
    """How to search: one of ENGINES, and the threads of a native search (None
    for all cores).  ``fingerprints`` lets these tell states apart by 64 bits only,
    ``checkpoint`` is a folder in which they are kept when they are interrupted."""

    name: str = AUTO
    threads: int | None = None
    fingerprints: bool = False
    checkpoint: Path | None = None


DEFAULT_ENGINE = Engine()


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
) -> Result:
    """As :func:`pmaplab.search.bfs.search`, by the engine asked for; ``once`` as in
    :func:`pmaplab.native.engine.search_natively`.

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
                projected=projected,
                once=once,
            )
        except (NoCompiler, NotNative, Unsupported) as error:
            if engine.name == NATIVE or engine.checkpoint is not None:
                raise UsageError(
                    f"the native engine cannot search here: {error}",
                    advice="--engine python is slower and needs nothing",
                ) from None
            note = f"searched by the interpreter, which is slow: {error}"
    result = search(
        system,
        limits=limits,
        stop_at_first=stop_at_first,
        judge_bring_up=judge_bring_up,
        progress=progress,
        projected=projected,
    )
    result.note = note
    return result
