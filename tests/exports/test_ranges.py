"""The ranges of the exports hold every value there is."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ir.runnable import concurrent_programs, explore, placed, quick
from pmaplab.exports import arithmetic
from pmaplab.exports.domain import MOST_ITEMS, NOTHING, Values, of
from pmaplab.exports.ranges import Ranges
from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import ARITHMETIC, COMPARISONS, Program
from pmaplab.ir.types import I32, I64, U8, U32, U64, Int
from search.small import system

KINDS = (U8, U32, U64, Int(7), I32, I64)


def values_of(kind: Int) -> st.SearchStrategy[Values]:
    ends = st.sampled_from((kind.minimum, kind.maximum, 0, 1, min(kind.maximum, 5)))
    numbers = st.one_of(ends, st.integers(kind.minimum, kind.maximum))
    sets = st.builds(of, st.lists(numbers, min_size=1, max_size=4))
    intervals = st.builds(lambda a, b: Values(min(a, b), max(a, b)), numbers, numbers)
    return st.one_of(sets, intervals)


def some(values: Values) -> st.SearchStrategy[int]:
    if values.items is not None:
        return st.sampled_from(sorted(values.items))
    return st.integers(values.lo, values.hi)


@given(st.data())
def test_results_of_operators_are_not_missed(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    op = data.draw(st.sampled_from(ARITHMETIC))
    left, right = data.draw(values_of(kind)), data.draw(values_of(kind))
    a, b = data.draw(some(left)), data.draw(some(right))
    if op in ("shl", "shr") and not 0 <= b < kind.bits:
        return
    exact = arithmetic.exact(op, a, b)
    result = None if exact is None else arithmetic.fits(exact, kind)
    if result is not None:
        assert result in arithmetic.binary(op, left, right, kind)


@given(st.data())
def test_comparisons_and_casts_are_not_missed(data: st.DataObject) -> None:
    kind, other = data.draw(st.sampled_from(KINDS)), data.draw(st.sampled_from(KINDS))
    left, right = data.draw(values_of(kind)), data.draw(values_of(kind))
    a, b = data.draw(some(left)), data.draw(some(right))
    truth = {"eq": a == b, "ne": a != b, "lt": a < b, "le": a <= b, "gt": a > b, "ge": a >= b}
    for op in COMPARISONS:
        assert int(truth[op]) in arithmetic.compare(op, left, right)
    assert other.wrapped(a) in arithmetic.cast(left, other)
    joined = left.join(right)
    assert a in joined and b in joined
    assert b in left.common(right) or b not in left
    assert a in left.without(b) or a == b


def test_sets_become_intervals() -> None:
    assert of(range(MOST_ITEMS)).items is not None
    wide = of(range(MOST_ITEMS + 1))
    assert wide == Values(0, 2 * MOST_ITEMS - 1)
    assert not NOTHING and NOTHING.join(wide) == wide


@settings(quick, max_examples=30)
@given(concurrent_programs())
def test_every_reachable_value_is_in_its_range(program: Program) -> None:
    program = placed(program)
    found = explore(program, most=1000)
    assume(found is not None)
    assert found is not None
    layout = Layout(program)
    ranges = Ranges(layout, layout.initial())
    for memory in found.memories:
        for cell in layout.cells:
            assert memory[cell.index] in ranges.cells[cell.index], cell.name


def test_a_loop_is_bounded_by_its_condition() -> None:
    text = """
cpus 1
global @bits: u64
agent cpu0 cpu 0 context thread entry @main
function @main() {
  var %i: u32
  var %old: u64
b:
  %i = 0:u32
  jump head
head:
  branch lt(%i, 3:u32), body, end
body:
  %old = load @bits:*u64
  store @bits:*u64, or(%old, shl(1:u64, %i))
  %i = add(%i, 1:u32)
  jump head
end:
  return
}
"""
    program = system(text).program
    layout = Layout(program)
    ranges = Ranges(layout, layout.initial())
    assert ranges.locals["main", "i"] == of(range(4))
    assert ranges.cells[1] == of(range(8))
