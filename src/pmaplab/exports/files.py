"""Whole files: a system in one of the languages, with what its header says."""

from __future__ import annotations

from pmaplab.errors import ModelError
from pmaplab.exports.dot import DEFAULT_LIMIT, dot
from pmaplab.exports.header import About
from pmaplab.exports.lower import step_system
from pmaplab.exports.murphi import murphi
from pmaplab.exports.promela import promela
from pmaplab.exports.steps import StepSystem
from pmaplab.generations import check_own
from pmaplab.memory import memory_assumptions
from pmaplab.search.bfs import search
from pmaplab.search.interpreter import Interpreter, State
from pmaplab.search.run import Runner
from pmaplab.spec import RunSpec, showing_source
from pmaplab.system import System

LANGUAGES = ("promela", "murphi", "dot")


def export(
    spec: RunSpec, language: str, limit: int = DEFAULT_LIMIT, *, searched: bool = False
) -> str:
    """The text of a file in one of the :data:`LANGUAGES`.

    ``limit`` is the number of states that dot may draw.  ``searched`` has the
    system searched first, and what is to be expected in the header.  Raises a
    PmaplabError for whatever is wrong with what the spec names, and for what
    the language cannot express.
    """
    system = spec.build()
    with showing_source(system):
        start, lines = beginning(system)
        expected = _expected(system) if searched else ()
        about = About(_title(spec), (*_bounds(spec, system), *lines), expected)
        if language == "dot":
            return dot(system.program, start, about, limit)
        steps = steps_of(system, start)
        return promela(steps, about) if language == "promela" else murphi(steps, about)


def steps_of(system: System, start: State | None = None) -> StepSystem:
    """The steps of a system, from where its search begins."""
    start = beginning(system)[0] if start is None else start
    layout = Interpreter(system.program).layout
    # Agents begin at the points of the exports, which have numbers of their own.
    return step_system(system.program, start[: layout.agents[0]])


def beginning(system: System) -> tuple[State, tuple[str, ...]]:
    """The state in which the search begins, and what is to be said of it.

    Raises ModelError when an assertion fails on the way to it.
    """
    if system.bring_up is None:
        return Interpreter(system.program).initial(), ()
    runner = Runner(system)
    failed = set()
    while runner.in_bring_up:
        failure = runner.bring_up_step()
        if failure is not None:
            raise ModelError(
                f"an assertion fails before the bring-up is over: {failure.message}",
                location=failure.loc,
                advice="`pmaplab check` shows how",
            )
        interpreter = runner.interpreter
        program = interpreter.program
        for number, _, _, inside in interpreter.broken(interpreter.split(runner.state)[0]):
            if not inside:
                failed.add(program.invariants[number].property)
    if system.unbounded:
        check_own(runner.interpreter.layout, runner.state)
    lines = [f"it begins after a bring-up of {len(runner.moves)} steps on one schedule"]
    if failed:
        names = ", ".join(sorted(failed))
        lines.append(f"which is not part of this file, and in which {names} is violated already")
    return runner.state, tuple(lines)


def _expected(system: System) -> tuple[str, ...]:
    """What pmaplab's own search finds."""
    result = search(system)
    numbers = f"{result.states} states, {result.transitions} transitions"
    if not result.complete:
        numbers += f"; not complete: {result.stopped}"
    failing = sorted(result.violations)
    return (numbers, f"violated: {', '.join(failing)}" if failing else "all properties hold")


def _title(spec: RunSpec) -> str:
    return f"{spec.kernel_name}, scenario {spec.scenario}, mode {spec.mode}"


def _bounds(spec: RunSpec, system: System) -> tuple[str, ...]:
    bounds = spec.bounds
    pcids = "all" if bounds.pcids is None else bounds.pcids
    operations = "unbounded" if bounds.operations is None else bounds.operations
    lines = [
        f"CPUs {bounds.cpus}, MAXCPU {bounds.maxcpu}, processes {bounds.processes}, "
        f"kernel processes {bounds.kernel_processes}, operations {operations}, "
        f"PCIDs {pcids}, pages {bounds.pages}"
    ]
    if bounds.store_buffer is None:
        lines.append("memory model sc")
    else:
        lines += memory_assumptions(system.program, bounds.store_buffer)
    if system.exemptions:
        lines.append(f"exempt regions: {', '.join(sorted(system.exemptions))}")
    return tuple(lines)
