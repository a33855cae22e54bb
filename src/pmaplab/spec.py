"""What one run is about: enough to build the same system again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol

from pmaplab.errors import InputError, PmaplabError
from pmaplab.frontends.kernel_python.source import Source, SourceFile, display_name, read_source
from pmaplab.ir.nodes import PROGRAM_REDUCTIONS
from pmaplab.jsondata import Node
from pmaplab.machine.modes import Mode, find_mode
from pmaplab.reviews.registry import proposal_files
from pmaplab.system import Bounds, System, build_system, pcid_limits
from pmaplab.tree import TreeSpec, check_mode, load_program

# Not in older files, which were all without.
LATER_BOUNDS = ("pages", "store_buffer", "invpcid_drains", "walker_forwards", "preemptions")


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One system by name.

    ``scenario`` is a name or the path of a FILE.py; ``proposal`` None stands
    for the reference kernel; ``kernel`` and ``exemptions`` are paths of the
    user's files.  ``digests`` holds the SHA-256 of the user's files, by path,
    as they were when the run was made; it is empty before.  ``without`` are the
    reductions of programs that are left out (:data:`pmaplab.ir.nodes.PROGRAM_REDUCTIONS`).
    With ``canonical_pcids``, PCIDs that count no more are forgotten (:mod:`pmaplab.pcids`).
    """

    scenario: str = "boot"
    mode: str = "nopcid"
    bounds: Bounds = field(default_factory=Bounds)
    proposal: str | None = None
    kernel: str | None = None
    exemptions: str | None = None
    tree: TreeSpec | None = None
    digests: tuple[tuple[str, str], ...] = ()
    without: tuple[str, ...] = ()
    canonical_pcids: bool = False

    @property
    def features(self) -> Mode:
        """The mode; raises UsageError when there is none of that name."""
        return find_mode(self.mode)

    @property
    def user_files(self) -> tuple[str, ...]:
        """The paths of the user's own files."""
        scenario = self.scenario if self.scenario.endswith(".py") else None
        own = tuple(path for path in (self.kernel, scenario, self.exemptions) if path is not None)
        return own if self.tree is None else (*own, *self.tree.user_files)

    @property
    def kernel_name(self) -> str:
        """What is checked, in words."""
        if self.tree is not None:
            patched = f" with {', '.join(self.tree.patches)}" if self.tree.patches else ""
            return f"the tree {self.tree.folder}{patched}"
        if self.kernel is not None:
            return f"the kernel of {self.kernel}"
        if self.proposal is not None:
            return f"proposal {self.proposal}"
        return "the reference kernel"

    def pinned(self) -> RunSpec:
        """The same run with the digests of the user's files as they are now.

        Raises InputError for a file that cannot be read.
        """
        return replace(self, digests=tuple((path, digest(path)) for path in self.user_files))

    def changed_files(self) -> list[str]:
        """The user's files that are not what they were when it was pinned.

        Raises InputError for a file that cannot be read.
        """
        known = dict(self.digests)
        return [path for path in self.user_files if digest(path) != known.get(path)]

    def build(self) -> System:
        """Lower and verify the system.

        Raises a PmaplabError for whatever is wrong with what the spec names.
        """
        replacements: list[SourceFile] = []
        if self.proposal is not None:
            replacements += proposal_files(self.proposal)
        if self.kernel is not None:
            path = Path(self.kernel)
            replacements.append(read_source(path, display_name(path)))
        exemptions = None if self.exemptions is None else Path(self.exemptions)
        program = None
        if self.tree is not None:
            program = load_program(self.tree, self.bounds.maxcpu, pcid_limits(self.bounds))
            check_mode(program, self.features)
        return build_system(
            self.scenario,
            tuple(replacements),
            self.features,
            self.bounds,
            exemptions,
            program,
            self.without,
            self.canonical_pcids,
        )

    def to_json(self) -> dict[str, Any]:
        """JSON data; a user's file is an object with its path and SHA-256."""
        known = dict(self.digests)

        def named(path: str | None) -> dict[str, str] | str | None:
            if path is None or path not in self.user_files:
                return path
            return {"path": path, "sha256": known.get(path) or digest(path)}

        return {
            "proposal": self.proposal,
            "kernel": named(self.kernel),
            "scenario": named(self.scenario),
            "mode": self.mode,
            "bounds": asdict(self.bounds),
            "exemptions": named(self.exemptions),
            "tree": None if self.tree is None else self._tree_json(self.tree, known),
            # Steps are others then; a file without it is of a program with all of them.
            **({"without": list(self.without)} if self.without else {}),
            **({"canonical_pcids": True} if self.canonical_pcids else {}),
        }

    def _tree_json(self, tree: TreeSpec, known: dict[str, str]) -> dict[str, Any]:
        """The folder, the files taken out of it, patches and tables, each with
        its SHA-256."""
        return {
            "folder": tree.folder,
            "patches": list(tree.patches),
            "tables": list(tree.tables),
            "files": [
                {"path": path, "sha256": known.get(path) or digest(path)}
                for path in tree.user_files
            ],
        }

    @classmethod
    def from_json(cls, node: Node) -> RunSpec:
        """The inverse of :meth:`to_json`; raises TraceError with the place."""
        digests: list[tuple[str, str]] = []

        def file(node: Node | None) -> str | None:
            if node is None:
                return None
            path = node.get("path").text()
            digests.append((path, node.get("sha256").text()))
            return path

        scenario = node.get("scenario")
        named = isinstance(scenario.value, str)
        if named and scenario.text().endswith(".py"):
            scenario.fail("a file is given as an object with path and sha256")
        proposal = node.optional("proposal")
        spec = cls(
            scenario=scenario.text() if named else file(scenario) or "",
            mode=node.get("mode").text(),
            bounds=_bounds(node.get("bounds")),
            proposal=None if proposal is None else proposal.text(),
            kernel=file(node.optional("kernel")),
            exemptions=file(node.optional("exemptions")),
            tree=_tree(node.optional("tree"), digests),
            without=_without(node.get("without")) if node.has("without") else (),
            canonical_pcids=node.has("canonical_pcids") and node.get("canonical_pcids").flag(),
        )
        if not named and not spec.scenario.endswith(".py"):
            scenario.fail("a scenario's file is called FILE.py")
        return replace(spec, digests=tuple(digests))


class HasSources(Protocol):
    """A system, or what stands for one."""

    @property
    def sources(self) -> Mapping[str, Source]: ...


@contextmanager
def showing_source(system: HasSources) -> Iterator[None]:
    """Give the errors of a run of ``system`` the source line of their place."""
    try:
        yield
    except PmaplabError as error:
        source = system.sources.get(error.location.file) if error.location else None
        if source is not None and error.location is not None and error.source is None:
            error.source = source.line(error.location.line)
        raise


def _tree(node: Node | None, digests: list[tuple[str, str]]) -> TreeSpec | None:
    if node is None:
        return None
    for file in node.get("files").items():
        digests.append((file.get("path").text(), file.get("sha256").text()))
    return TreeSpec(
        node.get("folder").text(),
        tuple(item.text() for item in node.get("patches").items()),
        tuple(item.text() for item in node.get("tables").items()),
    )


def _without(node: Node) -> tuple[str, ...]:
    for item in node.items():
        if item.text() not in PROGRAM_REDUCTIONS:
            item.fail(f"there is no reduction {item.text()!r}")
    return tuple(item.text() for item in node.items())


def _bounds(node: Node) -> Bounds:
    values: dict[str, int | None] = {}
    for item in fields(Bounds):
        if item.name in LATER_BOUNDS and not node.has(item.name):
            continue
        # None: as many PCIDs as the processor has; no store buffers.
        open_ended = item.name in ("operations", "pcids", "store_buffer")
        value = node.optional(item.name) if open_ended else node.get(item.name)
        values[item.name] = None if value is None else value.number()
    return Bounds(**values)  # type: ignore[arg-type]


def digest(path: str) -> str:
    """The SHA-256 of a file, in hex.

    Raises InputError when it cannot be read, or is no regular file: a pipe
    could not be read a second time.
    """
    try:
        file = Path(path)
        if file.is_dir():
            raise InputError(f"{path}: is a directory, not a file")
        if file.exists() and not file.is_file():
            raise InputError(f"{path}: not a regular file", advice="copy it to a file first")
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{path!r} is no file name: {error}") from None
