"""``pmaplab mutate``: would the checks notice a mistake?"""

from __future__ import annotations

import argparse
from dataclasses import replace

from pmaplab.cli.options import add_format, add_mode, add_ray, limits, modes
from pmaplab.cli.output import show
from pmaplab.cli.parallel import Report, run_all
from pmaplab.cli.progress import ProgressBar
from pmaplab.cli.trees import (
    BOOT,
    add_api,
    add_bounds,
    add_patch,
    add_scenarios,
    bounds_of,
    modes_of_tree,
    scenarios,
)
from pmaplab.errors import UsageError
from pmaplab.frontends.kernel_c.source import line_of
from pmaplab.mutate import (
    SURVIVED,
    UNDECIDED,
    MutationJob,
    Outcome,
    all_mutations,
    programs,
    try_out,
)
from pmaplab.report.jsonout import dumps
from pmaplab.report.mutate import mutate_json, mutate_text
from pmaplab.spec import RunSpec
from pmaplab.tree import TreeSpec


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "mutate",
        help="break a tree's statements one at a time, and check again",
        description="Delete each statement of the functions under check in turn, swap it with "
        "the next, take the lock off an atomic operation, leave interrupts enabled; and say "
        "whether a check notices.",
        epilog="Exit status: 0 none survives, 1 some survive, 2 bad usage or input, 3 none "
        "survives as far as could be decided.",
        allow_abbrev=False,
    )
    parser.add_argument("--tree", metavar="DIR", required=True, help="the FreeBSD tree")
    add_patch(parser)
    add_api(parser)
    parser.add_argument(
        "--function",
        metavar="NAME",
        action="append",
        help="only this function; may be given again",
    )
    add_scenarios(parser)
    add_mode(parser, "all", several=True)
    add_bounds(parser)
    add_ray(parser)
    add_format(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit status."""
    bounds = bounds_of(options, BOOT)
    tree = TreeSpec(options.tree, tuple(options.patch), tuple(options.api))
    selected = modes_of_tree(tree, bounds, modes(options.mode))
    runs = tuple(
        RunSpec(scenario, mode.name, bounds_of(options, scenario), tree=tree)
        for scenario in scenarios(options)
        for mode in selected
    )
    found = all_mutations(runs)
    if options.function:
        for name in options.function:
            if not any(mutation.function == name for mutation in found):
                raise UsageError(
                    f"{name} is no function under check, or has no statement to break",
                    advice="`pmaplab tree DIR` lists the functions under check",
                )
        found = [mutation for mutation in found if mutation.function in options.function]
    jobs = [MutationJob(each, runs, limits(options)) for each in found]
    with ProgressBar(len(jobs), "programs") as bar:
        made = run_all(jobs, _programs, bar)
    # One search for all mutations that make the same programs.
    first: dict[tuple[str, ...], MutationJob] = {}
    for job, texts in zip(jobs, made, strict=True):
        if not isinstance(texts, Outcome):
            first.setdefault(texts, job)
    with ProgressBar(len(first), "mutations") as bar:
        tried = dict(zip(first, run_all(list(first.values()), _work, bar), strict=True))
    outcomes = [
        texts if isinstance(texts, Outcome) else replace(tried[texts], mutation=job.mutation)
        for job, texts in zip(jobs, made, strict=True)
    ]
    if options.format == "json":
        show(dumps(mutate_json(tree, outcomes)))
    else:
        source = tree.opened()
        show(mutate_text(tree, outcomes, lambda place: line_of(source, place)))
    kinds = {each.outcome for each in outcomes}
    return 1 if SURVIVED in kinds else 3 if UNDECIDED in kinds else 0


def _programs(job: MutationJob, report: Report) -> tuple[str, ...] | Outcome:
    report(f"{job.mutation.function}:{job.mutation.loc.line}")
    return programs(job)


def _work(job: MutationJob, report: Report) -> Outcome:
    report(f"{job.mutation.function}:{job.mutation.loc.line}")
    return try_out(job)
