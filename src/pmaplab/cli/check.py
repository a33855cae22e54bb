"""``pmaplab check``: every interleaving of a scenario, in one mode or in all."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from rich.text import Text

from pmaplab.cli.options import (
    SUMMARY_OF_STATUS,
    add_engine,
    add_format,
    add_limits,
    add_memory,
    add_mode,
    add_proposal,
    add_sizes,
    engine,
    limits,
    modes,
    store_buffer,
    whole,
)
from pmaplab.cli.output import OutputFile, show
from pmaplab.cli.parallel import Report, run_all
from pmaplab.cli.progress import ProgressBar
from pmaplab.errors import OutputError
from pmaplab.native.choose import Engine
from pmaplab.report.jsonout import check_json, dumps
from pmaplab.report.listing import trace_text
from pmaplab.report.terminal import check_text
from pmaplab.report.verdict import Verdict, check, exit_status
from pmaplab.search.bfs import Limits
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds, default_bounds, scenario_names
from pmaplab.trace.record import Trace
from pmaplab.trace.store import traces_to_json

_DEFAULTS = Bounds()
_COUNTS = ("processes", "kernel_processes", "operations", "pcids", "pages")


@dataclass(frozen=True)
class Job:
    """One search."""

    spec: RunSpec
    name: str | None
    limits: Limits
    engine: Engine


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "check",
        help="search every interleaving of a scenario",
        description="Search every interleaving of a scenario and judge the properties.",
        epilog=SUMMARY_OF_STATUS,
        allow_abbrev=False,
    )
    kernel = parser.add_mutually_exclusive_group()
    add_proposal(kernel)
    kernel.add_argument(
        "--kernel",
        metavar="FILE.py",
        help="kernel Python of your own: what it declares replaces the reference's",
    )
    parser.add_argument(
        "--scenario",
        default="boot",
        metavar="NAME|FILE.py",
        help=f"{', '.join(scenario_names())}, or a file of your own (default: boot)",
    )
    add_mode(parser, "all", several=True)
    add_memory(parser)
    add_sizes(parser, _DEFAULTS.cpus, "as many as --cpus")
    for name, what in (
        ("processes", "user processes"),
        ("kernel-processes", "kernel processes besides proc0"),
        ("operations", "operations per CPU"),
        ("pcids", "PCIDs per CPU besides the kernel's"),
        ("pages", "user pages of an address space, and as many of the kernel"),
    ):
        default = _default(name.replace("-", "_"))
        parser.add_argument(
            f"--{name}",
            type=whole(),
            metavar="N",
            help=f"{what} (default: {default})",
        )
    parser.add_argument("--property", metavar="NAME", help="judge this property only")
    parser.add_argument(
        "--exemptions", metavar="FILE.toml", help="further places where properties do not count"
    )
    add_limits(parser)
    add_engine(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE.json", help="store the counterexamples for `pmaplab trace`"
    )
    parser.add_argument("--full", action="store_true", help="show every step of a counterexample")
    add_format(parser)
    parser.set_defaults(run=run)


def _default(name: str) -> str:
    """What a bound is where no option says so, with the scenarios that differ."""
    usual = getattr(_DEFAULTS, name)
    others = {s: getattr(default_bounds(s), name) for s in scenario_names()}
    differ = [f"{value} in {s}" for s, value in others.items() if value != usual]
    return ", ".join([str(usual), *differ])


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit status."""
    selected = modes(options.mode)
    asked = {name: getattr(options, name) for name in _COUNTS}
    bounds = replace(
        default_bounds(options.scenario),
        cpus=options.cpus,
        maxcpu=max(options.cpus, 1) if options.maxcpu is None else options.maxcpu,
        store_buffer=store_buffer(options),
        **{name: value for name, value in asked.items() if value is not None},
    )
    bounds.check()
    spec = RunSpec(
        scenario=options.scenario,
        bounds=bounds,
        proposal=options.proposal,
        kernel=options.kernel,
        exemptions=options.exemptions,
    ).pinned()
    chosen, bound = engine(options, len(selected)), limits(options)
    jobs = [
        Job(replace(spec, mode=mode.name), options.property, bound, chosen) for mode in selected
    ]
    with OutputFile(options.output) if options.output else nullcontext() as file:
        with ProgressBar(len(jobs), "searching") as bar:
            verdicts = run_all(jobs, search_job, bar)
        failed = None if file is None else _store(file, verdicts)
        # A trace file that cannot be written must not cost the result as well.
        if options.format == "json":
            show(dumps(check_json(verdicts)))
        else:
            show(_text(verdicts, options.full))
        if failed is not None:
            raise failed
    return exit_status(verdicts)


def search_job(job: Job, report: Report) -> Verdict:
    """One search, in a process of its own."""

    def progress(states: int, _: int, depth: int) -> None:
        report(f"{job.spec.mode}: {states:,} states, depth {depth}")

    return check(job.spec, name=job.name, limits=job.limits, progress=progress, engine=job.engine)


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


def _text(verdicts: Sequence[Verdict], full: bool) -> Text:
    """The verdicts, and the shortest of all counterexamples."""
    result = check_text(verdicts)
    traces = sorted(_traces(verdicts), key=lambda trace: len(trace.steps))
    if traces:
        result.append("\n").append_text(trace_text(traces[0], full=full))
    if len(traces) > 1:
        result.append(
            f"\n{len(traces) - 1} more: `-o FILE.json` stores them all for `pmaplab trace`\n",
            style="dim",
        )
    return result
