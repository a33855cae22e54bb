"""Random systems for both reductions at once: CPUs that run the same code and items that are
chosen, with locks, waits, interrupts and exemptions, so that some steps are an agent's own
business; what is said of whose a word is; and what breaks the symmetry of all that."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from pmaplab.machine.store_buffer import BUFFERS
from pmaplab.search.symmetry import INDEX, SET, Kind, Values
from pmaplab.system import System
from search.two_cpus import ITEM, MINE, OWN, TwoCpuWriter, fact, head
from search.writer import system_of

_VARIABLES = """
global @set: u32
global @lock: *pcpu
global @items: [2 x item]
"""
_QUIET = """
atomic function @quiet(%cpu: u32) {
  var %x: u32
  var %p: *item
e:
  %x = load field(index(@pcpu:*[2 x pcpu], %cpu), own):*u32
  branch eq(%x, 3:u32), three, out
three:
  LABEL
  %p = load field(index(@pcpu:*[2 x pcpu], %cpu), item):**item
  branch eq(%p, null:*item), out, on
on:
  %x = load field(%p, word):*u32
  assert ne(%x, 3:u32), KASSERT, "both are %d", %x
  jump out
out:
  return
}
"""
_OTHERS = "index(@pcpu:*[2 x pcpu], and(add(cpu, 1:u32), 1:u32))"
_WORDS = (
    "@a:*u32",
    "@b:*u32",
    OWN,
    OWN,
    f"field({MINE}, seen):*u32",
    f"field({_OTHERS}, seen):*u32",
    "field(%p, word):*u32",
    "field(%p, word):*u32",
)
ITEM_KIND = Kind("items", 2, ("items",), (Values(INDEX, (), ("*.i",)),))
CPU_KIND = Kind("CPUs", 2, ("pcpu", "cpus"), (Values(SET, ("set",)),), cpus=True)


@dataclass
class _Writer(TwoCpuWriter):
    broken: bool

    def word(self) -> str:
        return self.pick(*(each for each in _WORDS if each != self.locked))

    def statement(self, depth: int) -> None:
        ways = ["load", "store", "store", "add", "assign", "own", "own", "region", "label", "item"]
        ways += ["set", "choose"] if self.one_in(3) else []
        ways += ["if", "assert", "wait", "interrupt", "mask", "lock", "lock"] if depth else []
        if self.broken and self.one_in(4):
            return self.breakage(depth)
        match self.pick(*ways):
            case "own":
                own = (f"store {OWN}, %x", f"store {OWN}, 3:u32", f"%x = load {OWN}")
                self.emit(self.pick(*own))
            case "assign":
                self.emit(f"%x = and(add(%x, {self.pick('%y', '1:u32')}), 3:u32)")
            case "item":
                self.emit(self.pick(f"store {ITEM}, %p", f"store {ITEM}, null:*item"))
            case "choose":
                self.emit("%i = choose 0:u32, 1:u32\n%p = index(@items:*[2 x item], %i)")
            case "set":
                self.emit("rmw or @set:*u32, shl(1:u32, cpu)")
            case "lock":
                self.section()
            case way:
                self.common(way, depth, 2)

    def section(self) -> None:
        """Work under the lock."""
        word = self.locked or "@a:*u32"
        self.emit(f"%q = cmpxchg @lock:**pcpu, null:*pcpu, {MINE}\nassume eq(%q, null:*pcpu)")
        for _ in range(self.draw(st.integers(1, 3))):
            ways = (f"%x = load {word}", f"store {word}, %x", f"store {word}, 2:u32")
            self.emit(self.pick(*ways, *ways, f"store {OWN}, 1:u32"))
        self.emit("store @lock:**pcpu, null:*pcpu")
        if self.one_in(10):
            self.emit(f"%x = load {word}")

    def breakage(self, depth: int) -> None:
        match self.pick("number", "index", "first", "label", *(["wait"] if depth else [])):
            case "number":
                self.emit("store @b:*u32, cpu")
            case "index":
                self.emit("store @b:*u32, %i")
            case "first":
                self.emit("store field(index(@items:*[2 x item], 0:u32), word):*u32, 1:u32")
            case "label":
                with self.only_if("eq(cpu, 1:u32)"):
                    self.emit(self.label())
            case "wait":
                self.emit("%y = load @b:*u32\nassume or(eq(cpu, 1:u32), ne(%y, 1:u32))")

    def function(self, first: str, last: str) -> str:
        variables = "var %x: u32\nvar %y: u32\nvar %i: u32\nvar %p: *item\nvar %q: *pcpu\n"
        start = "%x = 0:u32\n%y = 0:u32\n%i = 0:u32\n%i = choose 0:u32, 1:u32"
        start += "\n%p = index(@items:*[2 x item], %i)"
        return self.text(variables, f"{first}\n{start}", last)


# What is said, by CPU and item.
_SAID = (
    ('"a" cpu CPU', 'cell @a ""', 'when @lock "" is @pcpu "[CPU]"'),
    ('"b" cpu CPU', 'cell @b ""', 'when @lock "" is @pcpu "[CPU]"'),
    ('"b read" cpu CPU shared', 'cell @b ""', 'when @lock "" is @pcpu "[CPU]"'),
    ('"item" cpu CPU', 'cell @items "[ITEM].word"', 'when @pcpu "[CPU].item" is @items "[ITEM]"'),
    ('"item read" cpu CPU shared', 'cell @items "[ITEM].word"', 'when @lock "" is @pcpu "[CPU]"'),
    ('"own" cpu CPU', 'cell @pcpu "[CPU].own"'),
    ('"seen" cpu CPU shared', 'cell @pcpu "[CPU].seen"', 'when @set "" has BIT'),
    ('"outside" cpu CPU', 'cell @b ""', 'when @lock "" is @pcpu "[CPU]"', "outside other"),
    ('"kept" nobody shared', 'cell @a ""', 'when @a "" not 0'),
)


def _said(draw: st.DrawFn, broken: bool) -> str:
    """Of all CPUs and items; where ``broken`` perhaps of some."""
    said = draw(st.lists(st.sampled_from(_SAID), max_size=4, unique=True))
    result: dict[str, None] = {}
    for line in dict.fromkeys([*said, _SAID[0]]):
        few = broken and draw(st.integers(0, 3)) == 0
        for cpu in (0,) if few else (0, 1):
            for item in (0, 1):
                parts = (
                    part.replace("CPU", str(cpu))
                    .replace("ITEM", str(item))
                    .replace("BIT", str(1 << cpu))
                    for part in line
                )
                result[fact(parts)] = None
    return "".join(result)


@st.composite
def alike_systems(draw: st.DrawFn, *, broken: bool, buffered: bool = False) -> System:
    """Items and CPUs are alike, unless ``broken``; what is said may be right or wrong.
    ``buffered`` CPUs have store buffers, in which pointers to what is alike tell it apart."""
    limit = draw(st.integers(2, 6))
    text = head(draw, limit, _VARIABLES, "global @pcpu: [2 x pcpu]", _QUIET)
    locked = draw(st.sampled_from([None, *_WORDS[:2]]))
    writer = _Writer("main", draw, locked, broken)
    writer.body(3, 7, 1)
    writer.tell()
    text += writer.function("", "return")
    for cpu in (0, 1):
        text += f"agent cpu{cpu} cpu {cpu} context thread entry @main\n"
    if draw(st.booleans()):
        writer = _Writer("handler", draw, locked, broken)
        writer.body(1, 2, 0)
        text += writer.function("call @take()", "call @iret()\njump e")
        for cpu in (0, 1):
            text += f"agent i{cpu} cpu {cpu} context interrupt entry @handler\n"
    made = system_of(text + _said(draw, broken), draw(st.integers(1, 2)) if buffered else None)
    kinds = draw(
        st.sampled_from([(ITEM_KIND, CPU_KIND), (CPU_KIND, ITEM_KIND), (CPU_KIND,), (ITEM_KIND,)])
    )
    if broken and draw(st.integers(0, 5)) == 0:
        kinds = tuple(replace(kind, values=()) for kind in kinds)
    if BUFFERS in made.program.globals:
        kinds = tuple(
            replace(kind, objects=(*kind.objects, BUFFERS)) if kind.cpus else kind for kind in kinds
        )
    return replace(made, symmetries=kinds)
