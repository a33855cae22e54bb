"""Sets of what memory holds: equal whatever the order, different otherwise."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pmaplab.search.begun import BegunSearch
from pmaplab.search.bfs import search
from pmaplab.search.interpreter import Interpreter
from pmaplab.search.projection import (
    ACTIVATED,
    Projection,
    RestMarks,
    project,
    projection_of,
    rest_marks,
    rests,
)
from pmaplab.spec import RunSpec
from pmaplab.system import default_bounds
from search.small import HEAD, function, system

SALTS = ((1, 0x0123456789ABCDEF, 0xFEDCBA9876543210), (2, 0x0F1E2D3C4B5A6978, 0x8796A5B4C3D2E1F0))
# Two cells, and the marks of one CPU: 1 where it is activated, 2 where it moves.
CELLS = Projection("", SALTS, RestMarks(3, 1, 1, 2))

memories = st.lists(st.tuples(st.just(0), *[st.integers(0, 3)] * 3), max_size=12)


@given(memories, memories)
def test_equal_for_equal_sets_only(
    left: list[tuple[int, ...]], right: list[tuple[int, ...]]
) -> None:
    ours, theirs = project(CELLS, left), project(CELLS, right)
    plain = [{memory[1:3] for memory in each} for each in (left, right)]
    assert (ours.all == theirs.all) == (plain[0] == plain[1])
    assert ours.all.states == len(plain[0])
    rest = [{memory[1:3] for memory in each if memory[3] == 1} for each in (left, right)]
    assert (ours.at_rest == theirs.at_rest) == (rest[0] == rest[1])


@given(memories, st.randoms(use_true_random=False))
def test_order_and_doubles_do_not_count(left: list[tuple[int, ...]], chance: object) -> None:
    again = [*left, *left]
    chance.shuffle(again)  # type: ignore[attr-defined]
    assert project(CELLS, again) == project(CELLS, left)


def test_which_value_is_in_which_cell_counts() -> None:
    assert project(CELLS, [(0, 1, 2, 1)]) != project(CELLS, [(0, 2, 1, 1)])


def stores(first: str, second: str) -> str:
    body = (f"store @word:*u32, {first}", f"store @other:*u32, {second}", "return")
    return HEAD + function("first", *body) + function("second", "return")


def test_programs_are_compared_without_where_they_are() -> None:
    """A step that stores what is there already changes states, not memories."""
    once = search(system(stores("1:u32", "2:u32")), projected=True)
    body = (
        "store @word:*u32, 1:u32",
        "store @word:*u32, 1:u32",
        "store @other:*u32, 2:u32",
        "return",
    )
    twice = search(
        system(HEAD + function("first", *body) + function("second", "return")), projected=True
    )
    assert once.states < twice.states
    assert once.projected == twice.projected is not None
    assert search(system(stores("1:u32", "3:u32")), projected=True).projected != once.projected


def test_a_projection_knows_its_cells() -> None:
    found = projection_of(Interpreter(system(stores("1:u32", "2:u32")).program).layout)
    assert [index for index, _, _ in found.cells] == [1, 2]
    assert found.names != replace(found, names="").names


def test_who_is_at_rest_where_threads_are_preempted() -> None:
    """A context on which nothing has run yet is, too."""
    bounds = replace(default_bounds("activate"), operations=1, processes=1, preemptions=1)
    begun = BegunSearch(RunSpec("activate", "nopcid", bounds).build(), False)
    assert begun.begin()
    layout = begun.interpreter.layout
    memory = list(begun.interpreter.split(begun.result.start)[0])
    marks = rest_marks(layout)
    activated = 1 << layout.program.regions.index(ACTIVATED)
    assert marks.cpus == layout.program.cpus == 3
    # All CPUs run threads, and the third mark is of no CPU.
    assert [mark & activated for mark in memory[marks.first :]] == [activated, activated, 0]
    assert rests(marks, memory)
    memory[marks.first + 2] |= marks.must_not & -marks.must_not
    assert marks.must_not and not rests(marks, memory)
