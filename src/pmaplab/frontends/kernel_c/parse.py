"""Parsing the files of a tree that hold the functions under check."""

from __future__ import annotations

import tempfile
from collections.abc import Container
from pathlib import Path

from pmaplab.errors import InputError, TreeError
from pmaplab.frontends.kernel_c import cache, clang
from pmaplab.frontends.kernel_c.api import Api
from pmaplab.frontends.kernel_c.headers import LINKS, stand_in, write_headers
from pmaplab.frontends.kernel_c.nodes import Parsed, Unit
from pmaplab.frontends.kernel_c.source import SourceTree, with_line


class _Leaves(Container[str]):
    """The functions whose meaning the table gives: their bodies are not read."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.api.leaf(name)


def parse_tree(tree: SourceTree, api: Api, maxcpu: int, limits: dict[str, int]) -> Parsed:
    """Parse the files that ``api`` names, or take them from the cache.

    ``limits`` are macros that get another value than the tree's.  Raises
    TreeError with the place for C that does not parse.
    """
    key = cache.key_of(tree, api, maxcpu, limits)
    parsed = cache.load(key, tree)
    if parsed is None:
        parsed = _parse_all(tree, api, maxcpu, limits)
        cache.store(key, tree, parsed)
    return parsed


def _parse_all(tree: SourceTree, api: Api, maxcpu: int, limits: dict[str, int]) -> Parsed:
    units: list[Unit] = []
    missing: dict[str, str] = {}
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
        headers = sorted({show(path) for unit in units for path in unit.includes})
    return _joined(units, missing, headers)


def _parse(request: clang.Request, links: Path, tree: SourceTree, missing: dict[str, str]) -> Unit:
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
            missing[error.name] = text
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        except TreeError as error:
            raise with_line(error, tree) from None


def _joined(units: list[Unit], missing: dict[str, str], headers: list[str]) -> Parsed:
    result = Parsed(
        tunables=frozenset[str]().union(*(unit.tunables for unit in units)),
        missing=tuple(name for name, text in missing.items() if text),
        absent=tuple(missing),
        headers=tuple(headers),
    )
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
