"""What each reduction saves: the same search without it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pmaplab.native.choose import Engine, search_with
from pmaplab.search.reduced import DisagreementError
from pmaplab.search.reductions import Chosen
from pmaplab.search.result import Limits, Progress, Result
from pmaplab.spec import RunSpec


@dataclass(frozen=True, slots=True)
class Saved:
    """A search without one reduction: its ``states``, of more where ``stopped`` says why
    it ended."""

    reduction: str
    states: int
    stopped: str | None


def savings(
    spec: RunSpec,
    result: Result,
    used: tuple[str, ...],
    *,
    limits: Limits | None,
    progress: Progress | None,
    engine: Engine,
) -> tuple[Saved, ...]:
    """Search what ``spec`` names once more without each of the reductions ``used``.

    Raises DisagreementError where that finds anything else than ``result``.
    """
    found = []
    for name in used:
        chosen = Chosen(spec.without, engine.reductions, spec.canonical_pcids).but(name)
        other = search_with(
            replace(engine, reductions=chosen.search, checkpoint=None),
            replace(spec, without=chosen.without, canonical_pcids=chosen.pcids).build(),
            limits=limits,
            progress=progress,
        )
        if result.complete and other.complete:
            _compare(name, result, other)
        found.append(Saved(name, other.states, other.stopped))
    return tuple(found)


def _compare(name: str, result: Result, other: Result) -> None:
    for what, with_it, without in (
        ("violations", set(result.violations), set(other.violations)),
        ("labels not reached", set(result.unreached), set(other.unreached)),
    ):
        if with_it != without:
            raise DisagreementError(
                f"without {name} there are other {what}: {sorted(without)}, not {sorted(with_it)}"
            )
