"""Ownership facts: where they hold, where they do not, and what searches make of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from ir.runnable import quick
from pmaplab.native.engine import search_natively
from pmaplab.search.bfs import Search
from pmaplab.search.ownership import Rules
from pmaplab.search.reduced import search_reduced
from pmaplab.search.result import Limits
from pmaplab.system import System
from search.reducible import reducible_systems
from search.small import function, system
from search.test_reduced import ALWAYS, known, summary

FEW = 3_000


def names(texts: tuple[str, ...]) -> set[str]:
    """The facts of which messages speak."""
    return {text.split('"')[1] for text in texts}


def broken_somewhere(made: System, found: Search) -> set[str]:
    """The facts that do not hold, by trying every step of every state."""
    interpreter, rules = found.interpreter, Rules(made.program, found.interpreter.layout)
    size = interpreter.layout.agents[0]
    broken = rules.broken_at_first(found.result.start)
    tried = set()
    for state in found.states:
        memory = state >> 24 * len(found.agents)
        for agent in found.agents:
            part = state >> 24 * (len(found.agents) - 1 - agent) & (1 << 24) - 1
            if (memory, part, agent) in tried:
                continue
            tried.add((memory, part, agent))
            cells, own = found.memory[memory], found.parts[part]
            attempt = interpreter.attempt(cells, own, agent)
            afters = [after[:size] for after, _, failure in attempt.outcomes if failure is None]
            broken += rules.broken(agent, own[0], cells, attempt.reads, attempt.writes, afters)
    return {rules.names[each.name] for each in broken}


def noticed(made: System, natively: bool) -> bool:
    """Compare; whether all of it was searched."""
    run = Search(made, Limits(states=FEW), False, True, None)
    found = run.run()
    if not found.complete:
        return False
    expected = broken_somewhere(made, run)
    for used in (set(), set(found.exemptions_used)):
        with known(used):
            less = search_reduced(made, reductions=ALWAYS)
            assert summary(less) == summary(found)
            if not found.violations:
                assert names(less.broken_facts) == expected
            if natively:
                same = search_natively(made, reductions=ALWAYS, threads=2)
                assert summary(same) == summary(found)
                if not found.violations:
                    assert names(same.broken_facts) == expected
                    assert (same.states, same.passed) == (less.states, less.passed)
    if natively:
        assert names(search_natively(made, threads=1).broken_facts) == expected
    return True


@settings(quick, max_examples=25)
@given(reducible_systems(owned=True))
def test_random_systems(made: System) -> None:
    noticed(made, natively=False)


@settings(quick, max_examples=2)
@given(reducible_systems(owned=True))
def test_random_systems_natively(made: System) -> None:
    noticed(made, natively=True)


@pytest.mark.slow
@settings(quick, max_examples=500)
@given(reducible_systems(owned=True))
def test_more_random_systems(made: System) -> None:
    noticed(made, natively=False)


@pytest.mark.slow
@settings(quick, max_examples=60)
@given(reducible_systems(owned=True))
def test_more_random_systems_natively(made: System) -> None:
    noticed(made, natively=True)


# --- small systems ---------------------------------------------------------------

HEAD = """
cpus 2
global @word: u32
global @whose: u32
global @mark: u32
global @other: u32
agent cpu0 cpu 0 context thread entry @first
agent cpu1 cpu 1 context thread entry @second
"""
WORD = 'cell @word ""'
TAKE, WORK, LEAVE = (
    "store @whose:*u32, 1:u32",
    "store @word:*u32, {}:u32",
    "store @whose:*u32, 0:u32",
)
LOOK = "%x = load @word:*u32"
VALUES = [
    line
    for value in range(4)
    for line in (
        f"branch eq(%x, {value}:u32), is{value}, not{value}",
        f'is{value}:\nsometimes "{value}"\njump not{value}',
        f"not{value}:",
    )
]


def made_of(first: list[str], second: list[str], *owned: str, more: str = "") -> System:
    """A system of two CPUs, and what is said of it: ``fact | line | line``."""
    text = (
        HEAD
        + more
        + "".join(
            function(name, *lines, "return", more="var %x: u32")
            for name, lines in (("first", first), ("second", second))
        )
    )
    for each in owned:
        head, *lines = each.split(" | ")
        text += f"owned {head} {{\n" + "\n".join(lines) + "\n}\n"
    return system(text)


OWNER = f'"the word" cpu 0 | {WORD} | when @whose "" is 1'
OWNING = [TAKE, WORK.format(1), WORK.format(2), LEAVE]


def broken_facts(made: System) -> tuple[str, ...]:
    """The same by both engines, and by trying everything."""
    assert noticed(made, natively=True)
    return search_reduced(made, reductions=ALWAYS).broken_facts


def test_what_is_owned_is_worked_on_alone() -> None:
    first = [*OWNING, "store @mark:*u32, 1:u32"]
    second = ["%x = load @mark:*u32", "%x = load @mark:*u32"]
    handed = ["%x = load @mark:*u32", "assume eq(%x, 1:u32)", LOOK, *VALUES]
    made = made_of(first, [*second, *handed], OWNER)
    plain = replace(made, program=replace(made.program, owned=()))
    assert broken_facts(made) == ()
    with known(set()):
        less, more = (search_reduced(each, reductions=ALWAYS) for each in (made, plain))
    assert less.states < more.states


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ([LOOK, *VALUES], "cpu1 touches word, which is not its own, in second at"),
        ([WORK.format(3)], "cpu1 touches word, which is not its own, in second at"),
        ([LOOK, "assume eq(%x, 3:u32)"], "cpu1 touches word, which is not its own, in second at"),
        ([LEAVE], "cpu1 ends that word is another's, in second at"),
    ],
)
def test_who_does_what_it_may_not_is_noticed(second: list[str], said: str) -> None:
    (text,) = broken_facts(made_of(OWNING, second, OWNER))
    assert text.startswith(f'ownership fact "the word" does not hold: {said}')


def test_two_owners_are_noticed() -> None:
    """The cell is theirs by different conditions."""
    other = f'"the word" cpu 1 | {WORD} | when @mark "" is 1'
    second = ["store @mark:*u32, 1:u32", "store @mark:*u32, 0:u32"]
    (text,) = broken_facts(made_of(OWNING, second, OWNER, other))
    assert "word has two owners in" in text


# What is stored to `other` ends that the word is the first CPU's, some time later.
BUFFER = 'agent buffer cpu 0 context "store buffer" entry @buffer\n'
DRAINS = "%x = load @other:*u32", "assume eq(%x, 1:u32)", LEAVE


def test_the_store_buffer_gives_away_what_its_cpu_still_looks_at() -> None:
    """By the time the CPU looks, another one may have it."""
    first = [TAKE, "store @other:*u32, 1:u32", DRAINS[0], LOOK, DRAINS[0]]
    second = [*DRAINS[:2], "%x = load @whose:*u32", "assume eq(%x, 0:u32)", TAKE.replace("1", "2")]
    both = [OWNER, OWNER.replace("cpu 0", "cpu 1").replace("is 1", "is 2")]
    drain = BUFFER + function("buffer", *DRAINS, "return", more="var %x: u32")
    (text,) = broken_facts(made_of(first, second, *both, more=drain))
    assert "cpu0 touches word, which is not its own, in first at" in text


def test_two_owners_at_first() -> None:
    twice = (f'"x" cpu 0 | {WORD}', f'"x" cpu 1 | {WORD} | when @mark "" is 0')
    texts = broken_facts(made_of([TAKE], [TAKE], *twice))
    assert texts == ('ownership fact "x" does not hold: word has two owners at first',)


def test_what_is_shared_may_be_read() -> None:
    """All that is seen of it is seen."""
    made = made_of(OWNING, [LOOK, *VALUES], OWNER.replace("cpu 0", "cpu 0 shared"))
    assert broken_facts(made) == ()
    less = search_reduced(made, reductions=ALWAYS)
    assert less.reductions and set(less.reached) == {"0", "1", "2"}


def test_what_is_shared_is_not_written() -> None:
    made = made_of(OWNING, [WORK.format(3)], OWNER.replace("cpu 0", "cpu 0 shared"))
    (text,) = broken_facts(made)
    assert "cpu1 writes word" in text


def test_what_nobody_writes() -> None:
    constant = f'"constant" nobody shared | {WORD} | when @word "" is 2'
    assert broken_facts(made_of([WORK.format(2)], [LOOK, *VALUES], constant)) == ()
    (text,) = broken_facts(made_of(OWNING, [WORK.format(3)], constant))
    assert "writes word" in text


def test_a_fact_that_does_not_hold_hides_no_failure() -> None:
    """What fails does so while the word is said to be the first CPU's."""
    fails = [LOOK, 'assert ne(%x, 1:u32), KASSERT, "one"']
    made = made_of(OWNING, fails, OWNER)
    with known(set()):
        less = search_reduced(made, reductions=ALWAYS)
        native = search_natively(made, reductions=ALWAYS)
    assert less.verdict() == native.verdict() == "violated"
