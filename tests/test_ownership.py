"""The file of ownership facts: what it may say, and what of it a kernel has."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmaplab.errors import InputError
from pmaplab.machine.modes import find_mode
from pmaplab.ownership import facts, read_facts, with_facts
from pmaplab.reviews.registry import proposal_files
from pmaplab.system import Bounds, build_system, default_bounds

FACT = """
[[fact]]
name = "the first"
reason = "so it is"
cells = ["word"]

[[fact]]
name = "the second"
reason = "so it is"
"""


def test_each_fact_speaks_of_the_reference_kernel() -> None:
    """All of its cells are there, in a system of each kind."""
    made = [
        build_system(name, proposal_files("repaired"), find_mode("pcid+pti"), default_bounds(name))
        for name in ("switch", "shootdown")
    ]
    for fact in facts():
        owned = [each for system in made for each in system.program.owned if each.name == fact.name]
        assert owned and all(len(each.cells) == len(fact.cells) for each in owned), fact.name
        assert all(each.outside or not fact.outside for each in owned)


def test_preempted_threads_move_from_cpu_to_cpu() -> None:
    bounds = Bounds(kernel_processes=1, pages=1, preemptions=1)
    made = build_system("shootdown", proposal_files("repaired"), find_mode("nopcid"), bounds)
    assert not made.program.owned


def test_what_a_kernel_does_not_have_is_passed_over(tmp_path: Path) -> None:
    made = build_system("switch", proposal_files("repaired"), find_mode("nopcid"), Bounds())
    path = tmp_path / "facts.toml"
    text = FACT.replace('"word"', '"no.such", "proc0.p_vmspace"')
    path.write_text(text + 'cells = ["proc0"]\nunless = ["pmap_release"]\n', encoding="utf-8")
    owned = with_facts(made.program, read_facts(path, "facts.toml")).owned
    assert [(each.name, each.cpu, len(each.cells)) for each in owned] == [
        ("the first", 0, 1),
        ("the first", 1, 1),
    ]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("", "cells is missing"),
        ('cells = ["a b"]', "'a b' is no cell"),
        ('cells = ["a[x]"]', "is no cell"),
        ("cells = [1]", "cells is no list of texts"),
        ('cells = ["a"]\nwhen = ["a == b"]', "'a == b' is no condition"),
        ('cells = ["a"]\nwho = "me"', "there is no key 'who'"),
        ('cells = ["a"]\nshared = 1', "shared is true or false"),
        ('cells = ["a"]\nowner = "me"', 'the owner is "cpu" or "nobody"'),
        ('cells = ["a"]\neach = ["thread"]', "each is no table"),
    ],
)
def test_a_mistake_has_its_line(tmp_path: Path, more: str, message: str) -> None:
    path = tmp_path / "facts.toml"
    path.write_text(FACT + more + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"facts\.toml:7:1: ") as failed:
        read_facts(path, "facts.toml")
    assert message in str(failed.value)


def test_two_facts_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "facts.toml"
    path.write_text((FACT + 'cells = ["a"]\n').replace("second", "first"), encoding="utf-8")
    with pytest.raises(InputError, match=r"facts\.toml:7:1: there are two facts 'the first'"):
        read_facts(path, "facts.toml")


def test_no_toml_and_other_tables(tmp_path: Path) -> None:
    path = tmp_path / "facts.toml"
    for text, message in (("[[fact", "must be TOML"), ("[[facts]]\n", "nothing but")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_facts(path, "facts.toml")
