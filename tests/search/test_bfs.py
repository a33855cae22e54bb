"""The search, on programs whose states can be counted by hand."""

from __future__ import annotations

import pytest

from pmaplab.errors import ModelError
from pmaplab.search.bfs import search
from pmaplab.search.result import ASSERTIONS, PROGRESS, Limits, Result
from pmaplab.search.run import Runner
from pmaplab.system import System
from search.small import HEAD, function, system

X = "var %x: u32"


def numbers(result: Result) -> tuple[int, int, int]:
    return result.states, result.transitions, result.depth


def test_two_writers() -> None:
    # Each CPU has one step: a diamond, and its end depends on who was last.
    text = HEAD + function("first", "store @word:*u32, 1:u32", "return")
    result = search(system(text + function("second", "store @word:*u32, 2:u32", "return")))
    assert numbers(result) == (1 + 2 + 2, 2 + 2, 2)
    assert result.complete and result.verdict() == "holds"
    assert result.properties == (ASSERTIONS, PROGRESS)


def test_independent_writers_meet_again() -> None:
    text = HEAD + function("first", "store @word:*u32, 1:u32", "return")
    result = search(system(text + function("second", "store @other:*u32, 2:u32", "return")))
    assert numbers(result) == (4, 4, 2)


def test_the_lost_update() -> None:
    increment = ["%x = load @word:*u32", "store @word:*u32, add(%x, 1:u32)", "return"]
    text = HEAD + function("first", *increment, more=X) + function("second", *increment, more=X)
    result = search(system(text), finals=True)
    assert result.verdict() == "holds"
    assert sorted(memory[1] for memory in result.finals) == [1, 2]
    # With s, r (what was read) and d for where a CPU stands: ss 0, rs 0, sr 0,
    # rr 0, ds 1, sd 1, d0 1, 0d 1, d1 1, 1d 1, dd 1, dd 2.
    assert numbers(result) == (12, 14, 4)


def test_choices_are_transitions() -> None:
    text = HEAD + function("second", "return")
    choice = ["%x = choose 1:u32, 3:u32", "store @word:*u32, %x", "return"]
    result = search(system(text + function("first", *choice, more=X)))
    # 1, 2 or 3 in @word, before or after the other CPU's end.
    assert numbers(result) == (2 * (1 + 3), 2 * 3 + 4, 2)


# --- counterexamples -----------------------------------------------------------

INVARIANT = """
invariant small @is_small{exempt}
atomic function @is_small(%cpu: u32) {{
  var %x: u32
b:
  %x = load @word:*u32
  assert lt(%x, {limit}:u32), KASSERT, "CPU %d sees %d", %cpu, %x
  return
}}
"""


def counting(limit: int, *, exempt: str = "") -> System:
    """CPU 0 counts to 4 in single steps, CPU 1 goes there in two leaps."""
    one = [f"store @word:*u32, {n}:u32" for n in (1, 2, 3, 4)]
    two = ["store @other:*u32, 1:u32", "store @word:*u32, 3:u32"]
    text = HEAD + INVARIANT.format(limit=limit, exempt=exempt)
    return system(text + function("first", *one, "return") + function("second", *two, "return"))


@pytest.mark.parametrize(
    ("limit", "moves"),
    [(1, [0]), (2, [0, 0]), (3, [1, 1]), (4, [0, 0, 0, 0]), (5, None)],
)
def test_a_shortest_counterexample(limit: int, moves: list[int] | None) -> None:
    result = search(counting(limit))
    assert result.complete
    if moves is None:
        assert result.violations == {} and result.verdict() == "holds"
        return
    violation = result.violations["small"]
    assert [agent for agent, _ in violation.moves] == moves
    assert violation.steps == len(moves)
    assert result.first is violation
    assert violation.failure is not None
    assert violation.failure.message.startswith("CPU 0 sees ")
    assert result.verdict() == result.verdict("small") == "violated"
    assert result.verdict(ASSERTIONS) == "holds"


def test_a_counterexample_is_always_the_same_and_replays() -> None:
    made = counting(3)
    found = [search(made).violations["small"] for _ in range(3)]
    assert found[0] == found[1] == found[2]
    runner = Runner(made)
    for agent, choices in found[0].moves:
        assert runner.failure is None
        assert not runner.interpreter.broken(runner.state)
        assert runner.step(agent, choices)
    assert runner.interpreter.broken(runner.state)


def test_every_property_has_a_counterexample_of_its_own() -> None:
    text = HEAD + INVARIANT.format(limit=2, exempt="")
    text += INVARIANT.format(limit=3, exempt="").replace("small", "large")
    text += function("second", 'assert false, MPASS, "no"', "return")
    one = [f"store @word:*u32, {n}:u32" for n in (1, 2, 3)]
    result = search(system(text + function("first", *one, "return")))
    steps = {name: violation.steps for name, violation in result.violations.items()}
    assert steps == {ASSERTIONS: 1, "small": 2, "large": 3}
    assert result.violations[ASSERTIONS].cpu == 1
    assert result.properties == ("small", "large", ASSERTIONS, PROGRESS)


def test_the_first_counterexample_can_end_the_search() -> None:
    result = search(counting(2), stop_at_first=True)
    assert result.violations["small"].steps == 2
    assert not result.complete
    assert result.verdict("small") == "violated"
    assert result.verdict(ASSERTIONS) == "incomplete"


def test_a_failed_assertion_ends_its_run() -> None:
    text = HEAD + function("second", "return")
    lines = ['assert eq(%x, 0:u32), KASSERT, "x is %d", %x', "store @word:*u32, 7:u32", "return"]
    first = function("first", "%x = choose 0:u32, 1:u32", *lines, more=X)
    result = search(system(text + first), finals=True)
    assert result.violations[ASSERTIONS].moves == ((0, (1,)),)
    assert [memory[1] for memory in result.finals] == [7]


# --- exemptions ------------------------------------------------------------------


def exempted(when: str | None) -> System:
    text = "region inside\n" + HEAD + INVARIANT.format(limit=2, exempt=" exempt inside")
    if when is not None:
        text += "exempt_when inside @counts\n"
        text += function("counts", f"return {when}", head="(%cpu: u32) -> bool").replace(
            "function", "atomic function"
        )
    lines = ["enter inside", "store @word:*u32, 5:u32", "store @word:*u32, 1:u32", "leave inside"]
    return system(text + function("first", *lines, "return") + function("second", "return"))


def test_a_failure_inside_an_exempt_region_does_not_count() -> None:
    result = search(exempted(None))
    # CPU 1 is outside of the region and sees the same.
    assert result.violations["small"].cpu == 1
    assert result.exemptions_used == {"inside"}


def test_an_exemption_that_is_not_used() -> None:
    result = search(counting(5))
    assert result.exemptions_used == set()


@pytest.mark.parametrize(("when", "cpu", "used"), [("true", 1, {"inside"}), ("false", 0, set())])
def test_conditions_of_exemptions(when: str, cpu: int, used: set[str]) -> None:
    result = search(exempted(when))
    assert result.violations["small"].cpu == cpu
    assert result.exemptions_used == used


def test_an_exemption_for_all_cpus() -> None:
    text = "cpus 1\nregion inside\nglobal @word: u32\nagent a cpu 0 context thread entry @first\n"
    text += INVARIANT.format(limit=2, exempt=" exempt inside")
    lines = ["enter inside", "store @word:*u32, 5:u32", "store @word:*u32, 1:u32", "leave inside"]
    result = search(system(text + function("first", *lines, "return")))
    assert result.verdict() == "holds"
    assert result.exemptions_used == {"inside"}


# --- progress ----------------------------------------------------------------------


def waiting(value: int) -> str:
    """Wait for a value of @word."""
    return f"%x = load @word:*u32\n  assume eq(%x, {value}:u32)"


def test_a_wait_that_ends() -> None:
    text = HEAD + function("first", "store @other:*u32, 1:u32", "store @word:*u32, 1:u32", "return")
    result = search(system(text + function("second", waiting(1), "return", more=X)))
    assert result.verdict() == "holds"


def test_a_deadlock() -> None:
    text = HEAD + function("first", waiting(1), "store @other:*u32, 1:u32", "return", more=X)
    lines = ["%x = load @other:*u32", "assume eq(%x, 1:u32)", "store @word:*u32, 1:u32", "return"]
    result = search(system(text + function("second", *lines, more=X)))
    violation = result.violations[PROGRESS]
    assert violation.steps == 0
    assert violation.failure is not None
    assert violation.failure.message == "CPU 0 has work left and can never go on"
    assert violation.failure.function == "first"


LOOP = ["jump again\nagain:\n  rmw xor @other:*u32, 1:u32", "jump again"]


def test_a_cpu_that_never_moves_though_another_cycles() -> None:
    text = HEAD + function("first", *LOOP)
    text += function("second", waiting(1), "store @word:*u32, 2:u32", "return", more=X)
    result = search(system(text))
    violation = result.violations[PROGRESS]
    assert violation.cpu == 1
    assert violation.failure is not None and violation.failure.function == "second"
    assert result.verdict(ASSERTIONS) == "holds"


def test_a_wait_beside_a_cycle_is_no_mistake_while_it_can_end() -> None:
    # CPU 1 waits for the value that CPU 0's cycle brings again and again.
    text = HEAD + function("first", *LOOP)
    lines = ["%x = load @other:*u32", "assume eq(%x, 1:u32)", "store @word:*u32, 2:u32", "return"]
    result = search(system(text + function("second", *lines, more=X)))
    assert result.verdict() == "holds"
    # The first step only leads to the loop.  Then @other is 0 or 1, and CPU 1
    # waits, has seen a 1, or is done.
    assert numbers(result) == (1 + 2 * 3, 1 + 1 + 2 + 2 * 2 + 2, 5)


def test_a_deadlock_that_only_some_runs_reach() -> None:
    # CPU 0 may pass the door before CPU 1 closes it.
    text = HEAD + function("first", waiting(0), "store @other:*u32, 1:u32", "return", more=X)
    result = search(system(text + function("second", "store @word:*u32, 1:u32", "return")))
    assert [agent for agent, _ in result.violations[PROGRESS].moves] == [1]


# --- limits and labels ---------------------------------------------------------------


def test_a_limit_of_states() -> None:
    result = search(counting(5), limits=Limits(states=3))
    assert not result.complete
    assert result.stopped == "the limit of 3 states is reached"
    assert result.verdict() == result.verdict("small") == "incomplete"


def test_a_limit_of_time() -> None:
    result = search(counting(5), limits=Limits(seconds=0))
    assert result.stopped == "the limit of 0 seconds is reached"
    assert result.verdict() == "incomplete"


def test_a_limit_that_is_not_reached() -> None:
    result = search(counting(5), limits=Limits(states=10_000, seconds=1000))
    assert result.complete and result.stopped is None


def test_a_violation_under_a_limit_is_a_violation() -> None:
    result = search(counting(1), limits=Limits(states=3))
    assert result.verdict("small") == "violated"
    assert result.verdict(ASSERTIONS) == "incomplete"


@pytest.mark.parametrize(
    ("value", "verdict", "unreached"), [(1, "holds", ()), (2, "vacuous", ("two",))]
)
def test_labels_that_must_be_reached(value: int, verdict: str, unreached: tuple[str]) -> None:
    text = HEAD + f"must_reach {'one' if value == 1 else 'two'}\n"
    lines = ["%x = load @word:*u32", "branch eq(%x, 2:u32), two, one"]
    lines += ['two:\n  sometimes "two"\n  return\none:\n  sometimes "one"\n  return']
    text += function("first", *lines, more=X)
    result = search(system(text + function("second", "store @word:*u32, 1:u32", "return")))
    assert result.verdict() == verdict
    assert result.unreached == unreached
    assert result.reached == {"one"}


def test_an_observer_reaches_labels_and_judges_nothing() -> None:
    text = HEAD + 'must_reach seen\ninvariant "" @watch\n'
    text += "atomic " + function(
        "watch",
        "%x = load @word:*u32",
        'branch eq(%x, 1:u32), yes, no\nyes:\n  sometimes "seen"\n  return\nno:\n  return',
        head="(%cpu: u32)",
        more=X,
    )
    text += function("first", "store @word:*u32, 1:u32", "return") + function("second", "return")
    result = search(system(text))
    assert result.verdict() == "holds"
    assert result.properties == (ASSERTIONS, PROGRESS)


# --- bring-up --------------------------------------------------------------------------


def with_bring_up(*lines: str, main: tuple[str, ...] = ("return",)) -> System:
    text = HEAD + INVARIANT.format(limit=3, exempt="")
    functions = function("first", *lines, "return", more=X) + function("second", "return")
    loop = function("first", *main, more=X) + function("second", "return")
    return system(text + loop, text + functions)


def test_the_search_goes_on_where_the_bring_up_ends() -> None:
    made = with_bring_up(
        "store @word:*u32, 1:u32",
        "store @other:*u32, 2:u32",
        main=("%x = load @word:*u32", "store @other:*u32, %x", "return"),
    )
    result = search(made, finals=True)
    assert len(result.bring_up) == 3
    assert result.verdict() == "holds"
    assert [memory[1:3] for memory in result.finals] == [(1, 1)]
    # Nobody writes @word any more: CPU 0 reads it and stores in one step.
    assert numbers(result) == (4, 4, 2)


def test_a_violation_in_the_bring_up() -> None:
    made = with_bring_up("store @word:*u32, 3:u32", "store @word:*u32, 0:u32")
    result = search(made)
    assert result.violations["small"].steps == 1
    assert result.complete
    assert result.verdict(ASSERTIONS) == "holds"


def test_an_assertion_that_fails_in_the_bring_up() -> None:
    made = with_bring_up("store @word:*u32, 1:u32", 'assert false, panic, "no memory"')
    result = search(made)
    violation = result.violations[ASSERTIONS]
    assert violation.steps == 1
    assert violation.failure is not None and violation.failure.message == "no memory"
    # Nothing was searched: the other properties are open.
    assert result.verdict("small") == result.verdict(PROGRESS) == "incomplete"
    assert result.stopped == "an assertion fails before the bring-up is over"


def test_a_bring_up_that_does_not_end() -> None:
    with pytest.raises(ModelError, match=r"the bring-up .* after 1 steps"):
        search(with_bring_up(waiting(1)))


def test_what_the_bring_up_passes_does_not_count_as_reached() -> None:
    text = HEAD + "must_reach started\n"
    started = function("first", 'sometimes "started"', "return") + function("second", "return")
    quiet = function("first", "return") + function("second", "return")
    assert search(system(text + quiet, text + started)).verdict() == "vacuous"
    assert search(system(text + started, text + quiet)).verdict() == "holds"
