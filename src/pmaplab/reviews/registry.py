"""The reviews that come with the tool, and their proposals by name."""

from __future__ import annotations

import functools

from pmaplab.errors import UsageError, did_you_mean
from pmaplab.frontends.kernel_python.source import (
    PACKAGE_ROOT,
    SourceFile,
    display_name,
    read_source,
)
from pmaplab.reviews.d16618.data import REVIEW as D16618
from pmaplab.reviews.model import Proposal, Review

REVIEWS: tuple[Review, ...] = (D16618,)


def find_review(review_id: str) -> Review:
    """The review called ``review_id``; raises UsageError for any other name."""
    for review in REVIEWS:
        if review.id.lower() == review_id.lower():
            return review
    names = ", ".join(review.id for review in REVIEWS)
    raise UsageError(f"there is no review {review_id!r}", advice=f"the reviews are {names}")


def find_proposal(proposal_id: str) -> tuple[Review, Proposal]:
    """The proposal called ``proposal_id`` with its review.

    Raises UsageError, with a close match, for any other name.
    """
    names = []
    for review in REVIEWS:
        for proposal in review.proposals:
            if proposal.id == proposal_id:
                return review, proposal
            names.append(proposal.id)
    raise UsageError(
        f"there is no proposal {proposal_id!r}",
        advice=did_you_mean(proposal_id, names) or f"the proposals are {', '.join(names)}",
    )


@functools.cache
def proposal_files(proposal_id: str) -> tuple[SourceFile, ...]:
    """The kernel Python files of a proposal, in the order in which they
    replace; raises UsageError for an unknown one."""
    review, proposal = find_proposal(proposal_id)
    folder = PACKAGE_ROOT / "reviews" / review.folder / "proposals"
    paths = [folder / f"{name}.py" for name in review.chain(proposal)]
    return tuple(read_source(path, display_name(path)) for path in paths)
