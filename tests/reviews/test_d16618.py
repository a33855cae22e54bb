"""Review D16618: the data are whole, and every claim is measured to agree."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pmaplab.errors import UsageError
from pmaplab.native.build import find_compiler
from pmaplab.native.choose import AUTO, NATIVE, PYTHON, Engine
from pmaplab.native.readback import NativeError
from pmaplab.report.review import review_json, review_text
from pmaplab.reviews.d16618.data import REVIEW
from pmaplab.reviews.measure import (
    AnyJob,
    BootJob,
    BuildJob,
    Outcome,
    SearchJob,
    TraceJob,
    measure_review,
)
from pmaplab.reviews.model import ALL, NOPCID, PCID, Figure
from pmaplab.reviews.registry import find_proposal, find_review, proposal_files
from pmaplab.search.bfs import search
from pmaplab.search.result import Violation

VISIBLE = [p.id for p in REVIEW.proposals if not p.hidden]


def engine(_searches: int) -> Engine:
    """On one thread, since tests run side by side."""
    return Engine(AUTO, 1)


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
    [NOPCID, pytest.param(PCID[:2], marks=pytest.mark.slow), PCID[2:]],
    ids=["nopcid", "pcid", "pcid+pti"],
)
def test_every_claim_agrees_after_all_interleavings_of_boot(modes: tuple[str, ...]) -> None:
    outcome = measure_review(
        REVIEW, 6, 256, run_here, engine=engine, modes=modes, scenarios=["boot"]
    )
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
    outcome = measure_review(before, 2, 8, run, engine=engine, modes=["nopcid"], scenarios=["boot"])
    assert not outcome.agrees
    assert "DIFFERS" in review_text(outcome, traces=False).plain


def test_observers_change_no_search() -> None:
    """Counterexamples are recorded without the observers."""
    job = SearchJob("before", "pcid", "boot", engine(1))
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
    outcome = measure_review(REVIEW, 6, 256, run_here, engine=engine)
    assert outcome.agrees
    _check_verdicts(outcome)
    by_hand = measure_review(REVIEW, 6, 256, run_here, engine=lambda _: Engine(PYTHON))
    assert_same(outcome, by_hand)


def assert_same(left: Outcome, right: Outcome) -> None:
    """All that is shown, and what it comes from."""
    assert review_json(left) == review_json(right)
    assert review_text(left, traces=True).plain == review_text(right, traces=True).plain
    assert left.traces == right.traces
    for proposal, modes in left.results.items():
        for mode, result in modes.items():
            for name, searched in result.searches.items():
                other = right.results[proposal][mode].searches[name]
                steps = {p: v.steps for p, v in searched.violations.items()}
                assert steps == {p: v.steps for p, v in other.violations.items()}
                assert replace(searched, violations={}) == replace(other, violations={})


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
def test_the_engines_say_the_same() -> None:
    """Of what is violated, what holds, and states at rest; of reviewer-patch there are
    several shortest counterexamples."""
    few = ("before+assertion", "reviewer-patch", "boot-helper", "no-refill")
    review = replace(REVIEW, proposals=tuple(find_proposal(name)[1] for name in few))
    outcomes = [
        measure_review(
            review,
            2,
            8,
            run_here,
            engine=lambda _, name=name: Engine(name, 1),  # type: ignore[misc]
            modes=["nopcid"],
            scenarios=["boot"],
        )
        for name in (NATIVE, PYTHON)
    ]
    assert_same(*outcomes)
    assert set(outcomes[0].traces) == {"reviewer-patch"}
    assert outcomes[0].notes == ()


def test_without_a_compiler_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    first = replace(REVIEW, proposals=(find_proposal("before+assertion")[1],))

    def measured(name: str) -> Outcome:
        return measure_review(
            first,
            2,
            8,
            run_here,
            engine=lambda _: Engine(name, 1),
            modes=["nopcid"],
            scenarios=["boot"],
        )

    outcome = measured(AUTO)
    (note,) = outcome.notes
    assert note.startswith("searched by the interpreter, which is slow: there is no C compiler")
    assert review_json(outcome)["notes"] == [note]
    first = replace(first, proposals=(replace(first.proposals[0], hidden=False),))
    assert note in review_text(measured(AUTO), traces=False).plain
    assert measured(PYTHON).notes == ()
    with pytest.raises(UsageError, match="the native engine cannot search here"):
        measured(NATIVE)


def test_a_counterexample_that_the_interpreter_does_not_find_is_an_error() -> None:
    system = BuildJob("committed", "pcid", "boot").build()
    violation = search(system, stop_at_first=True).violations["curpmap"]
    job = TraceJob("committed", "pcid", "boot", violation)
    assert len(job.run().steps) == violation.steps
    longer = replace(violation, moves=(*violation.moves, violation.moves[-1]))
    with pytest.raises(NativeError, match="does not find curpmap as soon"):
        replace(job, violation=longer).run()
