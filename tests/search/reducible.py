"""Random systems in which some steps are an agent's own business and others are not:
per-CPU words, words of the object that a CPU works on, waits, interrupts, exemptions;
and what is said of whose a word is, which may be right or wrong."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from pmaplab.system import System
from search.two_cpus import ITEM, MINE, OWN, TwoCpuWriter, fact, head
from search.writer import system_of

_VARIABLES = """
global @lock: u32
global @other: u32
global @red: item
global @green: item
"""
_PCPU = """
global @pcpu: [2 x pcpu] {
  "[0].item" = @red:*item
  "[1].item" = @green:*item
}
"""
_QUIET = """
atomic function @quiet(%cpu: u32) {
  var %x: u32
e:
  %x = load field(index(@pcpu:*[2 x pcpu], %cpu), own):*u32
  branch eq(%x, 3:u32), three, out
three:
  LABEL
  %x = load @b:*u32
  assert ne(%x, 3:u32), KASSERT, "both are %d", %x
  jump out
out:
  return
}
"""
_WORDS = (
    "@a:*u32",
    "@b:*u32",
    OWN,
    OWN,
    f"field({MINE}, seen):*u32",
    "field(index(@pcpu:*[2 x pcpu], 0:u32), seen):*u32",
    "field(%p, word):*u32",
    "field(%p, word):*u32",
)
_LOCK = "%y = cmpxchg @{}:*u32, 0:u32, add(cpu, 1:u32)\nassume eq(%y, 0:u32)"
_UNLOCK = "store @{}:*u32, 0:u32"


@dataclass
class _Writer(TwoCpuWriter):
    simple: bool

    def word(self) -> str:
        words = _WORDS[:5] if self.simple else _WORDS
        word = self.pick(*(each for each in words if each != self.locked))
        if "%p" in word:
            self.emit(f"%p = load {ITEM}")
        return word

    def statement(self, depth: int) -> None:
        ways = ["load", "store", "store", "add", "assign", "region", "label"]
        ways += ["take"] if self.one_in(4) else []
        ways += ["if", "assert", "wait", "choose", "interrupt", "mask", "lock"] if depth else []
        if self.simple:
            ways = ["load", "load", "store", "store", "store", "region" if depth else "store"]
        match self.pick(*ways):
            case "take":
                self.emit(f"store {ITEM}, {self.pick('@red', '@green')}:*item")
            case "assign":
                self.emit(f"%x = and(add(%x, {self.pick('%y', '1:u32', 'cpu')}), 3:u32)")
            case "choose":
                self.emit("%x = choose 0:u32, 1:u32")
            case "lock":
                with self.between(_LOCK.format("lock"), _UNLOCK.format("lock")):
                    self.body(1, 3, 0)
            case way:
                self.common(way, depth, 3)

    def disciplined(self, count: int) -> None:
        """Statements that touch nothing that somebody owns."""
        for _ in range(count):
            ways = (f"%x = load {OWN}", f"store {OWN}, %x", "%x = and(add(%x, 1:u32), 3:u32)")
            self.emit(self.pick(*ways))

    def section(self) -> None:
        """Work on what lies under the lock, or on the item that the CPU takes."""
        if not self.one_in(3):
            word, taken, last = self.locked, "", _UNLOCK.format("lock")
            self.emit(_LOCK.format("lock"))
        else:
            word, last = "field(%p, word):*u32", _UNLOCK.format("other")
            taken = f"\nstore {ITEM}, null:*item"
            self.emit(_LOCK.format("other"))
            self.emit(f"store {ITEM}, @red:*item\n%p = load {ITEM}")
        for _ in range(self.draw(st.integers(1, 4))):
            way = self.pick(f"%x = load {word}", f"store {word}, %x", f"store {word}, 2:u32")
            self.emit(self.pick(way, way, way, f"store {OWN}, 1:u32"))
        self.emit(last.join(("", taken)) if self.one_in(6) else f"{taken}\n{last}")
        if self.one_in(5):
            self.emit(f"%x = load {word}" if taken == "" else f"store {OWN}, 2:u32")

    def function(self, first: str, last: str) -> str:
        variables = "var %x: u32\nvar %y: u32\nvar %p: *item\n"
        return self.text(variables, f"{first}\n%x = cpu\n%y = 0:u32", last)


# What is said, by CPU.
_SAID = (
    ('"a" cpu CPU', 'cell @a ""', 'when @lock "" is MINE'),
    ('"b" cpu CPU', 'cell @b ""', 'when @lock "" is MINE'),
    ('"b read" cpu CPU shared', 'cell @b ""', 'when @lock "" is MINE'),
    ('"red" cpu CPU', 'cell @red ".word"', 'when @pcpu "[CPU].item" is @red ""'),
    ('"red" cpu CPU', 'cell @red ".word"', 'when @other "" is MINE'),
    ('"red read" cpu CPU shared', 'cell @red ".word"', 'when @pcpu "[CPU].item" is @red ""'),
    ('"green" cpu CPU', 'cell @green ".word"', 'when @pcpu "[CPU].item" is @green ""'),
    ('"red" cpu CPU', 'cell @red ".word"', 'when @pcpu "[CPU].item" not 0', "outside other"),
    ('"own" cpu CPU', 'cell @pcpu "[CPU].own"'),
    ('"seen" cpu CPU shared', 'cell @pcpu "[CPU].seen"', 'when @a "" has 1'),
    ('"marked" cpu CPU', 'cell @a ""', 'cell @b ""', 'when @pcpu "[CPU].own" is 2'),
    ('"kept" nobody shared', 'cell @a ""', 'when @a "" not 0'),
    ('"inside" cpu CPU', 'cell @red ".word"', "outside inside"),
)


def _said(draw: st.DrawFn, likely: bool) -> str:
    result, said = "", draw(st.lists(st.sampled_from(_SAID), max_size=4, unique=True))
    if likely:
        said = [*draw(st.permutations(_SAID[:6]))[:4], *said[:1]]
    for line in dict.fromkeys(said):
        for cpu in (0, 1) if likely else draw(st.sampled_from([(0,), (1,), (0, 1)])):
            parts = (part.replace("CPU", str(cpu)).replace("MINE", str(cpu + 1)) for part in line)
            result += fact(parts)
    return result


@st.composite
def reducible_systems(draw: st.DrawFn, owned: bool = False, buffered: bool = False) -> System:
    """Two CPUs, some with interrupts; ``owned`` says something of whose a word is, and
    ``buffered`` CPUs have store buffers."""
    # Few words and no asserts: who sees what is all that differs.
    simple = draw(st.booleans())
    limit = draw(st.integers(4, 6) if simple else st.integers(2, 6))
    text = head(draw, limit, _VARIABLES, _PCPU, _QUIET)
    locked = draw(st.sampled_from(_WORDS[:2])) if owned and draw(st.integers(0, 2)) else None
    if locked is not None:
        # Nobody has one to begin with.
        text = text.replace("@red:*item\n", "null:*item\n").replace(
            "@green:*item\n", "null:*item\n"
        )
    for cpu, name in enumerate(("first", "second")):
        writer = _Writer(name, draw, locked, simple)
        if locked is None:
            writer.body(*((2, 4) if simple else (4, 9)), 1)
        else:
            for _ in range(draw(st.integers(1, 3))):
                writer.disciplined(draw(st.integers(0, 2)))
                writer.section()
        writer.tell()
        text += writer.function("", "return")
        text += f"agent cpu{cpu} cpu {cpu} context thread entry @{name}\n"
    if draw(st.booleans()):
        writer = _Writer("handler", draw, locked, simple)
        writer.body(1, 3, 0)
        text += writer.function("call @take()", "call @iret()\njump e")
        for cpu in draw(st.sampled_from([(0,), (0, 1)])):
            text += f"agent i{cpu} cpu {cpu} context interrupt entry @handler\n"
    if owned:
        text += _said(draw, locked is not None)
    return system_of(text, draw(st.integers(1, 2)) if buffered else None)
