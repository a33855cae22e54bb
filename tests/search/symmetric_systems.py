"""Random systems with two CPUs that run the same code, and items that are chosen,
pointed to and told by their numbers; and what breaks the symmetry of these."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from pmaplab.search.symmetry import INDEX, LIKE, SET, Kind, Values
from pmaplab.system import System
from search.writer import DrawingWriter, system_of

ITEMS = 3

_HEAD = """
cpus 2
region inside
struct item {
  word: u32
  place: u64
  next: *item
}
struct pcpu {
  item: *item
  own: u32
  number: u32
}
invariant "small" @small exempt inside
global @a: u32
global @b: u32
global @current: *item
global @chosen: u32
global @place: u64
global @set: u32
global @pcpu: [2 x pcpu] {
  "[1].number" = 1:u32
}
global @items: [3 x item] {
  "[0].place" = 4096:u64
  "[1].place" = 8192:u64
  "[2].place" = 12288:u64
}
agent cpu0 cpu 0 context thread entry @main
agent cpu1 cpu 1 context thread entry @main
atomic function @small(%cpu: u32) {
  var %x: u32
  var %y: u32
e:
  %x = load field(index(@pcpu:*[2 x pcpu], %cpu), own):*u32
  %y = load @a:*u32
  LABEL
  assert lt(add(%x, %y), LIMIT:u32), KASSERT, "seen %d", %x
  return
}
"""
ITEM_KIND = Kind(
    "items",
    ITEMS,
    ("items",),
    (
        Values(INDEX, ("chosen",), ("main.i",)),
        Values(LIKE, ("place", "item.place"), ("main.l",), like="items.place", mask=0xFFFFF000),
    ),
)
CPU_KIND = Kind(
    "CPUs",
    2,
    ("pcpu",),
    (Values(INDEX, ("pcpu.number",), ("main.n",)), Values(SET, ("set",))),
    cpus=True,
)
_WORDS = (
    "@a:*u32",
    "@b:*u32",
    "field(index(@pcpu:*[2 x pcpu], cpu), own):*u32",
    "field(index(@pcpu:*[2 x pcpu], cpu), own):*u32",
    "field(%p, word):*u32",
    "field(%p, word):*u32",
)
_ITEM = "field(index(@pcpu:*[2 x pcpu], cpu), item):**item"


@dataclass
class _Writer(DrawingWriter):
    broken: bool

    def statement(self, depth: int) -> None:
        emit = self.emit
        ways = ["load", "store", "store", "item", "choose", "chosen", "place", "set", "label"]
        ways += ["region", "if", "wait", "same", "assert"] if depth else []
        if self.broken and self.one_in(3):
            return self.breakage(depth)
        match self.pick(*ways):
            case "load":
                emit(f"%x = load {self.pick(*_WORDS)}")
            case "store":
                emit(f"store {self.pick(*_WORDS)}, {self.pick('%x', '0:u32', '1:u32', '2:u32')}")
            case "item":
                emit(self.pick(f"store {_ITEM}, %p", "store @current:**item, %p"))
            case "choose":
                emit("%i = choose 0:u32, 2:u32\n%p = index(@items:*[3 x item], %i)")
            case "chosen":
                emit(self.pick("store @chosen:*u32, %i", "store field(%p, next):**item, %p"))
            case "place":
                emit("%l = load field(%p, place):*u64\n%l = or(%l, 5:u64)\nstore @place:*u64, %l")
            case "set":
                emit("rmw or @set:*u32, shl(1:u32, cpu)")
            case "label":
                emit(self.label())
            case "region":
                with self.between("enter inside", "leave inside"):
                    self.body(1, 2, 0)
            case "if":
                self.branch(f"eq(%x, {self.pick('0:u32', '1:u32')})")
            case "same":
                emit(f"%q = load {self.pick(_ITEM, '@current:**item')}")
                self.branch("eq(%p, %q)")
            case "wait" if self.one_in(3):
                emit(f"%x = load {self.pick(*_WORDS)}\nassume ne(%x, {self.pick('0', '1')}:u32)")
            case "assert" if self.one_in(4):
                emit(f'assert ne(%x, 2:u32), MPASS, "{len(self.lines)}"')

    def branch(self, condition: str) -> None:
        with self.only_if(condition):
            self.body(1, 2, 0)

    def breakage(self, depth: int) -> None:
        ways = ["number", "index", "place", "label", "first", *(["cpu", "item"] if depth else [])]
        match self.pick(*ways):
            case "cpu":
                self.branch("eq(cpu, 0:u32)")
            case "item":
                self.branch("eq(%i, 0:u32)")
            case "number":
                self.emit("store @a:*u32, cpu")
            case "index":
                self.emit("store @b:*u32, %i")
            case "place":
                value = "cast(shr(%l, 12:u64)):u32"
                self.emit(f"%l = load field(%p, place):*u64\nstore @b:*u32, {value}")
            case "label":
                with self.only_if("eq(cpu, 1:u32)"):
                    self.emit(self.label())
            case "first":
                self.emit("store field(index(@items:*[3 x item], 0:u32), word):*u32, 1:u32")

    def function(self) -> str:
        variables = "var %x: u32\nvar %i: u32\nvar %l: u64\nvar %n: u32\n"
        first = (
            "%x = 0:u32\n%i = 0:u32\n%p = index(@items:*[3 x item], %i)\n"
            "%n = load field(index(@pcpu:*[2 x pcpu], cpu), number):*u32\n"
            "%i = choose 0:u32, 2:u32\n%p = index(@items:*[3 x item], %i)"
        )
        last = "store field(index(@pcpu:*[2 x pcpu], %n), item):**item, %p\nreturn"
        return self.text(f"{variables}var %p: *item\nvar %q: *item\n", first, last)


@st.composite
def symmetric_systems(draw: st.DrawFn, *, broken: bool) -> System:
    """Items and CPUs are alike, unless ``broken``."""
    writer = _Writer("main", draw, broken)
    writer.body(3, 6, 1)
    label = ""
    if broken and draw(st.integers(0, 3)) == 0:
        label = 'assert ne(add(%y, %cpu), 2:u32), KASSERT, "told"'
    text = _HEAD.replace("LIMIT", str(draw(st.integers(2, 6)))).replace("LABEL", label)
    made = system_of(text + writer.function())
    kinds = draw(st.sampled_from([(ITEM_KIND, CPU_KIND), (CPU_KIND, ITEM_KIND), (ITEM_KIND,)]))
    if broken and draw(st.integers(0, 3)) == 0:
        # What is declared is wrong: some values are left out.
        kinds = tuple(
            replace(kind, values=kind.values[draw(st.integers(0, 1)) :]) for kind in kinds
        )
    return replace(made, symmetries=kinds)
