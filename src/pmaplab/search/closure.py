"""What agents may do, and whose memory is whose, as permutations keep them.

Where states that are images of each other stand for one another, what is known of a
step must be known of its images as well.  So what any agent may do is what it, or an
image of it, may do there; and a fact of which a rule has an image that is none of the
rules is not used.  docs/reductions.md has the argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pmaplab.ir.effects import Effect, bits, union
from pmaplab.search.ownership import Atom, Rule, Rules
from pmaplab.search.symmetry import DECLARED, PLAIN, POINTER, STAYS, WORD, Permutation, Symmetry


def inverse(to: Sequence[int]) -> tuple[int, ...]:
    """Where each comes from."""
    result = [0] * len(to)
    for number, place in enumerate(to):
        result[place] = number
    return tuple(result)


def moved(numbers: int, to: Sequence[int]) -> int:
    """Where each of a set goes."""
    return union(1 << to[number] for number in bits(numbers))


def closed_effects(effects: Sequence[Effect], permutations: Sequence[Permutation]) -> list[Effect]:
    """By agent, what it or any of its images may do, in images."""
    result = [replace(effect) for effect in effects]
    for p in permutations:
        for agent, effect in enumerate(effects):
            image = result[p.agents[agent]]
            image.reads |= moved(effect.reads, p.cells)
            image.unguarded |= moved(effect.unguarded, p.cells)
            image.writes |= moved(effect.writes, p.cells)
            image.enters |= effect.enters
            image.leaves |= effect.leaves
    return result


def closed_reads(reads: Sequence[int], permutations: Sequence[Permutation]) -> list[int]:
    """The same of the cells that are read for each CPU."""
    result = list(reads)
    for p in permutations:
        for cpu, cells in enumerate(reads):
            result[p.cpus[cpu]] |= moved(cells, p.cells)
    return result


def closed_guards(guards: Sequence[int], permutations: Sequence[Permutation]) -> list[int]:
    """By agent a cell, or 0: only where that of each image is its image."""
    broken = {
        each
        for p in permutations
        for agent, cell in enumerate(guards)
        if guards[p.agents[agent]] != p.cells[cell]
        for each in (agent, p.agents[agent])
    }
    return [0 if agent in broken else cell for agent, cell in enumerate(guards)]


def regions_that_differ(symmetry: Symmetry, regions: int) -> int:
    """The regions in which some CPUs are for ever, and images of these are not; ``regions`` is
    the cell of the first CPU's."""
    return union(
        p.values[symmetry.maps[regions + cpu] - DECLARED].other
        for p in symmetry.permutations
        for cpu in range(len(p.cpus))
    )


def facts_not_kept(rules: Rules, symmetry: Symmetry) -> frozenset[str]:
    """The names of the facts with a rule of which some image is no rule."""
    known = {_told(rule) for rule in rules.rules}
    return frozenset(
        rules.names[rule.name]
        for rule in rules.rules
        for p in symmetry.permutations
        if (image := _image(rule, symmetry, p)) is None or _told(image) not in known
    )


def _told(rule: Rule) -> tuple[object, ...]:
    """What makes two rules the same."""
    return (rule.name, rule.cells, rule.shared, frozenset(rule.atoms), rule.keepers, rule.enders)


def _image(rule: Rule, symmetry: Symmetry, p: Permutation) -> Rule | None:
    """The rule that holds of the image of a state where this one does of the state; None
    where there is none."""
    atoms = [_atom_image(atom, symmetry, p) for atom in rule.atoms]
    if None in atoms:
        return None
    return replace(
        rule,
        cells=frozenset(p.cells[cell] for cell in rule.cells),
        atoms=tuple(atom for atom in atoms if atom is not None),
        keepers=moved(rule.keepers, p.agents),
        enders=moved(rule.enders, p.agents),
    )


def _atom_image(atom: Atom, symmetry: Symmetry, p: Permutation) -> Atom | None:
    number = symmetry.maps[atom.cell]
    if number == STAYS:
        return atom
    to = replace(atom, cell=p.cells[atom.cell])
    if number == PLAIN:
        return to
    if atom.mask == WORD:
        # Values are mapped one to one.
        return replace(to, value=p.value(number, atom.value))
    if number == POINTER:
        return None
    values = p.values[number - DECLARED]
    if values.table is not None:
        return to if all(a == b for a, b in values.table.items()) else None
    if values.other & atom.mask:
        return None
    # Bits change places.
    mask, value = (values.image(each ^ values.other) for each in (atom.mask, atom.value))
    return replace(to, mask=mask, value=value)
