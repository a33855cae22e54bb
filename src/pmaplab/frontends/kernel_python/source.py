"""Kernel Python files: reading, parsing, and pointing at a place in them."""

from __future__ import annotations

import ast
import functools
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from pmaplab.errors import InputError, KernelPythonError, Location, PmaplabError

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
# The folders of the package that hold kernel Python.
KERNEL_PYTHON = ("kernels", "machine", "properties", "reviews", "scenarios")


class Source(Protocol):
    """The text that a location points into."""

    @property
    def name(self) -> str: ...

    def line(self, number: int) -> str: ...

    def located(self, error: PmaplabError) -> PmaplabError: ...


@dataclass(frozen=True)
class SourceFile:
    """One parsed file; ``name`` is what messages and traces call it."""

    name: str
    text: str
    tree: ast.Module

    @functools.cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @functools.cached_property
    def names(self) -> frozenset[str]:
        """What stands at the top of the file: declared there, or imported."""
        found: set[str] = set()
        for node in self.tree.body:
            match node:
                case ast.ImportFrom(names=aliases):
                    found.update(alias.name for alias in aliases)
                case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                    found.add(name)
                case ast.AnnAssign(target=ast.Name(id=name)):
                    found.add(name)
        return frozenset(found)

    def line(self, number: int) -> str:
        lines = self.lines
        return lines[number - 1] if 0 < number <= len(lines) else ""

    def location(self, node: ast.AST) -> Location:
        """The place of ``node``; a node of several lines ends with its first."""
        line = getattr(node, "lineno", 1)
        text = self.line(line)
        start = _column(text, getattr(node, "col_offset", 0))
        if getattr(node, "end_lineno", line) == line:
            end = _column(text, getattr(node, "end_col_offset", start) or 0)
        else:
            end = len(text.rstrip()) + 1
        return Location(self.name, line, start, max(end, start + 1))

    def fail(self, node: ast.AST, message: str, advice: str | None = None) -> NoReturn:
        """Raise a KernelPythonError that points at ``node``."""
        location = self.location(node)
        raise KernelPythonError(
            message, location=location, source=self.line(location.line), advice=advice
        )

    def located(self, error: PmaplabError) -> KernelPythonError:
        """An error of the IR as one of the source, with its line."""
        assert error.location is not None
        return KernelPythonError(
            error.message.replace("%", ""),
            location=error.location,
            source=self.line(error.location.line),
            advice=error.advice,
        )


def _column(text: str, offset: int) -> int:
    """A column counted in characters from 1, from ast's UTF-8 byte offset."""
    if text.isascii():
        return min(offset, len(text)) + 1
    return len(text.encode()[:offset].decode(errors="replace")) + 1


def read_source(path: Path, name: str) -> SourceFile:
    """Read and parse one file.

    Raises InputError when it cannot be read and KernelPythonError, with the
    place, when it is not Python.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{name}: is a directory, not a kernel Python file") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}: not UTF-8 text (byte {error.start})",
            advice="kernel Python files are UTF-8",
        ) from None
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}") from None
    return parse_source(text, name)


def parse_source(text: str, name: str) -> SourceFile:
    """Parse ``text``; raises KernelPythonError with the place of a mistake."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, filename=name)
            # What only Python's compiler finds: `break` outside of a loop,
            # two parameters of one name, a late `global`.
            compile(tree, name, "exec", dont_inherit=True)
    except SyntaxError as error:
        line = error.lineno or 1
        lines = text.split("\n")
        source = lines[line - 1] if line <= len(lines) else ""
        column = error.offset or 1
        end = error.end_offset or column + 1
        raise KernelPythonError(
            f"syntax error: {error.msg}",
            location=Location(name, line, column, end if error.end_lineno == line else column + 1),
            source=source,
            advice="kernel Python is a subset of Python: the file must parse as Python first",
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise KernelPythonError(
            f"cannot be parsed: {error}", location=Location(name, 1), source=None
        ) from None
    return SourceFile(name, text, tree)


def package_module(module: str) -> Path | None:
    """The file of a module of this package that may hold kernel Python."""
    parts = module.split(".")
    if parts[0] != "pmaplab" or len(parts) < 3 or parts[1] not in KERNEL_PYTHON:
        return None
    path = PACKAGE_ROOT.joinpath(*parts[1:]).with_suffix(".py")
    return path if path.is_file() else None


def display_name(path: Path) -> str:
    """How messages call ``path``: below the package, or as the user gave it."""
    try:
        return f"pmaplab/{path.resolve().relative_to(PACKAGE_ROOT).as_posix()}"
    except ValueError:
        return str(path)


@functools.cache
def _module_source(path: Path) -> SourceFile:
    """A file of this package, which does not change while it runs."""
    return read_source(path, display_name(path))


def load_modules(names: Iterable[str]) -> list[SourceFile]:
    """The named modules of this package and all that they import, imports
    first, each once."""
    found: dict[str, SourceFile] = {}

    def visit(name: str) -> None:
        if name in found:
            return
        path = package_module(name)
        if path is None:
            raise InputError(f"{name}: no such kernel Python module")
        source = _module_source(path)
        found[name] = source
        for imported in imports(source):
            visit(imported)

    for name in names:
        visit(name)
    return list(found.values())


# What an editor and a type checker need, and the front end does not look at.
LANGUAGE_MODULES = ("__future__", "typing", "pmaplab.kernel_python")


def imports(source: SourceFile) -> list[str]:
    """The kernel Python modules that ``source`` imports from.

    Raises KernelPythonError for any other import.
    """
    result: list[str] = []
    for node in source.tree.body:
        if isinstance(node, ast.Import):
            source.fail(
                node,
                "kernel Python imports names, not modules",
                "write `from pmaplab.... import NAME`",
            )
        if not isinstance(node, ast.ImportFrom):
            continue
        module = node.module or ""
        if any(alias.name == "*" or alias.asname for alias in node.names):
            source.fail(
                node, "import the names one by one, without `as`", "list the names that are used"
            )
        if node.level or (module not in LANGUAGE_MODULES and package_module(module) is None):
            source.fail(
                node,
                f"{'.' * node.level}{module} is no kernel Python module",
                "import from pmaplab.kernel_python, pmaplab.machine, pmaplab.kernels, ...",
            )
        if module not in LANGUAGE_MODULES:
            result.append(module)
    return result
