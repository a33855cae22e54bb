"""``pmaplab export``: a system for other tools."""

from __future__ import annotations

import argparse
from contextlib import nullcontext

from pmaplab.cli.options import add_bounds, add_kernel, add_mode, whole
from pmaplab.cli.options import bounds as chosen_bounds
from pmaplab.cli.output import OutputFile, show
from pmaplab.errors import UsageError
from pmaplab.exports.dot import DEFAULT_LIMIT
from pmaplab.exports.files import LANGUAGES, export
from pmaplab.machine.modes import find_mode
from pmaplab.spec import RunSpec


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "export",
        help="write a system for SPIN, Rumur or Graphviz",
        description="Write a system, step for step and with its properties, for another model "
        "checker: Promela for SPIN, Murphi for Rumur; or draw the state graph of a small one.",
        epilog="The file's header says how to verify it. Exit status: 0 written, "
        "2 bad usage or input, or a system that the language cannot express.",
        allow_abbrev=False,
    )
    parser.add_argument("--to", choices=LANGUAGES, required=True, help="the language")
    add_kernel(parser)
    add_mode(parser, "nopcid", several=False)
    add_bounds(parser)
    parser.add_argument(
        "--max-states",
        type=whole(1),
        metavar="N",
        help=f"draw at most so many states (dot only, default: {DEFAULT_LIMIT})",
    )
    parser.add_argument(
        "--search",
        action="store_true",
        help="search the system first, and say in the header what is to be expected",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="where to write (default: standard output)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit status."""
    if options.max_states is not None and options.to != "dot":
        raise UsageError(
            f"--max-states bounds what is drawn, and --to {options.to} draws nothing",
            advice="the header of the file says how to bound the search",
        )
    if options.search and options.to == "dot":
        raise UsageError("--search is for what another tool verifies, and --to dot is none")
    spec = RunSpec(
        scenario=options.scenario,
        mode=find_mode(options.mode).name,
        bounds=chosen_bounds(options),
        proposal=options.proposal,
        kernel=options.kernel,
        exemptions=options.exemptions,
    ).pinned()
    with OutputFile(options.output) if options.output else nullcontext() as file:
        limit = options.max_states or DEFAULT_LIMIT
        text = export(spec, options.to, limit, searched=options.search)
        if file is None:
            show(text)
        else:
            file.write(text)
    return 0
