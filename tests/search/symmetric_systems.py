"""Random systems with two CPUs that run the same code, and items that are chosen,
pointed to and told by their numbers; and what breaks the symmetry of these."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from pmaplab.ir.cut import cut
from pmaplab.ir.parser import parse_program
from pmaplab.ir.verify import verify
from pmaplab.search.symmetry import INDEX, LIKE, SET, Kind, Values
from pmaplab.system import System

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
class _Writer:
    draw: st.DrawFn
    lines: list[str]
    broken: bool
    blocks: int = 0

    def pick(self, *values: str) -> str:
        return self.draw(st.sampled_from(values))

    def block(self) -> str:
        self.blocks += 1
        return f"k{self.blocks}"

    def body(self, least: int, most: int, depth: int) -> None:
        for _ in range(self.draw(st.integers(least, most))):
            self.statement(depth)

    def statement(self, depth: int) -> None:
        emit = self.lines.append
        ways = ["load", "store", "store", "item", "choose", "chosen", "place", "set", "label"]
        ways += ["region", "if", "wait", "same", "assert"] if depth else []
        if self.broken and self.draw(st.integers(0, 2)) == 0:
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
                emit(f'sometimes "{len(self.lines)}"')
            case "region":
                emit("enter inside")
                self.body(1, 2, 0)
                emit("leave inside")
            case "if":
                self.branch(f"eq(%x, {self.pick('0:u32', '1:u32')})")
            case "same":
                emit(f"%q = load {self.pick(_ITEM, '@current:**item')}")
                self.branch("eq(%p, %q)")
            case "wait" if self.draw(st.integers(0, 2)) == 0:
                emit(f"%x = load {self.pick(*_WORDS)}\nassume ne(%x, {self.pick('0', '1')}:u32)")
            case "assert" if self.draw(st.integers(0, 3)) == 0:
                emit(f'assert ne(%x, 2:u32), MPASS, "{len(self.lines)}"')

    def branch(self, condition: str) -> None:
        then, end = self.block(), self.block()
        self.lines.append(f"branch {condition}, {then}, {end}\n{then}:")
        self.body(1, 2, 0)
        self.lines.append(f"jump {end}\n{end}:")

    def breakage(self, depth: int) -> None:
        emit = self.lines.append
        ways = ["number", "index", "place", "label", "first", *(["cpu", "item"] if depth else [])]
        match self.pick(*ways):
            case "cpu":
                self.branch("eq(cpu, 0:u32)")
            case "item":
                self.branch("eq(%i, 0:u32)")
            case "number":
                emit("store @a:*u32, cpu")
            case "index":
                emit("store @b:*u32, %i")
            case "place":
                emit("%l = load field(%p, place):*u64\nstore @b:*u32, cast(shr(%l, 12:u64)):u32")
            case "label":
                then, end = self.block(), self.block()
                emit(f"branch eq(cpu, 1:u32), {then}, {end}\n{then}:")
                emit(f'sometimes "only {then}"\njump {end}\n{end}:')
            case "first":
                emit("store field(index(@items:*[3 x item], 0:u32), word):*u32, 1:u32")


@st.composite
def symmetric_systems(draw: st.DrawFn, *, broken: bool) -> System:
    """Items and CPUs are alike, unless ``broken``."""
    writer = _Writer(draw, [], broken)
    writer.body(3, 6, 1)
    lines = "\n".join(writer.lines)
    label = ""
    if broken and draw(st.integers(0, 3)) == 0:
        label = 'assert ne(add(%y, %cpu), 2:u32), KASSERT, "told"'
    text = _HEAD.replace("LIMIT", str(draw(st.integers(2, 6)))).replace("LABEL", label)
    text += (
        "function @main() {\nvar %x: u32\nvar %i: u32\nvar %l: u64\nvar %n: u32\n"
        "var %p: *item\nvar %q: *item\ne:\n%x = 0:u32\n%i = 0:u32\n"
        "%p = index(@items:*[3 x item], %i)\n"
        "%n = load field(index(@pcpu:*[2 x pcpu], cpu), number):*u32\n"
        "%i = choose 0:u32, 2:u32\n%p = index(@items:*[3 x item], %i)\n"
        f"{lines}\nstore field(index(@pcpu:*[2 x pcpu], %n), item):**item, %p\nreturn\n}}\n"
    )
    program = parse_program(text)
    verify(program)
    made = cut(program)
    verify(made)
    kinds = draw(st.sampled_from([(ITEM_KIND, CPU_KIND), (CPU_KIND, ITEM_KIND), (ITEM_KIND,)]))
    if broken and draw(st.integers(0, 3)) == 0:
        # What is declared is wrong: some values are left out.
        kinds = tuple(
            replace(kind, values=kind.values[draw(st.integers(0, 1)) :]) for kind in kinds
        )
    system = System(made, None, {}, {}, {}, frozenset())
    return replace(system, symmetries=kinds)
