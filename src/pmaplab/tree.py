"""A kernel's own C as the kernel under check: its tree, patches, tables."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

from pmaplab.errors import UsageError
from pmaplab.frontends.kernel_c.api import Api, read_api
from pmaplab.frontends.kernel_c.mutate import Mutation, mutated
from pmaplab.frontends.kernel_c.nodes import CFunction, CVariable, Node, Parsed
from pmaplab.frontends.kernel_c.parse import parse_tree
from pmaplab.frontends.kernel_c.patch import apply_patches
from pmaplab.frontends.kernel_c.program import CProgram
from pmaplab.frontends.kernel_c.source import SourceTree, find_tree
from pmaplab.frontends.kernel_c.survey import Survey, SurveyProgram
from pmaplab.machine.modes import MODES, Mode
from pmaplab.system import Bounds, lower_only, pcid_limits

# The scenarios that the C front end can take a tree through, and those that
# commands take where none is named.
SCENARIOS = ("boot", "switch", "activate", "shootdown")
USUAL_SCENARIOS = ("boot", "switch")


@dataclass(frozen=True, slots=True)
class TreeSpec:
    """A tree by name: its folder, patches and tables as paths, in order."""

    folder: str
    patches: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    # A statement that is broken, for `pmaplab mutate`.
    mutation: Mutation | None = None

    @property
    def user_files(self) -> tuple[str, ...]:
        """The user's files that decide what is checked."""
        tree = find_tree(self.folder)
        own = tuple(str(tree.root / name) for name in read_api(self.tables).sources)
        return (*own, *self.patches, *self.tables)

    def opened(self) -> SourceTree:
        """The tree with its patches applied; raises InputError."""
        return apply_patches(find_tree(self.folder), self.patches)


def load_program(spec: TreeSpec, maxcpu: int, limits: tuple[tuple[str, int], ...]) -> CProgram:
    """The C of a tree, parsed; ``limits`` are macros with values of their own.

    Raises a PmaplabError for whatever is wrong with the tree, a patch, a table.
    """
    api, tree, parsed = _parsed(replace(spec, mutation=None), maxcpu, limits)
    if spec.mutation is not None:
        parsed = mutated(parsed, spec.mutation)
    return CProgram(tree, api, parsed)


@functools.lru_cache(maxsize=8)
def _parsed(
    spec: TreeSpec, maxcpu: int, limits: tuple[tuple[str, int], ...]
) -> tuple[Api, SourceTree, Parsed]:
    api = read_api(spec.tables)
    tree = spec.opened()
    return api, tree, parse_tree(tree, api, maxcpu, dict(limits))


def survey(spec: TreeSpec, bounds: Bounds) -> Survey:
    """What is in a tree, in all modes that it has."""
    limits = pcid_limits(bounds)
    api, tree, parsed = _parsed(spec, bounds.maxcpu, limits)
    result = Survey(tree.release, missing=parsed.missing)
    for mode in MODES:
        program = SurveyProgram(tree, api, parsed)
        if missing_features(program, mode):
            result.absent_modes.append(mode.name)
            continue
        result.modes.append(mode.name)
        lower_only(program, mode, bounds)
        result.problems.update(program.problems)
        result.functions.update((n, str(f.loc)) for n, f in program.lowered.items())
        for name, chosen in program.names.ifuncs.items():
            result.ifuncs.setdefault(name, {})[mode.name] = chosen
        result.modelled.update(program.notes.modelled)
        result.dropped.update(program.notes.dropped)
        result.outside.update(program.merged.outside_used)
    return result


def check_patches(spec: TreeSpec, maxcpu: int, limits: tuple[tuple[str, int], ...]) -> None:
    """Raises UsageError when the patches leave alone whatever is under check."""
    if not spec.patches:
        return
    before = _parsed(TreeSpec(spec.folder, (), spec.tables), maxcpu, limits)[2]
    after = _parsed(spec, maxcpu, limits)[2]
    if _meaning(before) == _meaning(after):
        names = " and ".join(spec.patches)
        raise UsageError(
            f"{names}: nothing that is under check changes",
            advice="`pmaplab tree DIR` lists the functions under check",
        )


def check_mode(program: CProgram, mode: Mode) -> None:
    """Raises UsageError for a mode that the release does not have."""
    missing = missing_features(program, mode)
    if missing:
        raise UsageError(
            f"the tree's release has no mode {mode.name}: it knows no {' and no '.join(missing)}",
            advice="--mode all checks the modes that it has",
        )


def missing_features(program: CProgram, mode: Mode) -> list[str]:
    """The features of a mode that the tree's C does not have."""
    wanted = {"pmap_pcid_enabled": mode.pcid, "invpcid_works": mode.invpcid, "pti": mode.pti}
    return [name for name, on in wanted.items() if on and name not in program.parsed.tunables]


def _meaning(parsed: Parsed) -> object:
    """What was parsed, without the places."""
    return (
        {name: _function(f) for name, f in parsed.functions.items()},
        {name: _variable(v) for name, v in parsed.variables.items()},
        parsed.ifuncs,
    )


def _function(function: CFunction) -> object:
    keys: dict[str, int] = {}
    parameters = tuple((p.name, p.type) for p in function.parameters)
    return parameters, function.result, _node(function.body, keys)


def _variable(variable: CVariable) -> object:
    initial = None if variable.initial is None else _node(variable.initial, {})
    return variable.type, variable.defined, initial


def _node(node: Node, keys: dict[str, int]) -> object:
    key = keys.setdefault(node.key, len(keys))
    inner = tuple(_node(child, keys) for child in node.children)
    # The line is part of the text of an assertion.
    value = None if node.kind == "INTEGER_LITERAL" and node.value == node.loc.line else node.value
    return node.kind, node.type, node.name, node.ref, key, value, inner
