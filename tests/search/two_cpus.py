"""Two CPUs with words and items of their own, locks, waits, interrupts and exemptions: what
the random systems have in common in which some steps are an agent's own business."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hypothesis import strategies as st

from search.writer import DrawingWriter

_HEAD = """
cpus 2
region inside
region other
struct registers {
  in_interrupt: bool
  enabled: bool
  pending: bool
}
struct item {
  word: u32
}
struct pcpu {
  item: *item
  own: u32
  seen: u32
}
invariant "small" @small exempt inside, other
invariant "quiet" @quiet exempt inside
global @a: u32
global @b: u32
GLOBALS
global @cpus: [2 x registers] {
  "[0].enabled" = 1:bool
  "[1].enabled" = 1:bool
}
PCPU
atomic function @small(%cpu: u32) {
  var %x: u32
  var %y: u32
e:
  %x = load field(index(@pcpu:*[2 x pcpu], %cpu), seen):*u32
  branch eq(%x, 0:u32), out, on
on:
  %y = load @a:*u32
  assert lt(add(%x, %y), LIMIT:u32), KASSERT, "seen %d", %x
  jump out
out:
  return
}
QUIET
atomic function @take() {
  var %p: bool
  var %e: bool
e:
  %e = load ENABLED
  assume %e
  %p = load PENDING
  assume %p
  store PENDING, 0:bool
  store ENABLED, 0:bool
  store FLAG, 1:bool
  return
}
atomic function @iret() {
e:
  store FLAG, 0:bool
  store ENABLED, 1:bool
  return
}
"""
MINE = "index(@pcpu:*[2 x pcpu], cpu)"
OWN, ITEM = f"field({MINE}, own):*u32", f"field({MINE}, item):**item"
_REGISTERS = "field(index(@cpus:*[2 x registers], {}), {}):*bool"


def head(draw: st.DrawFn, limit: int, variables: str, pcpu: str, quiet: str) -> str:
    """The text before the functions that are drawn: with ``variables`` and the declaration
    of ``@pcpu``, and with the invariant ``@quiet``, which has a place for a label.

    What a CPU has seen and ``@a`` must be below ``limit`` together.
    """
    text = _HEAD.replace("LIMIT", str(limit)).replace("GLOBALS", variables)
    text = text.replace("PCPU", pcpu).replace("QUIET", quiet)
    text = text.replace("LABEL", draw(st.sampled_from(["", 'sometimes "three"'])))
    for name in ("ENABLED", "PENDING"):
        text = text.replace(name, _REGISTERS.format("cpu", name.lower()))
    return text.replace("FLAG", _REGISTERS.format("cpu", "in_interrupt"))


def fact(parts: Iterable[str]) -> str:
    """The text of what is said of whose a word is."""
    first, *lines = parts
    text = "\n".join(lines)
    return f"owned {first} {{\n{text}\n}}\n"


@dataclass
class TwoCpuWriter(DrawingWriter):
    # What lies under the lock, and is not touched otherwise.
    locked: str | None

    def word(self) -> str:
        """Where one is that may be read and written here."""
        raise NotImplementedError

    def common(self, way: str, depth: int, most: int) -> None:
        """A statement that all of these writers have, by its kind; with up to ``most`` others
        in a region, or while the CPU is not interrupted.  Raises ValueError for other kinds."""
        match way:
            case "load":
                self.emit(f"%{self.pick('x', 'y')} = load {self.word()}")
                if depth:
                    self.tell()
            case "store":
                values = ("%x", "%y", "0:u32", "1:u32", "2:u32", "3:u32")
                self.emit(f"store {self.word()}, {self.pick(*values)}")
            case "add":
                op, bits = self.pick("or", "and", "xor"), self.pick("1", "2")
                self.emit(f"rmw {op} {self.word()}, {bits}:u32")
            case "region":
                region = self.pick("inside", "other")
                with self.between(f"enter {region}", f"leave {region}"):
                    self.body(1, most, 0)
            case "label":
                self.emit(self.label())
            case "if":
                with self.only_if(f"eq(%x, {self.pick('%y', '0:u32', '1:u32')})"):
                    self.body(1, 2, 0)
            case "assert" if self.one_in(4):
                value, number = self.pick("2", "3"), len(self.lines)
                self.emit(f'assert ne(%x, {value}:u32), MPASS, "{number}"')
            case "wait" if self.one_in(3):
                self.emit(f"%y = load {self.word()}\nassume ne(%y, {self.pick('0', '1')}:u32)")
            case "interrupt":
                other = _REGISTERS.format("and(add(cpu, 1:u32), 1:u32)", "pending")
                self.emit(f"store {other}, 1:bool")
            case "mask":
                enabled = _REGISTERS.format("cpu", "enabled")
                with self.between(f"store {enabled}, 0:bool", f"store {enabled}, 1:bool"):
                    self.body(1, most, 0)
            case "assert" | "wait":
                pass  # Mostly left out: both cut off ways.
            case _:
                raise ValueError(way)

    def tell(self) -> None:
        """A label for what was read: who sees what shows which ways there are."""
        number = len(self.lines)
        for local in ("%x", "%y"):
            for value in range(4):
                with self.only_if(f"eq({local}, {value}:u32)"):
                    self.emit(f'sometimes "{self.name} {number}: {local} is {value}"')
