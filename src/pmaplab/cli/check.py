"""``pmaplab check``: every interleaving of a scenario, in one mode or in all."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from rich.text import Text

from pmaplab.cli.options import (
    ALL,
    SUMMARY_OF_STATUS,
    accepted,
    add_accepted,
    add_bounds,
    add_engine,
    add_format,
    add_kernel,
    add_limits,
    add_mode,
    add_preemptions,
    add_ray,
    each_system,
    engine,
    limits,
    modes,
)
from pmaplab.cli.options import bounds as chosen_bounds
from pmaplab.cli.output import OutputFile, show
from pmaplab.cli.parallel import Report, run_all
from pmaplab.cli.progress import ProgressBar
from pmaplab.cli.trees import add_tree, modes_of_tree, tree_spec
from pmaplab.errors import OutputError, UsageError
from pmaplab.machine.modes import SC, TSO
from pmaplab.native.choose import PYTHON, Engine
from pmaplab.report.accepted import Acceptance
from pmaplab.report.jsonout import check_json, dumps
from pmaplab.report.listing import trace_text
from pmaplab.report.terminal import check_text
from pmaplab.report.verdict import ACCEPTED, Verdict, check, exit_status, stale_entries
from pmaplab.search.reductions import parse_reductions
from pmaplab.search.result import Limits
from pmaplab.spec import RunSpec
from pmaplab.trace.record import Trace
from pmaplab.trace.store import traces_to_json


@dataclass(frozen=True)
class Job:
    """One search."""

    spec: RunSpec
    name: str | None
    limits: Limits
    engine: Engine
    accepted: tuple[Acceptance, ...] = ()
    compare: bool = False


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "check",
        help="search every interleaving of a scenario",
        description="Search every interleaving of a scenario and judge the properties.",
        epilog=SUMMARY_OF_STATUS,
        allow_abbrev=False,
    )
    kernel = add_kernel(parser, several=True)
    add_tree(kernel, parser)
    add_mode(parser, "all", several=True)
    add_bounds(parser, several=True)
    add_preemptions(parser)
    parser.add_argument("--property", metavar="NAME", help="judge this property only")
    add_accepted(parser)
    add_limits(parser)
    add_engine(parser)
    parser.add_argument(
        "--savings",
        action="store_true",
        help="search once more without each reduction, and say how many states it saved",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="DIR",
        help="keep native searches there when they are stopped, and go on with them",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE.json", help="store the counterexamples for `pmaplab trace`"
    )
    parser.add_argument("--full", action="store_true", help="show every step of a counterexample")
    add_ray(parser)
    add_format(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit status."""
    systems, absent = _systems(options)
    chosen, bound = engine(options, len(systems)), limits(options)
    if options.checkpoint is not None and chosen.name == PYTHON:
        raise UsageError("the interpreter keeps no checkpoints", advice="leave out --checkpoint")

    def searching(spec: RunSpec) -> Engine:
        if options.checkpoint is None:
            return chosen
        folder = Path(options.checkpoint)
        if ALL in (options.scenario, options.memory):
            memory = SC if spec.bounds.store_buffer is None else TSO
            folder /= f"{Path(spec.scenario).stem}-{memory}"
        return replace(chosen, checkpoint=folder / spec.mode)

    known = accepted(options)
    # The last ones take longest, and begin first.
    jobs = [
        Job(spec, options.property, bound, searching(spec), known, options.savings)
        for spec in reversed(systems)
    ]
    with OutputFile(options.output) if options.output else nullcontext() as file:
        with ProgressBar(len(jobs), "searching") as bar:
            verdicts = run_all(jobs, search_job, bar)[::-1]
        failed = None if file is None else _store(file, verdicts)
        stale = stale_entries(known, verdicts)
        # A trace file that cannot be written must not cost the result as well.
        if options.format == "json":
            show(dumps(check_json(verdicts, absent, stale)))
        else:
            show(_text(verdicts, options.full, absent, stale))
        if failed is not None:
            raise failed
    return exit_status(verdicts)


def _systems(options: argparse.Namespace) -> tuple[list[RunSpec], list[str]]:
    """What is to be searched, and the modes that a tree does not have."""
    asked, result = modes(options.mode), []
    chosen = parse_reductions(options.reductions)
    absent: dict[str, None] = {}
    for own in each_system(options):
        spec = RunSpec(
            scenario=own.scenario,
            bounds=chosen_bounds(own),
            proposal=own.proposal,
            kernel=own.kernel,
            exemptions=own.exemptions,
            tree=tree_spec(own),
            without=chosen.without,
        ).pinned()
        selected = asked
        if spec.tree is not None:
            selected = modes_of_tree(spec.tree, spec.bounds, asked)
        absent |= dict.fromkeys(mode.name for mode in asked if mode not in selected)
        forgetting = chosen.pcids and spec.bounds.operations is None
        result += [
            replace(spec, mode=mode.name, canonical_pcids=forgetting and mode.pcid)
            for mode in selected
        ]
    return result, list(absent)


def search_job(job: Job, report: Report) -> Verdict:
    """One search, in a process of its own."""

    def progress(states: int, _: int, depth: int) -> None:
        report(f"{job.spec.scenario}, {job.spec.mode}: {states:,} states, depth {depth}")

    return check(
        job.spec,
        name=job.name,
        limits=job.limits,
        progress=progress,
        engine=job.engine,
        accepted=job.accepted,
        keep=True,
        compare=job.compare,
    )


def _store(file: OutputFile, verdicts: Sequence[Verdict]) -> OutputError | None:
    try:
        file.write(dumps(traces_to_json(_traces(verdicts))))
    except OutputError as error:
        return error
    return None


def _traces(verdicts: Sequence[Verdict]) -> list[Trace]:
    return [
        judged.trace
        for verdict in verdicts
        for judged in verdict.properties
        if judged.trace is not None
    ]


def _text(
    verdicts: Sequence[Verdict], full: bool, absent: Sequence[str], stale: Sequence[Acceptance]
) -> Text:
    """The verdicts, and the shortest of all counterexamples that are not accepted."""
    result = Text()
    alike = groupby(verdicts, lambda verdict: (verdict.spec.scenario, verdict.spec.bounds))
    groups = [list(group) for _, group in alike]
    for group in groups:
        if result:
            result.append("\n")
        result.append_text(check_text(group, stale if group is groups[-1] else ()))
    if absent:
        result.append(f"not checked: the release has no mode {', '.join(absent)}\n")
    traces = sorted(
        (j.trace for v in verdicts for j in v.properties if j.trace and j.verdict != ACCEPTED),
        key=lambda trace: len(trace.steps),
    )
    if traces:
        result.append("\n").append_text(trace_text(traces[0], full=full))
    more = len(_traces(verdicts)) - len(traces[:1])
    if more:
        result.append(
            f"\n{more} more: `-o FILE.json` stores them all for `pmaplab trace`\n",
            style="dim",
        )
    return result
