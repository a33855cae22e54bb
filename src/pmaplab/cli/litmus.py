"""``pmaplab litmus``: litmus tests on the modelled memory."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from pmaplab.cli.options import add_format, seconds, whole
from pmaplab.cli.output import show
from pmaplab.cli.parallel import Report, run_all
from pmaplab.cli.progress import ProgressBar
from pmaplab.errors import UsageError
from pmaplab.frontends.litmus.files import read_tests
from pmaplab.frontends.litmus.model import LitmusTest
from pmaplab.litmus import MEMORIES, Outcome, run_litmus
from pmaplab.machine.modes import TSO
from pmaplab.report.jsonout import dumps
from pmaplab.report.litmus import litmus_json, litmus_text
from pmaplab.search.result import Limits


@dataclass(frozen=True)
class Job:
    """One test to run."""

    test: LitmusTest
    memory: str
    store_buffer: int | None
    limits: Limits


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "litmus",
        help="run litmus tests on the modelled memory",
        description="Run litmus tests on the modelled memory: all final states, and whether "
        "the condition can be reached.",
        epilog="Exit status: 0 every published verdict comes out (or none is given), "
        "1 some do not, 2 bad usage or input, 3 some search is incomplete.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a herd7 .litmus file for X86_64, or a file with one test a line",
    )
    parser.add_argument(
        "--memory", choices=MEMORIES, default=TSO, help=f"the memory model (default: {TSO})"
    )
    parser.add_argument(
        "--store-buffer",
        type=whole(1),
        metavar="N",
        help="entries of each store buffer (default: so many that it never fills)",
    )
    parser.add_argument(
        "--max-states", type=whole(1), metavar="N", help="stop each test after this many states"
    )
    parser.add_argument(
        "--time-limit", type=seconds, metavar="SECONDS", help="stop each test after this time"
    )
    add_format(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit status."""
    if options.store_buffer is not None and options.memory != TSO:
        raise UsageError(f"there are no store buffers under --memory {options.memory}")
    tests = [test for path in options.files for test in read_tests(path)]
    if not tests:
        raise UsageError("the files hold no test")
    limits = Limits(options.max_states, options.time_limit)
    jobs = [Job(test, options.memory, options.store_buffer, limits) for test in tests]
    with ProgressBar(len(jobs), "running") as bar:
        outcomes = run_all(jobs, run_job, bar)
    if options.format == "json":
        show(dumps(litmus_json(tests, outcomes)))
    else:
        show(litmus_text(outcomes))
    return exit_status(outcomes)


def run_job(job: Job, report: Report) -> Outcome:
    """One test, in a process of its own."""
    report(job.test.name)
    return run_litmus(job.test, memory=job.memory, store_buffer=job.store_buffer, limits=job.limits)


def exit_status(outcomes: list[Outcome]) -> int:
    """What the results mean for the shell."""
    if any(outcome.agrees is False for outcome in outcomes):
        return 1
    return 3 if any(outcome.stopped is not None for outcome in outcomes) else 0
