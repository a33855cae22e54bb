"""Accepted findings: the file, what it accepts, and what stays violated."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.text import Text

from pmaplab.errors import InputError
from pmaplab.report.accepted import Acceptance, read_accepted
from pmaplab.report.jsonout import check_json
from pmaplab.report.terminal import check_text
from pmaplab.report.verdict import Verdict, check, exit_status, stale_entries
from pmaplab.search.result import Limits
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds

ENTRY = """\
[[accepted]]
property = "curpmap"
scenarios = ["boot"]
modes = ["pcid", "nopcid"]
memory = "sc"
function = "pmap_activate_boot"
reason = "repaired in the next release"
who = "somebody"
date = 2018-08-20
"""
# The committed proposal of the review leaves vmspace0 without a PCID: the functions
# in which a step makes `curpmap` fail.
PLACES = ("pmap_activate_boot", "init_secondary_tail", "sw1")


def entry(function: str | None = None, about: str = "curpmap", **more: object) -> Acceptance:
    return Acceptance("f.toml", 3, about, ("boot",), ("pcid",), "sc", "so", function, **more)  # type: ignore[arg-type]


def checked(*accepted: Acceptance, limits: Limits | None = None) -> Verdict:
    spec = RunSpec("boot", "pcid", Bounds(operations=1), proposal="committed")
    return check(spec, accepted=accepted, limits=limits)


def shown(verdict: Verdict, stale: tuple[Acceptance, ...] = ()) -> str:
    text = check_text([verdict], stale)
    assert isinstance(text, Text)
    return text.plain


def test_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    path.write_text(f"# What we know.\n{ENTRY}")
    [found] = read_accepted(str(path), ["boot"])
    assert found.line == 2 and found.about == "curpmap" and found.modes == ("pcid", "nopcid")
    assert found.quoted() == "repaired in the next release (somebody, 2018-08-20)"


@pytest.mark.parametrize(
    ("right", "wrong", "message", "place", "under"),
    [
        ("function =", "funktion =", "there is no key 'funktion'", "6:1", "funktion"),
        ('"nopcid"', '"nopici"', "there is no mode 'nopici'", "4:19", "nopici"),
        ('["boot"]', '["boat"]', "there is no scenario 'boat'", "3:15", "boat"),
        ('["boot"]', '"boot"', "scenarios is no list of texts", "3:1", "scenarios"),
        ('"sc"', '"pso"', "there is no memory model 'pso'", "5:11", "pso"),
        ('reason = "repaired in the next release"\n', "", "reason is missing", "1:3", "accepted"),
        ('"repaired in the next release"', '""', "reason is no text", "7:1", "reason"),
        ("[[accepted]]", "[[acepted]]", "there is no table [[acepted]]", "1:3", "acepted"),
        ("[[accepted]]", "[accepted]", "accepted is no list of tables", "1:2", "accepted"),
        ('memory = "sc"', "memory = sc", "Invalid value", "5:10", "s"),
    ],
)
def test_a_mistake_is_shown_with_its_place(
    tmp_path: Path, right: str, wrong: str, message: str, place: str, under: str
) -> None:
    path = tmp_path / "known.toml"
    assert ENTRY.count(right) == 1
    path.write_text(ENTRY.replace(right, wrong))
    with pytest.raises(InputError) as caught:
        read_accepted(str(path), ["boot"])
    lines = str(caught.value).split("\n")
    assert lines[0].startswith(f"{path}:{place}: ") and message in lines[0]
    start = lines[2].index("^")
    assert lines[1][start : start + len(lines[2].strip())] == under


def test_a_property_that_does_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    path.write_text(ENTRY.replace('"curpmap"', '"curpamp"'))
    with pytest.raises(InputError) as caught:
        checked(*read_accepted(str(path), ["boot"]))
    assert f"{path}:2:13: there is no property 'curpamp'" in str(caught.value)


def test_what_another_step_violates_stays_violated() -> None:
    verdict = checked(entry("pmap_activate_boot"))
    assert verdict.verdict == "violated" and exit_status([verdict]) == 1
    judged = next(each for each in verdict.properties if each.name == "curpmap")
    assert judged.accepted is not None and judged.trace is not None
    assert judged.trace.steps[-1].function == "init_secondary_tail"
    assert "violated in another way as well" in shown(verdict)


def test_all_that_is_found_is_accepted() -> None:
    verdict = checked(*map(entry, PLACES))
    assert verdict.verdict == "accepted" and exit_status([verdict]) == 0
    assert len(verdict.matched) == len(PLACES)
    text = shown(verdict)
    assert "curpmap (37 steps, accepted)" in text
    assert "accepted: curpmap: so [f.toml:3]" in text
    assert "no other step makes it fail, in all 14,672 states" in text
    [data] = check_json([verdict])["results"]
    assert data["verdict"] == "accepted"
    assert data["properties"]["curpmap"]["accepted"]["entry"]["reason"] == "so"
    assert data["properties"]["pm_active"] == {"verdict": "holds", "steps": None, "accepted": None}


@pytest.mark.parametrize(
    ("known", "why"),
    [(entry(), "names no place"), (entry(through=("pmap_pinit0",)), "no part of it")],
)
def test_what_cannot_be_told_apart_is_unchecked(known: Acceptance, why: str) -> None:
    verdict = checked(known)
    assert verdict.verdict == "accepted" and exit_status([verdict]) == 3
    assert "otherwise unchecked" in shown(verdict) and why in shown(verdict)


def test_a_bound_leaves_it_open() -> None:
    verdict = checked(*map(entry, PLACES), limits=Limits(states=9_000))
    assert verdict.verdict == "incomplete" and exit_status([verdict]) == 3
    assert "the limit of 9000 states" in shown(verdict)


def test_an_entry_that_matches_nothing_is_stale() -> None:
    known = (entry("pmap_activate"), entry(about="pm_active"), entry("sw1", through=("nobody",)))
    verdict = checked(*known)
    assert verdict.verdict == "violated"
    assert stale_entries(known, [verdict]) == known
    assert "f.toml:3: stale: pm_active" in shown(verdict, known)
    other = Acceptance("f.toml", 9, "curpmap", ("boot",), ("nopcid",), "sc", "so")
    assert stale_entries((other,), [verdict]) == ()
