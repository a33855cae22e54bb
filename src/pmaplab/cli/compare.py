"""``pmaplab compare``: a tree before and after a patch, side by side."""

from __future__ import annotations

import argparse

from pmaplab.cli.check import Job, search_job
from pmaplab.cli.options import (
    accepted,
    add_accepted,
    add_engine,
    add_format,
    add_mode,
    add_ray,
    engine,
    limits,
    modes,
)
from pmaplab.cli.output import show
from pmaplab.cli.parallel import run_all
from pmaplab.cli.progress import ProgressBar
from pmaplab.cli.trees import (
    BOOT,
    add_api,
    add_bounds,
    add_scenarios,
    bounds_of,
    modes_of_tree,
    scenarios,
)
from pmaplab.errors import UsageError
from pmaplab.report.compare import Comparison, compare_json, compare_text
from pmaplab.report.jsonout import dumps
from pmaplab.report.verdict import ACCEPTED, INCOMPLETE, stale_entries
from pmaplab.spec import RunSpec
from pmaplab.tree import TreeSpec


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "compare",
        help="check a tree before and after a patch",
        description="Check a FreeBSD tree before and after patches, in every mode and scenario, "
        "and say what they fix and what they break.",
        epilog="Exit status: 0 nothing breaks, 1 something breaks, 2 bad usage or input, "
        "3 nothing breaks as far as incomplete searches and accepted findings say.",
        allow_abbrev=False,
    )
    parser.add_argument("--tree", metavar="DIR", required=True, help="the FreeBSD tree")
    parser.add_argument(
        "--patch", metavar="FILE", nargs="+", action="extend", required=True,
        help="unified diffs, applied in memory one after the other",
    )  # fmt: skip
    add_api(parser)
    add_scenarios(parser)
    add_mode(parser, "all", several=True)
    add_bounds(parser)
    add_engine(parser)
    add_accepted(parser)
    add_ray(parser)
    add_format(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit status."""
    bounds = bounds_of(options, BOOT)
    before = TreeSpec(options.tree, (), tuple(options.api))
    after = TreeSpec(options.tree, tuple(options.patch), tuple(options.api))
    asked = modes(options.mode)
    known = [modes_of_tree(spec, bounds, asked) for spec in (before, after)]
    both = [mode for mode in known[0] if mode in known[1]]
    if not both:
        raise UsageError("there is no mode that the tree has both before and after the patch")
    known_findings = accepted(options)
    specs = [
        RunSpec(scenario, mode.name, bounds_of(options, scenario), tree=tree)
        for scenario in scenarios(options)
        for mode in both
        for tree in (before, after)
    ]
    chosen, bound = engine(options, len(specs)), limits(options)
    jobs = [Job(spec.pinned(), None, bound, chosen, known_findings) for spec in specs]
    with ProgressBar(len(jobs), "searching") as bar:
        verdicts = run_all(jobs, search_job, bar)
    pairs = tuple(zip(verdicts[::2], verdicts[1::2], strict=True))
    comparison = Comparison(before, after, pairs, stale_entries(known_findings, verdicts))
    if options.format == "json":
        show(dumps(compare_json(comparison)))
    else:
        show(compare_text(comparison))
    if comparison.broken:
        return 1
    undecided = (
        v.verdict == INCOMPLETE or (v.verdict == ACCEPTED and not v.covered) for v in verdicts
    )
    return 3 if any(undecided) else 0
