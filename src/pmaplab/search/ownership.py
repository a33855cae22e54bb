"""Whose memory is whose, as the searches use and check it.

A *rule* is one :class:`~pmaplab.ir.nodes.Owned` by numbers of cells: while its atoms
hold, only its keepers touch its cells (or write them), and only its enders make an
atom false.  docs/reductions.md has the argument; runtime/ownership.c is the same in C.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pmaplab.ir.effects import Effect, bits, union
from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import HAS, INTERRUPT, IS, Owned, Place, Program
from pmaplab.search.translate import Code

_ALL = (1 << 64) - 1
# What breaks a rule.
TOUCHED, WRITTEN, ENDED, TWICE = range(4)


@dataclass(frozen=True, slots=True)
class Atom:
    """``cell``, of which only ``mask`` counts, is or is not ``value``.  ``writers``
    are the agents that may change that."""

    cell: int
    mask: int
    value: int
    equal: bool
    writers: int = 0

    def holds(self, memory: Sequence[int]) -> bool:
        return (int(memory[self.cell]) & self.mask == self.value) == self.equal


@dataclass(frozen=True, slots=True)
class Rule:
    """``name`` is the number of the fact.  ``changers`` may change whether it holds;
    ``concerned`` are they, and who may do what breaks it or one of its name."""

    name: int
    cells: frozenset[int]
    shared: bool
    atoms: tuple[Atom, ...]
    keepers: int
    enders: int
    changers: int = 0
    concerned: int = 0

    def holds(self, memory: Sequence[int]) -> bool:
        return all(atom.holds(memory) for atom in self.atoms)


@dataclass(frozen=True, slots=True, order=True)
class Broken:
    """A fact, by its number, that a step of an agent does not keep to.  The step begins
    at ``point``, and ``how`` it breaks the fact concerns ``cell``."""

    name: int
    point: int
    agent: int
    cell: int
    how: int


class Rules:
    """Those of a program, but for facts that are ``dropped``, by name."""

    def __init__(
        self, program: Program, layout: Layout, dropped: frozenset[str] = frozenset()
    ) -> None:
        self.names = sorted({owned.name for owned in program.owned})
        self.layout = layout
        self.rules = [
            self._rule(program, owned) for owned in program.owned if owned.name not in dropped
        ]
        self._index()

    def _index(self) -> None:
        self.of_cell: dict[int, list[int]] = {}
        self.of_atom: dict[int, list[tuple[int, int]]] = {}
        self.of_name: dict[int, list[int]] = {}
        for number, rule in enumerate(self.rules):
            self.of_name.setdefault(rule.name, []).append(number)
            for cell in sorted(rule.cells):
                self.of_cell.setdefault(cell, []).append(number)
            for at, atom in enumerate(rule.atoms):
                self.of_atom.setdefault(atom.cell, []).append((number, at))

    def _rule(self, program: Program, owned: Owned) -> Rule:
        layout, atoms = self.layout, []
        for held in owned.when:
            cell, value = self._cell(held.place), held.value
            if held.relation == HAS:
                assert isinstance(value, int)
                atoms.append(Atom(cell, value & _ALL, 0, False))
            else:
                wanted = self._cell(value) if isinstance(value, Place) else value & _ALL
                atoms.append(Atom(cell, _ALL, wanted, held.relation == IS))
        if owned.outside:
            assert owned.cpu is not None
            mask = sum(1 << program.regions.index(region) for region in set(owned.outside))
            atoms.append(Atom(layout.regions + owned.cpu, mask, 0, True))
        agents = [(1 << n, a) for n, a in enumerate(program.agents) if a.cpu == owned.cpu]
        return Rule(
            self.names.index(owned.name),
            frozenset(self._cell(place) for place in owned.cells),
            owned.shared,
            tuple(atoms),
            sum(bit for bit, _ in agents),
            sum(bit for bit, agent in agents if agent.context != INTERRUPT),
        )

    def _cell(self, place: Place) -> int:
        return self.layout.address(place.name, place.path)

    def may(
        self,
        effects: Sequence[Effect],
        write: Sequence[int],
        marks: Sequence[Sequence[int]],
    ) -> None:
        """Work out who may do what: ``effects`` by agent, ``write`` by cell, ``marks`` who
        may enter or leave a region, by CPU and region."""
        first = self.layout.regions
        for number, rule in enumerate(self.rules):
            atoms = []
            for atom in rule.atoms:
                writers = write[atom.cell]
                if atom.cell >= first:
                    writers = union(marks[atom.cell - first][r] for r in bits(atom.mask))
                atoms.append(replace(atom, writers=writers))
            changers = union(atom.writers for atom in atoms)
            cells = sum(1 << cell for cell in rule.cells)
            for agent, effect in enumerate(effects):
                does = effect.writes if rule.shared else effect.reads | effect.writes
                if does & cells:
                    rule = replace(rule, concerned=rule.concerned | 1 << agent)
            self.rules[number] = replace(rule, atoms=tuple(atoms), changers=changers)
        for number, rule in enumerate(self.rules):
            rivals = union(self.rules[n].changers for n in self.of_name[rule.name])
            self.rules[number] = replace(rule, concerned=rule.concerned | rivals)

    # --- checks ----------------------------------------------------------------

    def broken_at_first(self, memory: Sequence[int]) -> list[Broken]:
        """The facts that do not hold of the first state."""
        return [
            Broken(rule.name, 0, -1, min(rule.cells), TWICE)
            for rule in self.rules
            if rule.holds(memory) and self._twice(rule, memory)
        ]

    def broken(
        self,
        agent: int,
        point: int,
        memory: Sequence[int],
        reads: Iterable[int],
        writes: Iterable[int],
        afters: Iterable[Sequence[int]],
    ) -> list[Broken]:
        """What an attempt of a step breaks: it begins at ``point``, touches these cells of
        ``memory``, and comes to ``afters``."""
        result, writes = [], set(writes)
        for cell in sorted(writes.union(reads)):
            if cell not in self.of_cell:
                continue
            mine = self._mine(agent, cell, memory)
            for number in self._others(agent, cell, cell in writes, mine):
                rule = self.rules[number]
                if rule.holds(memory):
                    how = WRITTEN if rule.shared else TOUCHED
                    result.append(Broken(rule.name, point, agent, cell, how))
        for after in afters:
            for number in self.changed(agent, memory, after, writes):
                rule = self.rules[number]
                before, now = rule.holds(memory), rule.holds(after)
                if before and not now and not rule.enders >> agent & 1:
                    result.append(Broken(rule.name, point, agent, min(rule.cells), ENDED))
                if now and not before and self._twice(rule, after):
                    result.append(Broken(rule.name, point, agent, min(rule.cells), TWICE))
        return result

    def _twice(self, rule: Rule, memory: Sequence[int]) -> bool:
        """Whether what it speaks of has another owner too."""
        if rule.shared:
            return False
        return any(
            other.keepers != rule.keepers and other.cells & rule.cells and other.holds(memory)
            for other in (self.rules[n] for n in self.of_name[rule.name])
        )

    def changed(
        self, agent: int, before: Sequence[int], after: Sequence[int], writes: Iterable[int]
    ) -> dict[int, bool]:
        """The rules of which a step changes an atom, in order, with whether it makes one
        false; but for those that cannot hold before it nor after it, by atoms that nobody
        else may change."""
        found: dict[int, bool] = {}
        for cell in writes:
            if before[cell] == after[cell]:
                continue
            for number, at in self.of_atom.get(cell, ()):
                atom = self.rules[number].atoms[at]
                held = atom.holds(before)
                if held != atom.holds(after):
                    found[number] = found.get(number, False) or held
        return {
            n: found[n]
            for n in sorted(found)
            if not self._idle(agent, self.rules[n], before, after)
        }

    def _idle(self, agent: int, rule: Rule, before: Sequence[int], after: Sequence[int]) -> bool:
        own = [atom for atom in rule.atoms if not atom.writers & ~(1 << agent)]
        return not all(a.holds(before) for a in own) and not all(a.holds(after) for a in own)

    def _others(self, agent: int, cell: int, written: bool, mine: list[int]) -> list[int]:
        """The rules that an agent would break by what it does to a cell, if they held.
        Where the cell is its CPU's, by the rules ``mine``, nobody else has it by the same
        fact."""
        names = {self.rules[number].name for number in mine}
        return [
            number
            for number in self.of_cell[cell]
            if not self.rules[number].keepers >> agent & 1
            and (written or not self.rules[number].shared)
            and self.rules[number].name not in names
        ]

    def _mine(
        self, agent: int, cell: int, memory: Sequence[int], changed: Collection[int] = ()
    ) -> list[int]:
        """The rules by which a cell is the agent's CPU's, before a step and behind it."""
        return [
            number
            for number in self.of_cell[cell]
            if self._keeps(agent, number, memory) and number not in changed
        ]

    def _keeps(self, agent: int, number: int, memory: Sequence[int]) -> bool:
        rule = self.rules[number]
        return bool(rule.keepers >> agent & 1) and not rule.shared and rule.holds(memory)

    # --- conflicts ---------------------------------------------------------------

    def touchers(
        self,
        agent: int,
        cell: int,
        written: bool,
        memory: Sequence[int],
        changed: Collection[int],
        by_tables: int,
    ) -> int:
        """Who conflicts with what a step does to a cell, and may do so ``by_tables``;
        ``changed`` are the rules that the step changes."""
        result = by_tables & ~(1 << agent)
        if cell in self.of_cell:
            result = self.narrowed(agent, cell, written, memory, changed, result)
            mine = self._mine(agent, cell, memory, changed)
            for number in self._others(agent, cell, written, mine):
                result |= self.rules[number].changers
            # Once it is its CPU's no more, another one may have it.
            for number in mine:
                rule = self.rules[number]
                result |= rule.enders & rule.changers & ~(1 << agent)
        return result

    def narrowed(
        self,
        agent: int,
        cell: int,
        written: bool,
        memory: Sequence[int],
        changed: Collection[int],
        by_tables: int,
    ) -> int:
        """Of those who may write or touch a cell, who may while ``agent`` does not move: the
        keepers of a rule that holds, and who may end that."""
        mine, fewest = 1 << agent, by_tables & ~(1 << agent)
        for number in self.of_cell.get(cell, ()):
            rule = self.rules[number]
            left = (by_tables & rule.keepers | rule.enders) & ~mine
            if (
                (rule.keepers & mine or (rule.shared and not rule.keepers))
                and not (rule.shared and written)
                and left.bit_count() < fewest.bit_count()
                and number not in changed
                and rule.holds(memory)
            ):
                fewest = left
        return fewest

    def disturbed(self, changed: Mapping[int, bool]) -> int:
        """Who may break one of the rules that a step may end, or a rule of its name."""
        return union(self.rules[number].concerned for number, ends in changed.items() if ends)

    # --- for the native engine -----------------------------------------------------

    def numbers(self, memory: int) -> list[int]:
        """All of it as runtime/main.c reads it, for a memory of so many cells."""
        if not self.rules:
            return [0]
        first = list(itertools.accumulate((len(rule.atoms) for rule in self.rules), initial=0))
        result = [len(self.rules), len(self.names), first[-1]]
        for rule in self.rules:
            result += [rule.name, int(rule.shared), rule.keepers, rule.enders, rule.changers]
            result += [rule.concerned, min(rule.cells), len(rule.atoms)]
            for atom in rule.atoms:
                result += [atom.cell, atom.mask, atom.value, int(atom.equal), atom.writers]
        atoms = {
            cell: [first[rule] + at for rule, at in found] for cell, found in self.of_atom.items()
        }
        for by_cell in (self.of_cell, atoms):
            listed = [by_cell.get(cell, []) for cell in range(memory)]
            ends = list(itertools.accumulate(map(len, listed), initial=0))
            result += [ends[-1], *ends, *itertools.chain.from_iterable(listed)]
        return result

    # --- messages ------------------------------------------------------------------

    def text(self, program: Program, code: Code, broken: Broken) -> str:
        """What is wrong with a fact, in words."""
        cell = next(c.name for c in self.layout.cells if c.index == broken.cell)
        who, where = "", "at first"
        if broken.agent >= 0:
            function, item = code.places[broken.point]
            who = program.agents[broken.agent].name
            where = f"in {function} at {item.loc}"
        what = {
            TOUCHED: f"{who} touches {cell}, which is not its own, {where}",
            WRITTEN: f"{who} writes {cell}, which is not its own, {where}",
            ENDED: f"{who} ends that {cell} is another's, {where}",
            TWICE: f"{cell} has two owners {where}",
        }
        return f'ownership fact "{self.names[broken.name]}" does not hold: {what[broken.how]}'
