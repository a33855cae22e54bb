"""``pmaplab mutate``: would the checks notice a mistake?"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from pmaplab.cli.options import add_format, add_preemptions, add_ray, limits, whole
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
from pmaplab.frontends.kernel_c.mutate import Mutation
from pmaplab.frontends.kernel_c.source import line_of
from pmaplab.jsondata import read_json
from pmaplab.kept_searches import KeptSearches
from pmaplab.machine.modes import MODES, SC, TSO, find_mode
from pmaplab.memory import DEFAULT_STORE_BUFFER
from pmaplab.mutate import (
    CAUGHT,
    GROUPS,
    INVALID,
    SURVIVED,
    UNDECIDED,
    Baseline,
    FunctionJob,
    Outcome,
    all_mutations,
    group_of,
    measure,
    try_out,
)
from pmaplab.report.jsonout import dumps
from pmaplab.report.mutate import mutate_json, mutate_text
from pmaplab.search.result import Limits
from pmaplab.spec import RunSpec
from pmaplab.tree import TreeSpec

# Scenarios that are searched with one user process, unless --full says otherwise.
_LARGE = ("shootdown",)
# Operations, where one CPU is alone.
_MORE_ALONE = 2


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
    parser.add_argument(
        "--group",
        choices=tuple(GROUPS),
        action="append",
        help="only the functions of this group; may be given again",
    )
    add_scenarios(parser)
    parser.add_argument(
        "--mode",
        choices=(*(mode.name for mode in MODES), "all"),
        metavar="MODE",
        action="append",
        help="CPU features, as for check; may be given again (default: all)",
    )
    add_bounds(parser)
    add_preemptions(parser)
    add_ray(parser)
    parser.add_argument(
        "--memory",
        choices=(SC, TSO),
        action="append",
        help=f"a memory model; may be given again (default: {SC})",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help=f"scenario {' and '.join(_LARGE)} with all --processes too, not with one alone",
    )
    parser.add_argument(
        "--jobs", type=whole(1), metavar="N", help="processes at once (default: one a core)"
    )
    parser.add_argument(
        "--resume",
        metavar="FILE",
        type=Path,
        help="keep what searches come to in this file, and take from it what is known",
    )
    parser.add_argument(
        "--again",
        metavar="FILE.json",
        type=Path,
        help="only the mutations that an earlier result, of --format json, does not say are "
        "caught or invalid: for other modes, bounds or memory models",
    )
    add_format(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit status."""
    tree = TreeSpec(options.tree, tuple(options.patch), tuple(options.api))
    runs = _runs(options, tree)
    # A file that is none is told before the work begins.
    KeptSearches(options.resume)
    found = _selected(options, all_mutations(runs))
    bound = limits(options)
    questions = [(run, bound, options.resume) for run in runs]
    with ProgressBar(len(questions), "searches") as bar:
        measured = run_all(questions, _measure, bar, options.jobs)
    baselines = tuple(each for each in measured if isinstance(each, Baseline))
    unusable = [
        (run, each) for run, each in zip(runs, measured, strict=True) if isinstance(each, str)
    ]
    functions = dict.fromkeys(mutation.function for mutation in found)
    jobs = [
        FunctionJob(
            tuple(mutation for mutation in found if mutation.function == name),
            baselines,
            bound,
            options.resume,
            left_out=bool(unusable),
        )
        for name in functions
    ]
    # What takes longest comes first.
    jobs.sort(key=lambda job: -len(job.mutations))
    with ProgressBar(len(jobs), "functions") as bar:
        tried = [each for own in run_all(jobs, _try_out, bar, options.jobs) for each in own]
    order = {mutation: number for number, mutation in enumerate(found)}
    outcomes = sorted(tried, key=lambda each: order[each.mutation])
    if options.format == "json":
        show(dumps(mutate_json(tree, baselines, unusable, outcomes)))
    else:
        source = tree.opened()
        show(mutate_text(tree, baselines, unusable, outcomes, lambda place: line_of(source, place)))
    kinds = {each.outcome for each in outcomes}
    return 1 if SURVIVED in kinds else 3 if UNDECIDED in kinds else 0


def _runs(options: argparse.Namespace, tree: TreeSpec) -> tuple[RunSpec, ...]:
    names = options.mode or ["all"]
    asked = MODES if "all" in names else tuple(find_mode(name) for name in dict.fromkeys(names))
    selected = modes_of_tree(tree, bounds_of(options, BOOT), asked)
    result = []
    for scenario in scenarios(options):
        usual = bounds_of(options, scenario)
        sizes = [usual]
        if usual.pages and usual.operations is not None:
            # What one CPU does alone, it may do for longer.
            sizes.append(replace(usual, cpus=1, operations=usual.operations + _MORE_ALONE))
        if scenario in _LARGE:
            # Most mistakes need one process only, with a quarter of the states.
            small = [replace(size, processes=1) for size in sizes]
            sizes = list(dict.fromkeys([*small, *sizes])) if options.full else small
        for memory in dict.fromkeys(options.memory or [SC]):
            buffer = DEFAULT_STORE_BUFFER if memory == TSO else None
            result += [
                RunSpec(scenario, mode.name, replace(bounds, store_buffer=buffer), tree=tree)
                for mode in selected
                for bounds in sizes
            ]
    return tuple(result)


def _selected(options: argparse.Namespace, found: list[Mutation]) -> list[Mutation]:
    """The mutations that the options ask for; raises UsageError."""
    for name in options.function or ():
        if not any(mutation.function == name for mutation in found):
            raise UsageError(
                f"{name} is no function under check, or has no statement to break",
                advice="`pmaplab tree DIR` lists the functions under check",
            )
    left = None if options.again is None else _left(options.again)
    return [
        mutation
        for mutation in found
        if (left is None or _identity(mutation) in left)
        and (not options.function or mutation.function in options.function)
        and (not options.group or group_of(mutation.function) in options.group)
    ]


def _identity(mutation: Mutation) -> tuple[str, str, str, int]:
    return mutation.kind, mutation.function, mutation.loc.file, mutation.loc.line


def _left(path: Path) -> set[tuple[str, str, str, int]]:
    """What an earlier result leaves open; raises a PmaplabError for a file that is none."""
    return {
        (
            each.get("kind").text(),
            each.get("function").text(),
            each.get("file").text(),
            each.get("line").number(),
        )
        for each in read_json(path, str(path)).get("mutations").items()
        if each.get("outcome").text() not in (CAUGHT, INVALID)
    }


def _measure(question: tuple[RunSpec, Limits, Path | None], report: Report) -> Baseline | str:
    run, limits, kept = question
    report(f"{run.scenario}, {run.mode}")
    return measure(run, limits, kept)


def _try_out(job: FunctionJob, report: Report) -> list[Outcome]:
    return try_out(job, report)
