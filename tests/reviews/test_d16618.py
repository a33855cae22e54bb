"""Review D16618: the data are whole, and every claim is measured to agree."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pmaplab.errors import UsageError
from pmaplab.report.review import review_json, review_text
from pmaplab.reviews.d16618.data import REVIEW
from pmaplab.reviews.measure import (
    AnyJob,
    BootJob,
    BuildJob,
    Outcome,
    SearchJob,
    measure_review,
)
from pmaplab.reviews.model import ALL, NOPCID, PCID, Figure
from pmaplab.reviews.registry import find_proposal, find_review, proposal_files
from pmaplab.search.bfs import Violation, search

VISIBLE = [p.id for p in REVIEW.proposals if not p.hidden]


def run_here(jobs: Sequence[AnyJob], _what: str) -> list[Any]:
    return [job.run() for job in jobs]


def test_the_proposals_are_those_of_the_review_in_its_order() -> None:
    assert VISIBLE == [
        "before",
        "diff-1",
        "first-attempt",
        "diff-1-and-attempt",
        "reviewer-patch",
        "boot-helper",
        "no-refill",
        "no-cr3-compare",
        "committed",
        "tail",
        "repaired",
    ]


def test_each_proposal_has_claims_and_replaces_few_functions() -> None:
    for proposal in REVIEW.proposals:
        assert proposal.claims or proposal.hidden
        files = proposal_files(proposal.id)
        assert len(files) == len(REVIEW.chain(proposal))


@pytest.mark.parametrize(
    ("cpus", "maxcpu", "before", "before_pcid", "diff_1", "committed"),
    [(6, 256, 250, 251, 251, 256), (2, 64, 62, 63, 63, 64), (1, 1, 0, 1, 1, 1)],
)
def test_figures_are_laws(
    cpus: int, maxcpu: int, before: int, before_pcid: int, diff_1: int, committed: int
) -> None:
    def figure(proposal_id: str, modes: tuple[str, ...]) -> int:
        _, proposal = find_proposal(proposal_id)
        (law,) = [
            claim.measure.law
            for claim in proposal.claims
            if isinstance(claim.measure, Figure) and claim.measure.modes == modes
        ]
        return law(cpus, maxcpu)

    assert figure("before", NOPCID) == before
    assert figure("before", PCID) == before_pcid
    assert figure("diff-1", ALL) == diff_1
    assert figure("committed", ALL) == committed


# Modes whose systems are partly equal are together.
@pytest.mark.parametrize(
    "modes",
    [NOPCID, PCID[:2], pytest.param(PCID[2:], marks=pytest.mark.slow)],
    ids=["nopcid", "pcid", "pcid+pti"],
)
def test_every_claim_agrees_after_all_interleavings_of_boot(modes: tuple[str, ...]) -> None:
    outcome = measure_review(REVIEW, 6, 256, run_here, modes=modes, scenarios=["boot"])
    differing = [
        (proposal, measured)
        for proposal, claims in outcome.claims.items()
        for measured in claims
        if not measured.agrees
    ]
    assert not differing
    _check_verdicts(outcome)
    _check_reports(outcome)


def _check_verdicts(outcome: Outcome) -> None:
    """What docs/review-D16618.md says of the verdicts."""
    for proposal in outcome.proposals:
        for mode, result in outcome.results[proposal.id].items():
            late = VISIBLE.index(proposal.id) >= VISIBLE.index("boot-helper")
            holds = proposal.id == "repaired" or (late and mode in NOPCID)
            assert result.verdict == ("holds" if holds else "violated"), (proposal.id, mode)
        found = any(r.first for r in outcome.results[proposal.id].values())
        assert (proposal.id in outcome.traces) == found


def _check_reports(outcome: Outcome) -> None:
    data = json.loads(json.dumps(review_json(outcome)))
    assert [p["id"] for p in data["proposals"]] == VISIBLE
    for proposal in data["proposals"]:
        for mode in proposal["modes"].values():
            assert set(mode["properties"]) == {
                "curpmap",
                "pm_active",
                "PCID",
                "assertions",
                "progress",
            }
            assert (mode["verdict"] == "holds") == (mode["steps"] is None)
        for claim in proposal["claims"]:
            assert claim["agrees"] == (claim["expected"] == claim["measured"])
    text = review_text(outcome, traces=True).plain
    for proposal_id in VISIBLE:
        assert proposal_id in text
    assert "DIFFERS" not in text


@pytest.mark.parametrize(("cpus", "maxcpu"), [(1, 1), (3, 70), (4, 16)])
@pytest.mark.parametrize("mode", ["nopcid", "pcid+pti"])
def test_the_figures_at_other_sizes(cpus: int, maxcpu: int, mode: str) -> None:
    for proposal in REVIEW.proposals:
        for claim in proposal.claims:
            if isinstance(claim.measure, Figure) and mode in claim.measure.modes:
                count = BootJob(proposal.id, mode, cpus, maxcpu).run()
                assert count == claim.measure.law(cpus, maxcpu), proposal.id


def test_a_wrong_figure_is_shown_as_differing() -> None:
    def run(jobs: Sequence[AnyJob], what: str) -> list[Any]:
        return [1 for _ in jobs] if what == "boots" else run_here(jobs, what)

    before = replace(REVIEW, proposals=(find_proposal("before")[1],))
    outcome = measure_review(before, 2, 8, run, modes=["nopcid"], scenarios=["boot"])
    assert not outcome.agrees
    assert "DIFFERS" in review_text(outcome, traces=False).plain


def test_observers_change_no_search() -> None:
    """Counterexamples are recorded without the observers."""
    job = SearchJob("before", "pcid", "boot")
    plain = search(job.spec().build())
    observed = search(job.build())
    assert (plain.states, plain.transitions, plain.depth) == (
        observed.states,
        observed.transitions,
        observed.depth,
    )


def test_systems_that_differ_in_places_only_are_searched_once() -> None:
    built = {
        proposal: BuildJob(proposal, "pcid", "switch").run()
        for proposal in ("boot-helper", "committed", "repaired")
    }
    assert built["boot-helper"].digest == built["committed"].digest
    assert built["repaired"].digest != built["committed"].digest


def test_the_bring_up_of_each_proposal_is_judged_by_itself() -> None:
    violations: dict[str, Violation] = BuildJob("committed", "pcid", "switch").run().violations
    assert set(violations) == {"curpmap"}


def test_unknown_names() -> None:
    with pytest.raises(UsageError, match="there is no review 'D1'"):
        find_review("D1")
    with pytest.raises(UsageError, match="there is no proposal 'comitted'") as error:
        find_proposal("comitted")
    assert error.value.advice == "did you mean committed?"


@pytest.mark.slow
def test_the_whole_review() -> None:
    outcome = measure_review(REVIEW, 6, 256, run_here)
    assert outcome.agrees
    _check_verdicts(outcome)
