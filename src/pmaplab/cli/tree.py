"""``pmaplab tree``: what is found in a kernel's tree."""

from __future__ import annotations

import argparse

from pmaplab.cli.options import add_format
from pmaplab.cli.output import show
from pmaplab.cli.trees import add_api, add_patch
from pmaplab.report.jsonout import dumps
from pmaplab.report.tree import tree_json, tree_text
from pmaplab.system import Bounds
from pmaplab.tree import TreeSpec, survey


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "tree",
        help="show what is found in a FreeBSD tree",
        description="Show what of a FreeBSD tree is under check: the release, the functions with "
        "their places, what is modelled by hand, what is left out, what is not supported.",
        epilog="Exit status: 0 everything is supported, 2 bad usage or input, 3 some functions "
        "are not supported.",
        allow_abbrev=False,
    )
    parser.add_argument("tree", metavar="DIR", help="the folder that holds sys, as /usr/src")
    add_patch(parser)
    add_api(parser)
    add_format(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit status."""
    spec = TreeSpec(options.tree, tuple(options.patch), tuple(options.api))
    found = survey(spec, Bounds())
    if options.format == "json":
        show(dumps(tree_json(spec, found)))
    else:
        show(tree_text(spec, found))
    return 3 if found.problems else 0
