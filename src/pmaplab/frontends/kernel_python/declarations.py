"""What the files of a system declare, before any of it is given a type.

All files of a system share one name space, as the objects of a kernel do.  A
*replacement* file (a proposal, a user's kernel) may declare a name again: its
declaration takes the place of the earlier one.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field

from pmaplab.frontends.kernel_python.source import SourceFile


@dataclass(frozen=True)
class Declaration:
    """A name with the node that declares it; ``kind`` says how."""

    name: str
    kind: str
    source: SourceFile
    node: ast.ClassDef | ast.FunctionDef | ast.AnnAssign


@dataclass(frozen=True)
class Registration:
    """A SYSINIT, SYSCTL or must_reach statement at the top of a file."""

    call: ast.Call
    source: SourceFile


@dataclass
class Declarations:
    """All declarations of a system; later files are added last."""

    names: dict[str, Declaration] = field(default_factory=dict)
    sysinits: dict[str, Registration] = field(default_factory=dict)
    sysctls: dict[str, Registration] = field(default_factory=dict)
    must_reach: list[Registration] = field(default_factory=list)
    # Top-level `if`: the condition must be known before the body counts.
    conditional: list[tuple[ast.If, SourceFile, bool]] = field(default_factory=list)

    def add_file(self, source: SourceFile, *, replaces: bool) -> None:
        """Collect ``source``; raises KernelPythonError for what may not stand
        at the top of a file and for a name that is declared twice."""
        here: set[str] = set()
        for index, node in enumerate(source.tree.body):
            if isinstance(node, ast.Import | ast.ImportFrom):
                continue
            if index == 0 and is_docstring(node):
                continue
            match node:
                case ast.ClassDef(name=name):
                    self._declare(name, "struct", source, node, here, replaces)
                case ast.FunctionDef(name=name):
                    self._declare(name, "function", source, node, here, replaces)
                case ast.AnnAssign(target=ast.Name(id=name)):
                    kind = _kind_of_variable(node)
                    self._declare(name, kind, source, node, here, replaces)
                case ast.Expr(value=ast.Call() as call):
                    self.register(call, source, replaces=replaces)
                case ast.If():
                    self.conditional.append((node, source, replaces))
                case ast.Assign():
                    source.fail(
                        node,
                        "a variable at the top of a file needs a type",
                        "write `NAME: Final = VALUE` for a constant, "
                        "`name: TYPE = static()` for an object",
                    )
                case _:
                    source.fail(
                        node,
                        f"{_describe(node)} cannot stand at the top of a kernel Python file",
                        "structures (class), functions, objects, constants, SYSINIT, SYSCTL "
                        "and must_reach can",
                    )

    def _declare(
        self,
        name: str,
        kind: str,
        source: SourceFile,
        node: ast.ClassDef | ast.FunctionDef | ast.AnnAssign,
        here: set[str],
        replaces: bool,
    ) -> None:
        earlier = self.names.get(name)
        if earlier is not None and (name in here or not replaces):
            place = earlier.source.location(earlier.node)
            source.fail(
                node,
                f"{name} is declared twice, first at {place}",
                "all files of a kernel share one name space; rename one of the two",
            )
        if earlier is not None and earlier.kind != kind:
            place = earlier.source.location(earlier.node)
            source.fail(
                node, f"{name} is declared as {kind} here, but as {earlier.kind} at {place}"
            )
        here.add(name)
        self.names[name] = Declaration(name, kind, source, node)

    def register(self, call: ast.Call, source: SourceFile, *, replaces: bool) -> None:
        """Note a SYSINIT, SYSCTL, SYSCTL_COUNTER or must_reach statement."""
        match call.func:
            case ast.Name(id="must_reach"):
                if len(call.args) != 1 or call.keywords:
                    source.fail(call, "must_reach takes 1 argument")
                string(source, call.args[0])
                self.must_reach.append(Registration(call, source))
            case ast.Name(id="SYSINIT"):
                self._by_name(self.sysinits, call, source, 4, replaces)
            case ast.Name(id="SYSCTL" | "SYSCTL_COUNTER"):
                self._by_name(self.sysctls, call, source, 2, replaces)
            case _:
                source.fail(
                    call,
                    f"{ast.unparse(call.func)}(...) cannot stand at the top of a file",
                    "only SYSINIT, SYSCTL, SYSCTL_COUNTER and must_reach can; "
                    "put other statements into a function",
                )

    def _by_name(
        self,
        table: dict[str, Registration],
        call: ast.Call,
        source: SourceFile,
        arguments: int,
        replaces: bool,
    ) -> None:
        if len(call.args) != arguments or call.keywords:
            source.fail(call, f"{ast.unparse(call.func)} takes {arguments} arguments")
        name = string(source, call.args[0])
        if name in table and not replaces:
            place = table[name].source.location(table[name].call)
            source.fail(call, f"{name!r} is registered twice, first at {place}")
        table[name] = Registration(call, source)

    def resolve_conditionals(self, is_true: Callable[[SourceFile, ast.expr], bool]) -> None:
        """Take the statements below each top-level ``if`` that holds."""
        for node, source, replaces in self.conditional:
            for body in (node.body, node.orelse):
                for statement in body:
                    if not (
                        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
                    ):
                        source.fail(
                            statement,
                            "only SYSINIT, SYSCTL and must_reach can stand below a top-level `if`",
                            "put the condition inside of the function",
                        )
            for statement in node.body if is_true(source, node.test) else node.orelse:
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                    self.register(statement.value, source, replaces=replaces)
        self.conditional.clear()


def string(source: SourceFile, node: ast.expr) -> str:
    """The value of a string literal."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    source.fail(node, "a string literal is expected here", 'write it out: "..."')


def is_name(node: ast.expr | None, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _kind_of_variable(node: ast.AnnAssign) -> str:
    annotation = node.annotation
    if is_name(annotation, "TypeAlias"):
        return "type"
    head = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return "constant" if is_name(head, "Final") else "object"


def _describe(node: ast.stmt) -> str:
    return {
        "AsyncFunctionDef": "an async function",
        "For": "a loop",
        "While": "a loop",
        "With": "a with statement",
        "Try": "a try statement",
        "Expr": "an expression",
    }.get(type(node).__name__, f"a {type(node).__name__.lower()} statement")
