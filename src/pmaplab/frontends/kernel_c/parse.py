"""Parsing the files of a tree that hold the functions under check."""

from __future__ import annotations

import tempfile
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path

from pmaplab.errors import InputError, TreeError
from pmaplab.frontends.kernel_c import clang
from pmaplab.frontends.kernel_c.api import Api
from pmaplab.frontends.kernel_c.headers import LINKS, stand_in, write_headers
from pmaplab.frontends.kernel_c.nodes import CFunction, CVariable, Unit
from pmaplab.frontends.kernel_c.source import SourceTree, with_line


@dataclass(frozen=True)
class Parsed:
    """The functions of a tree that may be reached, by name."""

    units: tuple[Unit, ...]
    functions: dict[str, CFunction] = field(default_factory=dict)
    variables: dict[str, CVariable] = field(default_factory=dict)
    ifuncs: dict[str, str] = field(default_factory=dict)
    tunables: frozenset[str] = frozenset()
    # Headers that are missing, and taken for something else.
    missing: tuple[str, ...] = ()


class _Leaves(Container[str]):
    """The functions whose meaning the table gives: their bodies are not read."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.api.leaf(name)


def parse_tree(tree: SourceTree, api: Api, maxcpu: int, limits: dict[str, int]) -> Parsed:
    """Parse the files that ``api`` names.

    ``limits`` are macros that get another value than the tree's.  Raises
    TreeError with the place for C that does not parse.
    """
    units: list[Unit] = []
    missing: dict[str, None] = {}
    for relative in api.sources:
        if not tree.has(relative):
            raise InputError(
                f"{tree.root}: has no {relative}",
                advice="the tree must be complete; [[source]] of a table names the files",
            )
    with tempfile.TemporaryDirectory(prefix="pmaplab-") as name:
        folder = Path(name).resolve()
        arguments = write_headers(tree, folder, maxcpu, limits)
        prefix = str(folder)

        def show(path: str) -> str:
            for link, real in LINKS.items():
                if path.startswith(f"{prefix}/links/{link}/"):
                    return f"sys/{real}/{path.removeprefix(f'{prefix}/links/{link}/')}"
            if path.startswith(prefix):
                return f"pmaplab/{Path(path).name}"
            return tree.show(path)

        for relative, roots in api.sources.items():
            request = clang.Request(
                path=tree.root / relative,
                text=tree.read(relative),
                arguments=arguments,
                show=show,
                roots=roots,
                leaves=_Leaves(api),
                changed={str(tree.root / other): text for other, text in tree.changed.items()},
            )
            units.append(_parse(request, folder / "links", tree, missing))
    return _joined(units, tuple(missing))


def _parse(request: clang.Request, links: Path, tree: SourceTree, missing: dict[str, None]) -> Unit:
    while True:
        try:
            return clang.parse(request)
        except clang.MissingHeader as error:
            text = stand_in(error.name)
            target = links / error.name
            if text is None or target.exists():
                raise InputError(
                    f"{request.show(str(request.path))} includes {error.name}, which is missing",
                    advice="the tree must be complete",
                ) from None
            if text:
                missing[error.name] = None
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        except TreeError as error:
            raise with_line(error, tree) from None


def _joined(units: list[Unit], missing: tuple[str, ...]) -> Parsed:
    tunables = frozenset[str]().union(*(unit.tunables for unit in units))
    result = Parsed(tuple(units), tunables=tunables, missing=missing)
    for unit in units:
        for name, function in unit.functions.items():
            known = result.functions.get(name)
            if known is not None and known.loc != function.loc:
                raise TreeError(
                    f"{name} is defined twice, also at {known.loc}",
                    location=function.loc,
                    advice="one of the two needs a meaning in a table",
                )
            result.functions[name] = function
        for name, variable in unit.variables.items():
            old = result.variables.get(name)
            if old is None or (variable.defined and not old.defined):
                result.variables[name] = variable
        result.ifuncs.update(unit.ifuncs)
    return result
