"""Small programs on one and two CPUs, in all their interleavings: whether an
access can use what a page was mapped to before."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from machine.tlbmachine import small_system
from pmaplab.search.bfs import search
from pmaplab.search.result import Result

FROM_A, FROM_B = "x is read from A", "x is read from B"
FOREIGN = "x is read by a table that is not loaded"


@dataclass(frozen=True)
class MicroTest:
    """What must be reachable in a program, and what must not."""

    name: str
    number: int
    allowed: tuple[str, ...]
    forbidden: tuple[str, ...]
    is_global: bool = False


def stale(name: str, number: int, *, is_global: bool = False) -> MicroTest:
    return MicroTest(name, number, (FROM_A, FROM_B), ("a read of x faults",), is_global)


def fresh(name: str, number: int, *, is_global: bool = False) -> MicroTest:
    return MicroTest(name, number, (FROM_B,), (FROM_A, "a read of x faults"), is_global)


TESTS = [
    stale("S1 nothing is done", 1),
    fresh("S2 INVLPG", 2),
    fresh("S3 INVLPG of a global page", 2, is_global=True),
    stale("S4 INVLPG of another page", 4),
    fresh("S5 MOV CR3", 5),
    stale("S6 MOV CR3 with bit 63", 6),
    stale("S7 MOV CR3, a global page", 5, is_global=True),
    stale("S8 there and back with bit 63", 8),
    stale("S9 INVLPG under another PCID", 9),
    fresh("S10 INVPCID 0 of the other PCID", 10),
    stale("S11 INVPCID 1, a global page", 11, is_global=True),
    fresh("INVPCID 1", 11),
    stale("S12 INVPCID 3, a global page", 12, is_global=True),
    fresh("INVPCID 3", 12),
    fresh("S13 INVPCID 2, a global page", 13, is_global=True),
    fresh("S14 CR4.PGE twice, a global page", 14, is_global=True),
    stale("S17 INVLPG on the other CPU", 17),
    fresh("S18 INVLPG after the store is seen", 18),
    stale("S19 INVLPG after a flag that comes too early", 19),
    MicroTest(
        "S20 a right is given",
        20,
        ("x is written", "a write of x faults"),
        ("a write of x faults again",),
    ),
    fresh("S21 an entry that was not present", 21),
    fresh("SMEP twice", 30),
    stale("SMEP twice, a global page", 30, is_global=True),
    MicroTest(
        "a PCID used again with bit 63",
        31,
        (FROM_A, FROM_B, FOREIGN),
        ("a read of x faults",),
    ),
    MicroTest("a PCID used again", 32, (FROM_B,), (FROM_A, FOREIGN)),
    MicroTest(
        "a PCID used again, a global page", 32, (FROM_A, FROM_B, FOREIGN), (), is_global=True
    ),
    MicroTest("removed, and INVLPG on both CPUs", 33, ("a read of x faults",), (FROM_A,)),
]


# Where a store to an entry may still wait in the buffer behind the invalidation.
LATE = {
    "INVPCID 1": (FROM_A,),
    "INVPCID 3": (FROM_A,),
    "S13 INVPCID 2, a global page": (FROM_A,),
    "S20 a right is given": ("a write of x faults again",),
    "S21 an entry that was not present": ("a read of x faults",),
}


def run(test: MicroTest, store_buffer: int = 0) -> Result:
    options = {"micro_test": test.number, "global": int(test.is_global)}
    result = search(small_system("micro_tests.py", options, store_buffer=store_buffer))
    assert result.complete
    assert not result.violations
    return result


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.name)
def test_what_an_access_can_use(test: MicroTest) -> None:
    reached = run(test).reached
    assert reached >= set(test.allowed)
    assert not reached & set(test.forbidden)


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.name)
def test_the_same_with_store_buffers(test: MicroTest) -> None:
    """MOV CR3, MOV CR4 and INVLPG wait for the buffer.  INVPCID does not: the
    other reading of it is the stricter one."""
    late = LATE.get(test.name, ())
    reached = run(test, store_buffer=2).reached
    assert reached >= {*test.allowed, *late}
    assert not reached & (set(test.forbidden) - set(late))
