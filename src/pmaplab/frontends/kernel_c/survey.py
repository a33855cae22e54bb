"""What is in a tree: every function under check, lowered or not, and why not."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from pmaplab.errors import PmaplabError, TreeError
from pmaplab.frontends.kernel_c.program import CProgram
from pmaplab.frontends.kernel_python.scope import Scope
from pmaplab.frontends.kernel_python.values import Signature
from pmaplab.ir.nodes import Assert, Block, Const, Function, Program, Return
from pmaplab.ir.types import BOOL


@dataclass
class Survey:
    """What was found in all modes together.

    ``functions`` has the place of each function that is taken from the tree,
    ``ifuncs`` what an indirect one stands for by mode, ``problems`` the first
    construct of a function that is not supported.
    """

    release: str
    modes: list[str] = field(default_factory=list)
    absent_modes: list[str] = field(default_factory=list)
    functions: dict[str, str] = field(default_factory=dict)
    ifuncs: dict[str, dict[str, str]] = field(default_factory=dict)
    modelled: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    problems: dict[str, PmaplabError] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


class SurveyProgram(CProgram):
    """Lowers whatever it can, the functions that no scenario reaches too."""

    def begin(self, scope: Scope, signatures: dict[str, Signature]) -> None:
        self.problems: dict[str, PmaplabError] = {}
        super().begin(scope, signatures)

    def lower(self, name: str) -> set[str]:
        try:
            return super().lower(name)
        except TreeError as error:
            self.problems.setdefault(name, error)
            with contextlib.suppress(TreeError):
                self.lowered[name] = self._stub(name)
            return set()

    def finish(self) -> None:
        """Then also what the scenario has not asked for."""
        work = [name for name in self.api.roots if name in self.provided]
        while work:
            name = work.pop()
            if name not in self.lowered and name not in self.problems:
                work += sorted(self.lower(name) & self.provided)
        super().finish()

    def _stub(self, name: str) -> Function:
        """What stands for a function that cannot be lowered: it is never run."""
        signature = self.signature(name)
        kinds = dict(signature.parameters)
        loc = signature.location
        result = None if signature.result is None else Const(0, signature.result)
        never = Assert(Const(0, BOOL), "panic", "not supported", (), loc)
        block = Block("entry", (never,), Return(result, loc))
        names = tuple(kinds)
        atomic = signature.atomic
        return Function(name, names, kinds, signature.result, (block,), atomic, loc)

    def labelled(self, program: Program) -> Program:
        return program  # nothing of it is searched
