"""From kernel Python files to an IR program."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

from pmaplab.errors import InputError, KernelPythonError, Location, TreeError
from pmaplab.frontends.kernel_python.declarations import Declaration, Declarations, is_name, string
from pmaplab.frontends.kernel_python.intrinsics import RESERVED
from pmaplab.frontends.kernel_python.scope import Scope
from pmaplab.frontends.kernel_python.source import Source, SourceFile, imports
from pmaplab.frontends.kernel_python.statements import lower_function
from pmaplab.frontends.kernel_python.values import Signature
from pmaplab.ir.callgraph import find_recursion, reachable_functions
from pmaplab.ir.nodes import (
    INTERRUPT,
    THREAD,
    Agent,
    Block,
    Call,
    Function,
    GlobalDecl,
    InRegion,
    Invariant,
    Jump,
    Program,
    Step,
    StructDecl,
)
from pmaplab.ir.types import U32, Scalar
from pmaplab.ir.verify import EFFECTS
from pmaplab.ir.walk import expressions, instructions, items

# What marks the functions that agents run.
CONTEXTS = ("thread_context", "interrupt_context", "bring_up_context")
# The file of the exemptions' conditions, which are called by no other function.
CONDITIONS = "exemptions.toml (when)"


@dataclass(frozen=True)
class Sysctl:
    """A sysctl node: an atomic function, or a statistics counter to sum."""

    name: str
    function: str | None
    counter: str | None


@dataclass(frozen=True)
class Lowered:
    """A program before its regions are marked and its steps are placed."""

    program: Program
    bring_up: tuple[Agent, ...]
    sysctls: Mapping[str, Sysctl]
    sources: Mapping[str, Source]
    options_used: frozenset[str]


def compile_files(
    files: Sequence[SourceFile],
    replacements: Sequence[SourceFile],
    options: Mapping[str, int],
    *,
    cpus: int,
    foreign: Foreign | None = None,
    roots: Sequence[str] = (),
) -> Lowered:
    """Lower ``files``, with the declarations of ``replacements`` in place of
    those of the same name.

    Functions of ``foreign`` take the place of kernel Python's; then only the
    kernel Python that is reached is lowered, with the functions ``roots`` in any
    case.  ``options`` gives the numbers that
    ``option(...)`` asks for.  Raises KernelPythonError, with the place, for
    anything outside of the language.
    """
    declarations = Declarations()
    for source in files:
        declarations.add_file(source, replaces=False)
    for source in replacements:
        imports(source)
        declarations.add_file(source, replaces=True)
    return _Compiler(declarations, options, cpus, [*files, *replacements], foreign, roots).run()


class Foreign(Protocol):
    """Functions of another language in the name space of kernel Python.

    ``provided`` are their names; ``wanted`` are those that must not be kernel
    Python's.
    """

    provided: frozenset[str]
    wanted: frozenset[str]

    def begin(self, scope: Scope, signatures: dict[str, Signature]) -> None: ...

    def signature(self, name: str) -> Signature: ...

    def lower(self, name: str) -> set[str]:
        """Lower one function; the functions that it calls."""

    def finish(self) -> None: ...

    @property
    def lowered(self) -> Mapping[str, Function]: ...

    def structs(self) -> Mapping[str, StructDecl]: ...

    def globals(self) -> Mapping[str, GlobalDecl]: ...

    def sources(self) -> Mapping[str, Source]: ...

    def labelled(self, program: Program) -> Program: ...


class _Compiler:
    def __init__(
        self,
        declarations: Declarations,
        options: Mapping[str, int],
        cpus: int,
        sources: Sequence[SourceFile],
        foreign: Foreign | None,
        roots: Sequence[str],
    ) -> None:
        self.foreign = foreign
        self.roots = roots
        self.declarations = declarations
        self.scope = Scope(declarations, options)
        self.cpus = cpus
        self.sources = sources
        self.signatures: dict[str, Signature] = {}
        self.invariants: list[Invariant] = []
        self.entries: dict[str, list[Declaration]] = {name: [] for name in CONTEXTS}

    def run(self) -> Lowered:
        for declaration in self.declarations.names.values():
            if declaration.name in RESERVED:
                declaration.source.fail(
                    declaration.node,
                    f"{declaration.name} is a word of kernel Python",
                    "choose another name",
                )
        self.scope.resolve()
        functions = [d for d in self.declarations.names.values() if d.kind == "function"]
        for declaration in functions:
            self._signature(declaration)
        sysinits = self._sysinits()
        structs: Mapping[str, StructDecl] = self.scope.structs
        objects: Mapping[str, GlobalDecl] = self.scope.globals
        if self.foreign is None:
            lowered = {d.name: self._lowered(d, sysinits, self.signatures) for d in functions}
        else:
            lowered = self._merged(self.foreign, sysinits)
            structs = self.foreign.structs()
            objects = {**objects, **self.foreign.globals()}
        for declaration in self.entries["interrupt_context"]:
            loop = _for_ever(lowered[declaration.name])
            lowered[loop.name] = loop
        program = Program(
            structs=structs,
            globals=objects,
            functions=lowered,
            agents=self._agents("thread_context") + self._agents("interrupt_context"),
            invariants=tuple(self.invariants),
            must_reach=tuple(
                string(r.source, r.call.args[0]) for r in self.declarations.must_reach
            ),
            cpus=self.cpus,
        )
        if self.foreign is not None:
            program = self.foreign.labelled(program)
        self._check_recursion(program)
        sysctls = self._sysctls()
        self._check_observers(program, sysctls)
        self._check_contexts(program)
        return Lowered(
            program,
            self._agents("bring_up_context"),
            sysctls,
            {
                **{source.name: source for source in self.sources},
                **({} if self.foreign is None else self.foreign.sources()),
            },
            frozenset(self.scope.options_used),
        )

    def _lowered(
        self, declaration: Declaration, sysinits: list[str], signatures: dict[str, Signature]
    ) -> Function:
        try:
            return lower_function(self.scope, declaration, signatures, sysinits)
        except RecursionError:
            declaration.source.fail(declaration.node, f"{declaration.name} is nested too deeply")

    def _merged(self, foreign: Foreign, sysinits: list[str]) -> dict[str, Function]:
        """The functions of both languages that the program reaches."""
        declared = {d.name: d for d in self.declarations.names.values() if d.kind == "function"}
        foreign.begin(self.scope, dict(self.signatures))
        work = [d.name for entries in self.entries.values() for d in entries]
        work += [invariant.function for invariant in self.invariants]
        work += [*sysinits, *self.roots, *(f for f in self._sysctl_handlers())]
        work += [d.name for d in declared.values() if d.source.name == CONDITIONS]
        lowered: dict[str, Function] = {}
        seen: set[str] = set()
        while work:
            name = work.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in foreign.provided:
                work += sorted(foreign.lower(name))
                continue
            declaration = declared[name]
            if name in foreign.wanted:
                raise InputError(
                    f"the tree has no function {name}, which the scenario needs",
                    advice="a table with [[source]] says in which file it is",
                )
            callees = _called(declaration.node) & (declared.keys() | foreign.provided)
            theirs = {
                callee: foreign.signature(callee) for callee in sorted(callees & foreign.provided)
            }
            function = self._lowered(declaration, sysinits, {**self.signatures, **theirs})
            lowered[name] = function
            # Not those that the mode or the bounds exclude.
            work += [item.function for item in instructions(function) if isinstance(item, Call)]
        foreign.finish()
        return {**lowered, **foreign.lowered}

    def _sysctl_handlers(self) -> list[str]:
        return [
            target.id
            for registration in self.declarations.sysctls.values()
            if isinstance(target := registration.call.args[1], ast.Name)
        ]

    def _signature(self, declaration: Declaration) -> None:
        source, node = declaration.source, declaration.node
        assert isinstance(node, ast.FunctionDef)
        arguments = node.args
        extra = [
            *arguments.posonlyargs,
            *arguments.kwonlyargs,
            *filter(None, [arguments.vararg, arguments.kwarg]),
        ]
        if extra or arguments.defaults:
            source.fail(
                (extra or arguments.defaults)[0],
                "parameters are positional, without defaults",
            )
        parameters: list[tuple[str, Scalar]] = []
        for argument in arguments.args:
            if argument.annotation is None:
                source.fail(argument, f"the parameter {argument.arg} has no type")
            if argument.arg in RESERVED:
                source.fail(argument, f"{argument.arg} is a word of kernel Python")
            kind = self.scope.value_type(source, argument.annotation)
            parameters.append((argument.arg, kind))
        if node.returns is None:
            source.fail(node, f"{node.name} has no result type", "write `-> None` or `-> TYPE`")
        nothing = isinstance(node.returns, ast.Constant) and node.returns.value is None
        result = None if nothing else self.scope.value_type(source, node.returns)
        atomic = self._decorators(declaration, node, parameters, result)
        self.signatures[node.name] = Signature(
            tuple(parameters), result, atomic, source.location(node)
        )

    def _decorators(
        self,
        declaration: Declaration,
        node: ast.FunctionDef,
        parameters: list[tuple[str, Scalar]],
        result: Scalar | None,
    ) -> bool:
        """Whether the function is atomic; notes entries and invariants."""
        source, atomic = declaration.source, False
        for decorator in node.decorator_list:
            match decorator:
                case ast.Name(id="atomic"):
                    atomic = True
                case ast.Name(id=context) if context in self.entries:
                    if parameters or result is not None:
                        source.fail(node, "a context takes no parameters and returns nothing")
                    self.entries[context].append(declaration)
                case ast.Call(func=func, args=[name]) if is_name(func, "invariant"):
                    self._observes(source, node, parameters, result)
                    self.invariants.append(Invariant(string(source, name), node.name))
                    atomic = True
                case ast.Name(id="observer"):
                    self._observes(source, node, parameters, result)
                    self.invariants.append(Invariant("", node.name))
                    atomic = True
                case _:
                    source.fail(
                        decorator,
                        f"@{ast.unparse(decorator)} is not part of kernel Python",
                        f"there are @atomic, {', '.join(f'@{name}' for name in CONTEXTS)}, "
                        "@observer and @invariant(...)",
                    )
        if atomic and any(declaration in entries for entries in self.entries.values()):
            source.fail(node, "a context is no atomic function")
        return atomic

    def _observes(
        self,
        source: SourceFile,
        node: ast.FunctionDef,
        parameters: list[tuple[str, Scalar]],
        result: Scalar | None,
    ) -> None:
        if parameters != [("cpu", U32)] or result is not None:
            source.fail(node, f"it looks at one CPU: `def {node.name}(cpu: u32) -> None`")

    def _sysinits(self) -> list[str]:
        order: list[tuple[int, int, int, str]] = []
        for number, registration in enumerate(self.declarations.sysinits.values()):
            _, subsystem, position, function = registration.call.args
            source = registration.source
            name = self._handler(source, function)
            if self.signatures[name].parameters or self.signatures[name].result is not None:
                source.fail(function, f"{name} takes parameters or returns a value")
            order.append(
                (
                    self.scope.constant_expression(source, subsystem),
                    self.scope.constant_expression(source, position),
                    number,
                    name,
                )
            )
        return [name for *_, name in sorted(order)]

    def _handler(self, source: SourceFile, node: ast.expr) -> str:
        if not isinstance(node, ast.Name):
            source.fail(node, "the name of a function is expected here")
        if node.id not in self.signatures:
            self.scope.unknown(source, node, node.id, *self.signatures)
        return node.id

    def _sysctls(self) -> dict[str, Sysctl]:
        result: dict[str, Sysctl] = {}
        for name, registration in self.declarations.sysctls.items():
            source, target = registration.source, registration.call.args[1]
            if is_name(registration.call.func, "SYSCTL_COUNTER"):
                counter = string(source, target)
                if counter not in {field for _, field in self.scope.counters}:
                    source.fail(target, f"there is no statistics counter {counter}")
                result[name] = Sysctl(name, None, counter)
                continue
            function = self._handler(source, target)
            signature = self.signatures[function]
            if signature.parameters or signature.result is None or not signature.atomic:
                source.fail(target, f"{function} is no `@atomic def {function}() -> TYPE`")
            result[name] = Sysctl(name, function, None)
        return result

    def _agents(self, context: str) -> tuple[Agent, ...]:
        entries = self.entries[context]
        if not entries:
            if context != "thread_context":
                return ()
            raise InputError(
                "no file declares what the CPUs run",
                advice="a scenario has one function marked @thread_context",
            )
        if len(entries) > 1:
            second = entries[1]
            second.source.fail(second.node, f"a second function is marked @{context}")
        entry = entries[0].name
        if context == "interrupt_context":
            return tuple(
                Agent(f"cpu{n}.interrupt", n, INTERRUPT, again(entry)) for n in range(self.cpus)
            )
        return tuple(Agent(f"cpu{n}", n, THREAD, entry) for n in range(self.cpus))

    def _check_observers(self, program: Program, sysctls: Mapping[str, Sysctl]) -> None:
        """Invariants, observers and sysctl handlers only look at the state."""
        roots = [invariant.function for invariant in program.invariants]
        roots += [node.function for node in sysctls.values() if node.function is not None]
        for root in roots:
            for name in sorted(reachable_functions(program, [root])):
                for item in instructions(program.functions[name]):
                    if type(item) in EFFECTS:
                        self._fail_at(
                            item.loc,
                            f"{root} may only look at the state, but it "
                            + ("" if name == root else f"calls {name}, which ")
                            + EFFECTS[type(item)],
                        )

    def _check_contexts(self, program: Program) -> None:
        """What the CPUs do must not depend on the properties' regions."""
        roots = [declaration.name for entries in self.entries.values() for declaration in entries]
        for name in sorted(reachable_functions(program, roots)):
            for item in items(program.functions[name]):
                if any(isinstance(sub, InRegion) for sub in expressions(item)):
                    self._fail_at(item.loc, f"within is for invariants, but a CPU runs {name}")

    def _fail_at(self, location: Location, message: str) -> NoReturn:
        lines = (s.line(location.line) for s in self.sources if s.name == location.file)
        line = next(lines, None)
        raise KernelPythonError(message, location=location, source=line)

    def _check_recursion(self, program: Program) -> None:
        cycle = find_recursion(program)
        if cycle is not None:
            declaration = self.declarations.names.get(cycle[0])
            if declaration is None:
                raise TreeError(
                    f"recursion: {' -> '.join(cycle)}",
                    location=program.functions[cycle[0]].loc,
                    advice="the stacks of the model are static",
                )
            declaration.source.fail(
                declaration.node,
                f"recursion: {' -> '.join(cycle)}",
                "kernel Python has static stacks; write a loop",
            )


def again(entry: str) -> str:
    """The function that runs ``entry`` for ever."""
    return f"{entry}_again"


def _for_ever(function: Function) -> Function:
    code = (Step(function.loc), Call(None, function.name, (), function.loc))
    blocks = (Block("entry", code, Jump("entry", function.loc)),)
    return Function(again(function.name), (), {}, None, blocks, False, function.loc)


def _called(node: ast.AST) -> set[str]:
    return {
        inner.func.id
        for inner in ast.walk(node)
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name)
    }
