"""``pmaplab review``: a code review replayed, each claim beside its measure."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

from pmaplab.cli.options import add_format, add_plain_engine, add_ray, add_sizes, plain_engine
from pmaplab.cli.output import show
from pmaplab.cli.parallel import Report, run_all
from pmaplab.cli.progress import ProgressBar
from pmaplab.report.jsonout import dumps
from pmaplab.report.review import review_json, review_text
from pmaplab.reviews.measure import AnyJob, measure_review
from pmaplab.reviews.registry import REVIEWS, find_review

_CPUS, _MAXCPU = 6, 256


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    names = ", ".join(review.id for review in REVIEWS)
    parser = subparsers.add_parser(
        "review",
        help="replay a code review: proposals by modes, claims beside measurements",
        description="Check every proposal of a review in every mode, boot each kernel, and show "
        "each claim of the review beside what is measured.",
        epilog="Exit status: 0 every claim agrees, 1 some do not, 2 bad usage or input.",
        allow_abbrev=False,
    )
    parser.add_argument("review", metavar="REVIEW", help=f"the review: {names}")
    add_sizes(parser, _CPUS, str(_MAXCPU))
    add_plain_engine(parser)
    parser.add_argument(
        "--no-traces", action="store_true", help="leave the counterexamples out of the text"
    )
    add_ray(parser)
    add_format(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit status."""
    review = find_review(args.review)
    maxcpu = _MAXCPU if args.maxcpu is None else args.maxcpu
    outcome = measure_review(
        review, args.cpus, maxcpu, _run_jobs, engine=partial(plain_engine, args)
    )
    if args.format == "json":
        show(dumps(review_json(outcome)))
    else:
        show(review_text(outcome, traces=not args.no_traces))
    return 0 if outcome.agrees else 1


def _run_jobs(jobs: Sequence[AnyJob], what: str) -> list[Any]:
    with ProgressBar(len(jobs), what) as bar:
        return run_all(jobs, _work, bar)


def _work(job: AnyJob, report: Report) -> Any:
    report(f"{job.proposal} {job.mode}")
    return job.run()
