"""``pmaplab trace``: stored counterexamples, replayed."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.text import Text

from pmaplab.cli.options import add_format
from pmaplab.cli.output import show
from pmaplab.report.jsonout import dumps, trace_json
from pmaplab.report.listing import trace_text
from pmaplab.trace.replay import replay
from pmaplab.trace.store import read_traces


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "trace",
        help="show stored counterexamples again",
        description="Replay the counterexamples in a trace file step by step, and show them.",
        epilog="Exit status: 0 when all of them replay, 2 when one does not.",
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE.json", help="written by `pmaplab check -o`")
    parser.add_argument("--full", action="store_true", help="show every step")
    add_format(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit status."""
    traces = [
        replay(trace, f"{options.file}: trace {number}")
        for number, trace in enumerate(read_traces(Path(options.file)), 1)
    ]
    if options.format == "json":
        show(dumps(trace_json(traces)))
    elif traces:
        show(Text("\n").join([trace_text(trace, full=options.full) for trace in traces]))
    else:
        show(f"{options.file}: no counterexamples\n")
    return 0
