"""``pmaplab twins``: kernels with one change each, and whether they are found."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

from pmaplab.cli.options import (
    add_engine,
    add_format,
    add_limits,
    add_mode,
    add_ray,
    engine,
    limits,
    modes,
)
from pmaplab.cli.output import show
from pmaplab.cli.parallel import Report, run_all
from pmaplab.cli.progress import ProgressBar
from pmaplab.report.jsonout import dumps
from pmaplab.report.twins import exit_status, twins_json, twins_text
from pmaplab.search.reductions import parse_reductions
from pmaplab.twins import data
from pmaplab.twins.measure import AnyJob, find_twins, measure, traces


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "twins",
        help="broken twins of the kernel that holds, in all modes and memory models",
        description=f"Search twins of the kernel {data.SOUND}, each with one change, and compare "
        "what is violated with what must be.",
        epilog="Exit status: 0 all is as it must be, 1 something is not, 2 bad usage or input, "
        "3 something is incomplete or vacuous.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--twin", action="append", default=[], metavar="ID", help="this one only (may be repeated)"
    )
    add_mode(parser, "all", several=True)
    parser.add_argument(
        "--memory",
        choices=(*data.MEMORIES, "all"),
        default="all",
        help="the memory model (default: all)",
    )
    parser.add_argument(
        "--traces", action="store_true", help="show a shortest counterexample to each twin"
    )
    add_limits(parser)
    add_engine(parser)
    add_ray(parser)
    add_format(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit status."""
    twins = find_twins(options.twin, data.TWINS)
    found = measure(
        twins,
        [mode.name for mode in modes(options.mode)],
        data.MEMORIES if options.memory == "all" else (options.memory,),
        _run_jobs,
        limits=limits(options),
        engine=partial(engine, options),
        without=parse_reductions(options.reductions).without,
    )
    if options.format == "json":
        show(dumps(twins_json(found)))
    else:
        show(twins_text(found, traces(found, _run_jobs) if options.traces else ()))
    return exit_status(found)


def _run_jobs(jobs: Sequence[AnyJob], what: str) -> list[Any]:
    with ProgressBar(len(jobs), what) as bar:
        return run_all(jobs, _work, bar)


def _work(job: AnyJob, report: Report) -> Any:
    report(str(job.cell))

    def progress(states: int, _: int, depth: int) -> None:
        report(f"{job.cell}: {states:,} states, depth {depth}")

    return job.run(progress)
