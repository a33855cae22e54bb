"""``pmaplab conform``: the reference kernel against a tree's own C."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from pmaplab.cli.options import (
    add_engine,
    add_format,
    add_mode,
    add_proposal,
    add_ray,
    engine,
    limits,
    modes,
)
from pmaplab.cli.output import show
from pmaplab.cli.parallel import Report, run_all
from pmaplab.cli.progress import ProgressBar
from pmaplab.cli.trees import (
    add_api,
    add_bounds,
    add_patch,
    add_scenarios,
    bounds_of,
    modes_of_tree,
    scenarios,
)
from pmaplab.conform import Conformity, conform
from pmaplab.errors import UsageError
from pmaplab.native.choose import Engine
from pmaplab.report.conform import conform_json, conform_text, outcome
from pmaplab.report.jsonout import dumps
from pmaplab.search.result import Limits
from pmaplab.spec import RunSpec
from pmaplab.tree import TreeSpec


@dataclass(frozen=True)
class Job:
    """Two searches."""

    left: RunSpec
    right: RunSpec
    limits: Limits
    engine: Engine


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "conform",
        help="compare the reference kernel with a tree's own C",
        description="Whether the reference kernel and the C of a tree reach the same states at "
        "rest; the first difference is shown as traces.",
        epilog="Exit status: 0 the same, 1 they differ, 2 bad usage or input, 3 incomplete.",
        allow_abbrev=False,
    )
    parser.add_argument("--tree", metavar="DIR", required=True, help="the FreeBSD tree")
    add_patch(parser)
    add_api(parser)
    add_proposal(parser)
    add_scenarios(parser)
    add_mode(parser, "all", several=True)
    add_bounds(parser)
    add_engine(parser)
    add_ray(parser)
    add_format(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit status."""
    tree = TreeSpec(options.tree, tuple(options.patch), tuple(options.api))
    pairs_asked = []
    for scenario in scenarios(options):
        bounds = bounds_of(options, scenario)
        for mode in modes_of_tree(tree, bounds, modes(options.mode)):
            left = RunSpec(scenario, mode.name, bounds, proposal=options.proposal)
            right = RunSpec(scenario, mode.name, bounds, tree=tree)
            pairs_asked.append((left, right))
    if options.fingerprints:
        raise UsageError("whole states are compared", advice="leave out --fingerprints")
    chosen, bound = engine(options, len(pairs_asked)), limits(options)
    jobs = [Job(left, right, bound, chosen) for left, right in pairs_asked]
    with ProgressBar(len(jobs), "searching") as bar:
        pairs = run_all(jobs, _work, bar)
    if options.format == "json":
        show(dumps(conform_json(pairs)))
    else:
        show(conform_text(pairs))
    found = {outcome(pair) for pair in pairs}
    return 1 if "differ" in found else 3 if "incomplete" in found else 0


def _work(job: Job, report: Report) -> Conformity:
    def progress(states: int, _: int, depth: int) -> None:
        report(f"{job.left.mode}: {states:,} states, depth {depth}")

    return conform(job.left, job.right, job.limits, progress, job.engine)
