"""``pmaplab bench``: the same systems in other model checkers, on this machine."""

from __future__ import annotations

import argparse

from pmaplab.bench.measure import DEFAULT_SYSTEMS, ENGINES, PEERS, SYSTEMS, measure
from pmaplab.bench.peers import TIMEOUT
from pmaplab.cli.options import add_format, seconds
from pmaplab.cli.output import show
from pmaplab.cli.progress import ProgressBar
from pmaplab.report.bench import bench_json, bench_text
from pmaplab.report.jsonout import dumps


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "bench",
        help="measure the search beside SPIN and Rumur",
        description="Run the same systems in every engine and in the model checkers that are "
        "installed, one after the other, and compare verdicts, numbers and times.",
        epilog="Exit status: 0 all agree, 1 some verdicts or numbers differ, 2 bad usage.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "systems",
        nargs="*",
        metavar="SYSTEM",
        help=f"{', '.join(SYSTEMS)} (default: {' '.join(DEFAULT_SYSTEMS)})",
    )
    parser.add_argument(
        "--tool",
        action="append",
        metavar="TOOL",
        help=f"{', '.join((*ENGINES, *PEERS))}; may be given several times (default: all)",
    )
    parser.add_argument(
        "--time-limit",
        type=seconds,
        default=TIMEOUT,
        metavar="SECONDS",
        help=f"of each model checker (default: {TIMEOUT:g})",
    )
    add_format(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit status."""
    tools = options.tool or (*ENGINES, *PEERS)
    with ProgressBar(1, "measuring") as bar:
        bench = measure(
            options.systems or DEFAULT_SYSTEMS,
            tools,
            lambda text: bar.running(0, text),
            options.time_limit,
        )
    show(dumps(bench_json(bench)) if options.format == "json" else bench_text(bench))
    return 0 if bench.agrees else 1
