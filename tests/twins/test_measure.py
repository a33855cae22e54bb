"""Cells of the matrix, and how what is found is compared with what is expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from golden import Golden
from pmaplab.cli.main import main
from pmaplab.machine.modes import SC, TSO
from pmaplab.native.choose import Engine
from pmaplab.report.twins import exit_status, twins_text
from pmaplab.search.result import Limits, Violation
from pmaplab.search.sharing import Begun
from pmaplab.twins.data import TWINS, Twin, Violated
from pmaplab.twins.measure import (
    AnyJob,
    BeginJob,
    Found,
    Searched,
    SearchJob,
    find_twins,
    measure,
    traces,
)

HERE = Path(__file__).parent

# Cells that are found in a moment.
QUICK = [
    ("no-local-flush", "nopcid+pti", SC, "no stale use", 12),
    ("pcid-gen-kept", "pcid+invpcid", SC, "PCID", 16),
    ("pm-gen-without-fence", "pcid+invpcid", TSO, "no stale use", 55),
    ("invalidate-unpinned", "nopcid", SC, "no stale use", 52),
    ("activate-uncritical", "nopcid", SC, "pm_active", 32),
    ("activate-pinned", "nopcid", TSO, "curpmap", 21),
]


def run_here(jobs: Sequence[AnyJob], _: str) -> list[Any]:
    return [job.run() for job in jobs]


def one_thread(_: int) -> Engine:
    return Engine(threads=1)


@pytest.mark.parametrize(("twin", "mode", "memory", "name", "steps"), QUICK)
def test_a_cell_that_is_violated(twin: str, mode: str, memory: str, name: str, steps: int) -> None:
    (found,) = measure(find_twins([twin], TWINS), [mode], [memory], run_here, engine=one_thread)
    assert (found.agreement, exit_status([found])) == ("agrees", 0)
    assert (found.property, found.steps) == (name, found.before + steps)


def test_a_cell_that_holds() -> None:
    twins = find_twins(["kernel-pmap-refilled"], TWINS)
    (found,) = measure(twins, ["nopcid"], [SC], run_here, engine=one_thread)
    assert (found.agreement, exit_status([found])) == ("agrees", 0)
    assert (found.verdict, found.complete, found.states) == ("holds", True, 225755)


@pytest.mark.slow
def test_the_matrix(golden: Golden, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["twins"]) == 0
    golden.check(capsys.readouterr().out, HERE / "matrix.expected")


def test_a_trace() -> None:
    twins = find_twins(["no-local-flush"], TWINS)
    found = measure(twins, ["nopcid", "pcid"], [SC], run_here, engine=one_thread)
    (trace,) = traces(found, run_here)
    assert trace.property == "no stale use"
    assert (trace.spec.mode, len(trace.steps)) == ("nopcid", found[0].steps)
    assert "no_local_flush.py" in twins_text(found, [trace]).plain


# --- answers by hand ---------------------------------------------------------------

BROKEN = Twin("broken", "", "activate", (Violated("PCID", ("pcid",)),))
SOUND = Twin("sound", "", "activate")
OVER = Searched(0, 7, True, None, (), {})
STOPPED = replace(OVER, complete=False, stopped="the limit is reached")


def violated(*names: str, steps: int = 3) -> dict[str, Violation]:
    return {name: Violation(name, ((0, ()),) * steps, None, 0) for name in names}


@dataclass
class Answers:
    """Stands for the searches; notes which there were."""

    searched: Searched
    begun: Begun = field(default_factory=lambda: Begun("same", (), {}))
    searches: list[SearchJob] = field(default_factory=list)

    def run(self, jobs: Sequence[AnyJob], _: str) -> list[Any]:
        self.searches += [job for job in jobs if isinstance(job, SearchJob)]
        return [self.begun if isinstance(job, BeginJob) else self.searched for job in jobs]

    def measure(self, *twins: Twin) -> list[Found]:
        return measure(twins, ["pcid"], [SC], self.run, engine=one_thread)


@pytest.mark.parametrize(
    ("twin", "searched", "verdict", "agreement", "status"),
    [
        (SOUND, OVER, "holds", "agrees", 0),
        (SOUND, replace(OVER, violations=violated("PCID")), "violated", "differs", 1),
        (SOUND, replace(STOPPED, violations=violated("PCID")), "violated", "differs", 1),
        (SOUND, STOPPED, "incomplete", "undecided", 3),
        (SOUND, replace(OVER, unreached=("x",)), "vacuous", "undecided", 3),
        (BROKEN, OVER, "holds", "differs", 1),
        (BROKEN, replace(OVER, violations=violated("PCID")), "violated", "agrees", 0),
        (BROKEN, replace(STOPPED, violations=violated("PCID")), "violated", "agrees", 0),
        (BROKEN, replace(OVER, violations=violated("curpmap")), "violated", "differs", 1),
        (BROKEN, replace(STOPPED, violations=violated("curpmap")), "violated", "undecided", 3),
        (BROKEN, STOPPED, "incomplete", "undecided", 3),
    ],
)
def test_agreement(
    twin: Twin, searched: Searched, verdict: str, agreement: str, status: int
) -> None:
    (found,) = Answers(searched).measure(twin)
    assert (found.verdict, found.agreement) == (verdict, agreement)
    assert exit_status([found]) == status
    text = twins_text([found], ()).plain
    assert ("1 of 1 cells" in text) == (agreement == "agrees")
    assert (f"{agreement}: {twin.id} pcid sc: expected" in text) == (agreement != "agrees")


def test_what_differs_outweighs_what_is_undecided() -> None:
    found = Answers(OVER).measure(BROKEN) + Answers(STOPPED).measure(SOUND)
    assert exit_status(found) == 1


def test_the_declared_property_is_what_counts() -> None:
    both = violated("curpmap", steps=2) | violated("PCID", steps=9)
    (found,) = Answers(replace(OVER, violations=both)).measure(BROKEN)
    assert (found.property, found.steps, found.agreement) == ("PCID", 9, "agrees")


def test_what_fails_in_the_bring_up() -> None:
    begun = Begun("same", ((0, ()),) * 5, violated("PCID"))
    (found,) = Answers(OVER, begun).measure(BROKEN)
    assert (found.steps, found.before, found.agreement) == (3, 5, "agrees")
    # Behind another bring-up than that of the search.
    searched = replace(OVER, before=1, violations=violated("PCID", steps=4))
    (found,) = Answers(searched, begun).measure(BROKEN)
    assert (found.steps, found.before) == (8, 5)


def test_equal_systems_are_searched_once() -> None:
    answers = Answers(OVER)
    assert len(answers.measure(BROKEN, SOUND)) == 2
    (job,) = answers.searches
    # To its end: one of the two must hold.
    assert job.wanted is None
    answers = Answers(OVER)
    answers.measure(BROKEN)
    assert [job.wanted for job in answers.searches] == ["PCID"]


def test_a_pcid_twin_without_pcids_is_the_kernel_itself() -> None:
    names = ["bit-63-for-new-pcid", "pm-gen-without-fence", "pm-gen-of-others-kept"]
    twins = [replace(twin, scenario="activate") for twin in find_twins(names, TWINS)]
    digests: list[str] = []

    def run(jobs: Sequence[AnyJob], _: str) -> list[Any]:
        if isinstance(jobs[0], BeginJob):
            digests.extend(job.run().digest for job in jobs)  # type: ignore[union-attr]
            return [Begun(digest, (), {}) for digest in digests]
        assert len(jobs) == len(set(digests))
        return [OVER for _ in jobs]

    measure(twins, ["nopcid"], [SC], run, engine=one_thread)
    assert len(set(digests)) == 1
    digests.clear()
    measure(twins, ["pcid"], [SC], run, engine=one_thread)
    assert len(set(digests)) == 3


def test_what_the_mode_takes_away_makes_no_difference() -> None:
    """A statement below `if not invpcid_works` leaves no trace with INVPCID."""
    (late, refilled) = find_twins(["curpmap-stored-late", "kernel-pmap-refilled"], TWINS)
    same = [
        BeginJob(cell(twin, "pcid+invpcid")).run().digest
        for twin in (late, replace(refilled, scenario=late.scenario))
    ]
    assert same[0] == same[1]


def test_a_search_goes_on_behind_another_property() -> None:
    """The declared one may need more steps than another; one that is never met
    makes the search complete."""
    (twin,) = find_twins(["pm-active-cleared-early"], TWINS)
    small = SearchJob(cell(twin, "nopcid"), "pm_active", Limits(), one_thread(1)).run()
    assert list(small.violations) == ["pm_active"] and not small.complete
    whole = SearchJob(cell(twin, "nopcid"), "PCID", Limits(), one_thread(1)).run()
    assert "pm_active" in whole.violations and whole.complete


def cell(twin: Twin, mode: str) -> Any:
    (found,) = measure([twin], [mode], [SC], Answers(OVER).run, engine=one_thread)
    return found.cell
