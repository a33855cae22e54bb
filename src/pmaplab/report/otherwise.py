"""What an accepted finding leaves: is the property violated in another way as well?

The search is made again, by the interpreter, and looks at every step that makes the
property fail where it did not fail before: one that does not begin where what is
accepted begins is another violation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pmaplab.ir.nodes import STORE_BUFFER
from pmaplab.report.accepted import Acceptance
from pmaplab.search.bfs import search
from pmaplab.search.result import ASSERTIONS, PROGRESS, Limits, Progress, Result, Violation
from pmaplab.search.run import Runner
from pmaplab.spec import RunSpec
from pmaplab.system import System
from pmaplab.trace.record import Trace, record

# So many states are searched for other violations, unless there is another limit.
STATES = 2_000_000
# More places than a file of findings has.
_ROUNDS = 20

# A function and its file.
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted violation; ``places`` are where the last steps of what is accepted
    begin.  ``states`` were searched for others, None where that was not done;
    ``unchecked`` says why what they say is not all."""

    entry: Acceptance
    places: tuple[Place, ...]
    states: int | None
    unchecked: str | None


@dataclass(frozen=True, slots=True)
class Otherwise:
    """What was accepted, by property, what was not, and the entries that matched."""

    accepted: dict[str, Accepted]
    violations: dict[str, Violation]
    matched: tuple[Acceptance, ...]


def search_otherwise(
    spec: RunSpec,
    system: System,
    result: Result,
    entries: Sequence[Acceptance],
    limits: Limits,
    progress: Progress | None,
) -> Otherwise:
    """Take what ``entries`` accept out of what a search found, and look for more."""
    matched: dict[str, Acceptance] = {}
    used: dict[Acceptance, None] = {}
    places: dict[str, set[Place]] = {}
    unchecked: dict[str, str] = {}
    for name, violation in result.violations.items():
        entry, place = _match(spec, system, violation, entries)
        if entry is not None:
            matched[name] = entry
            used[entry] = None
            places[name] = {place}
            reason = _unsearchable(system, result, violation, entry)
            if reason is not None:
                unchecked[name] = reason
    others: dict[str, Violation] = {}
    states: int | None = None
    limits = replace(limits, states=limits.states or STATES, memory=None)
    for _ in range(_ROUNDS):
        asked = {name: frozenset(found) for name, found in places.items() if name not in unchecked}
        if not asked:
            break
        found = search(system, limits=limits, progress=progress, accepted=asked)
        states = found.states
        others, again = {}, False
        for name in asked.keys() & found.violations.keys():
            entry, place = _match(spec, system, found.violations[name], entries)
            if entry is None or place in places[name]:
                others[name] = found.violations[name]
            else:
                used[entry] = None
                places[name].add(place)
                again = True
                reason = _unsearchable(system, result, found.violations[name], entry)
                if reason is not None:
                    unchecked[name] = reason
        if not again:
            if not found.complete:
                unchecked.update(dict.fromkeys(asked, str(found.stopped)))
            break
    else:
        unchecked.update(dict.fromkeys(asked, "there are too many places"))
    accepted = {
        name: Accepted(
            entry,
            tuple(sorted(places[name])),
            None if name in unchecked and unchecked[name] in _NEVER else states,
            unchecked.get(name),
        )
        for name, entry in matched.items()
    }
    return Otherwise(accepted, others, tuple(used))


_ANY = "the entry names no place, and so accepts whatever violates the property"
_THROUGH = "which functions a state was reached through is no part of it"
_STUCK = "a CPU that can never go on is no step"
_EARLY = "it is violated before the search begins"
_BUFFER = "its last step is a store that reaches memory"
_NEVER = (_ANY, _THROUGH, _STUCK, _EARLY, _BUFFER)


def _unsearchable(
    system: System, result: Result, violation: Violation, entry: Acceptance
) -> str | None:
    """Why no search can tell other violations from this one."""
    if entry.anywhere:
        return _ANY
    if entry.through:
        return _THROUGH
    if violation.property == PROGRESS:
        return _STUCK
    if violation.steps <= len(result.bring_up):
        return _EARLY
    last = violation.moves[-1][0]
    if system.program.agents[last].context == STORE_BUFFER:
        return _BUFFER
    return None


def _match(
    spec: RunSpec, system: System, violation: Violation, entries: Sequence[Acceptance]
) -> tuple[Acceptance | None, Place]:
    """The first entry that accepts a violation, and where its last step begins."""
    own = [entry for entry in entries if entry.about == violation.property]
    if not own or not violation.moves:
        return None, ("", "")
    begins = _begins(system, violation)
    trace = record(spec, system, violation)
    shown = trace.steps[-1].function, trace.steps[-1].file
    for entry in own:
        if any(entry.accepts(*place) for place in (begins, shown)) and _passes(entry, trace):
            return entry, begins
    return None, begins


def _begins(system: System, violation: Violation) -> Place:
    """The function and file at which the last step of a violation begins; for an
    assertion, where it stands."""
    if violation.property == ASSERTIONS and violation.failure is not None:
        return violation.failure.function, violation.failure.loc.file
    runner = Runner(system)
    for agent, choices in violation.moves[:-1]:
        taken = runner.step(agent, choices)
        assert taken, "the search and the interpreter differ"
    function, item = runner.interpreter.location(runner.state, violation.moves[-1][0])
    return function, item.loc.file


def _passes(entry: Acceptance, trace: Trace) -> bool:
    """Whether the steps of a trace pass through what the entry names."""
    return {step.function for step in trace.steps[trace.prefix :]} >= set(entry.through)
