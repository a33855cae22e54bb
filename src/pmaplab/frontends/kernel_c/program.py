"""The C of a tree as a part of a program: what replaces kernel Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pmaplab.errors import InputError, Location, PmaplabError
from pmaplab.frontends.kernel_c.api import Api, Label
from pmaplab.frontends.kernel_c.cells import Names, Taken
from pmaplab.frontends.kernel_c.ifunc import resolve
from pmaplab.frontends.kernel_c.nodes import CFunction, Parameter, Parsed, addresses_taken, walk
from pmaplab.frontends.kernel_c.source import CSource, SourceTree, with_line
from pmaplab.frontends.kernel_c.statements import Notes, lower_function
from pmaplab.frontends.kernel_c.types import Merged
from pmaplab.frontends.kernel_python.scope import Scope
from pmaplab.frontends.kernel_python.values import Signature
from pmaplab.ir.access import key_of
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.nodes import (
    Block,
    Call,
    Count,
    Function,
    GlobalDecl,
    Instruction,
    Local,
    Program,
    Return,
    Sometimes,
    Store,
    StructDecl,
)
from pmaplab.ir.types import Scalar
from pmaplab.ir.verify import EFFECTS
from pmaplab.ir.walk import instructions


@dataclass(frozen=True)
class Used:
    """What of a tree a program consists of, for its verdict."""

    release: str
    # Function: its place.
    functions: dict[str, str] = field(default_factory=dict)
    ifuncs: dict[str, str] = field(default_factory=dict)
    modelled: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    at_once: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


class CProgram:
    """Lowers the tree's functions into the name space of a kernel Python scope."""

    def __init__(self, tree: SourceTree, api: Api, parsed: Parsed) -> None:
        self.tree = tree
        self.api = api
        self.parsed = parsed
        # What runs in place of functions that the release does not have.
        self.instead = {
            name: instead.function
            for name, instead in api.instead.items()
            if (
                name not in parsed.functions and instead.function in parsed.functions
                if instead.has is None
                else instead.has in parsed.functions
            )
        }
        # The functions of the tree, in place of kernel Python's of their names.
        own = {name for name in parsed.functions if not api.leaf(name) or name in api.roots}
        self.provided = frozenset(own | self.instead.keys())
        self.wanted = frozenset(api.roots)

    def begin(self, scope: Scope, signatures: dict[str, Signature]) -> None:
        """Take part in a program: its types, and the signatures of its kernel
        Python."""
        self.merged = Merged(scope, self.api, self.parsed.variables)
        self.notes = Notes()
        self.lowered: dict[str, Function] = {}
        self._signatures = _Signatures(self, signatures)
        known = self.provided | frozenset(self.parsed.ifuncs)
        taken = _taken(self.parsed, self.provided)
        self.names = Names(self._signatures, known, _Chosen(self), taken, _inline(self.parsed))

    def signature(self, name: str) -> Signature:
        return self._signatures[name]

    def lower(self, name: str) -> set[str]:
        """Lower one function; the functions that it calls."""
        if name in self.instead:
            target = self.instead[name]
            self.notes.modelled[name] = f"{target} in its place: {self.api.instead[name].reason}"
            self.lowered[name] = _forwarding(name, target, self.signature(target))
            return {target}
        try:
            function, reached = lower_function(
                self.merged,
                self.parsed.functions[name],
                self.signature(name),
                self.names,
                self.notes,
            )
        except PmaplabError as error:
            raise with_line(error, self.tree) from None
        self.lowered[name] = function
        return reached

    def finish(self) -> None:
        """Structures are copied field by field, and their fields are those that
        some function touches: lower again until there are no more."""
        while self.merged.copied:
            before = {name: len(fields) for name, fields in self.merged.fields.items()}
            for name in list(self.lowered):
                self.lower(name)
            if before == {name: len(fields) for name, fields in self.merged.fields.items()}:
                return

    def structs(self) -> dict[str, StructDecl]:
        return self.merged.structs()

    def globals(self) -> dict[str, GlobalDecl]:
        return self.merged.objects

    def sources(self) -> dict[str, CSource]:
        """The files that the functions stand in."""
        names = {f.loc.file for f in self.parsed.functions.values()}
        names |= {v.loc.file for v in self.parsed.variables.values()}
        bodies = (f.body for name, f in self.parsed.functions.items() if name in self.lowered)
        names |= {n.loc.file for body in bodies for n in walk(body)}
        result: dict[str, CSource] = {}
        for name in sorted(names):
            relative = name.removeprefix("sys/")
            if name.startswith("sys/") and self.tree.has(relative):
                result[name] = CSource(name, self.tree.read(relative))
        return result

    def labelled(self, program: Program) -> Program:
        """``program`` with the table's points worth reaching."""
        self._check_looks(program)
        functions = dict(program.functions)
        for label in self.api.labels:
            if label.below not in functions:
                continue
            for name in reachable_functions(program, [label.below]):
                if name in self.lowered:
                    functions[name] = _labelled(functions[name], label)
        return replace(program, functions=functions)

    def _check_looks(self, program: Program) -> None:
        """What the table says of functions that only look must be true."""
        for name in self.api.looks & program.functions.keys():
            for inner in reachable_functions(program, [name]):
                for item in instructions(program.functions[inner]):
                    if type(item) in EFFECTS:
                        raise InputError(
                            f"the table says that {name} only looks, but it "
                            f"{EFFECTS[type(item)]}: {item.loc}"
                        )

    def used(self, program: Program) -> Used:
        """What ``program`` has of the tree."""
        reached = reachable_functions(program, program.entries)
        return Used(
            release=self.tree.release,
            functions={
                n: str(f.loc)
                for n, f in self.lowered.items()
                if n in reached and n not in self.instead
            },
            ifuncs={n: c for n, c in self.names.ifuncs.items() if c in reached},
            modelled=dict(self.notes.modelled),
            dropped=dict(self.notes.dropped),
            outside=dict(self.merged.outside_used),
            given=dict(self.merged.given_used),
            at_once={n: r for n, r in self.api.at_once.items() if n in self.lowered},
            missing=self.parsed.missing,
        )


class _Chosen(Mapping[str, str]):
    """What the indirect functions that are called stand for in the mode."""

    def __init__(self, program: CProgram) -> None:
        self.program = program
        self.known: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        if name not in self.known:
            parsed = self.program.parsed
            resolver = parsed.functions[parsed.ifuncs[name]]
            self.known[name] = resolve(self.program.merged, resolver)
        return self.known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)


def _taken(parsed: Parsed, provided: frozenset[str]) -> dict[str, Taken]:
    """The functions of the tree whose addresses its functions take, with numbers
    from 1 on that stand for these addresses."""
    types = {
        node.name: node.type
        for function in parsed.functions.values()
        for node in addresses_taken(function.body)
    }
    names = sorted(types.keys() & (provided | parsed.ifuncs.keys()))
    return {name: Taken(number, types[name]) for number, name in enumerate(names, 1)}


def _inline(parsed: Parsed) -> dict[str, CFunction]:
    """The functions that do nothing but compute a pointer to a number: taken apart
    where they are called, since it may point into an array there."""
    return {
        name: function
        for name, function in parsed.functions.items()
        if function.result.target is not None
        and function.result.target.kind == "int"
        and [child.kind for child in function.body.children] == ["RETURN_STMT"]
    }


class _Signatures(Mapping[str, Signature]):
    """Those of kernel Python, and of the tree's functions as they are asked for."""

    def __init__(self, program: CProgram, python: dict[str, Signature]) -> None:
        self.program = program
        self.python = python
        self.known: dict[str, Signature] = {}

    def __getitem__(self, name: str) -> Signature:
        if name not in self.program.provided:
            return self.python[name]
        if name in self.program.instead:
            return self[self.program.instead[name]]
        if name not in self.known:
            function = self.program.parsed.functions[name]
            merged = self.program.merged
            parameters = tuple(
                self._parameter(p, number, function.loc)
                for number, p in enumerate(function.parameters)
            )
            result = None
            if function.result.kind != "void":
                result = merged.scalar(function.result, function.loc)
            atomic = name in self.program.api.at_once
            self.known[name] = Signature(parameters, result, atomic, function.loc)
        return self.known[name]

    def _parameter(self, parameter: Parameter, number: int, loc: Location) -> tuple[str, Scalar]:
        name = parameter.name or f"unnamed{number}"
        merged = self.program.merged
        cell = merged.only_cell(parameter.type)
        if cell is not None:
            return f"{name}{cell[0]}", cell[1]
        return name, merged.scalar(parameter.type, loc)

    def __iter__(self) -> Iterator[str]:
        return iter({**self.python, **dict.fromkeys(self.program.provided)})

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self.python or name in self.program.provided


def _forwarding(name: str, target: str, signature: Signature) -> Function:
    """A function that calls ``target``."""
    kinds = dict(signature.parameters)
    loc = signature.location
    result = None if signature.result is None else Local("result", signature.result)
    call = Call(
        None if result is None else result.name,
        target,
        tuple(Local(*parameter) for parameter in signature.parameters),
        loc,
    )
    variables = kinds if result is None else {**kinds, result.name: result.type}
    block = Block("entry", (call,), Return(result, loc))
    return Function(
        name, tuple(kinds), variables, signature.result, (block,), signature.atomic, loc
    )


def _labelled(function: Function, label: Label) -> Function:
    blocks = []
    for block in function.blocks:
        instructions: list[Instruction] = []
        for item in block.instructions:
            instructions.append(item)
            hit = isinstance(item, Count) and item.counter == label.count
            if isinstance(item, Store) and label.store is not None:
                hit = key_of(item.address) == tuple(label.store.split("."))
            if isinstance(item, Call) and label.call is not None:
                hit = item.function == label.call
            if hit:
                instructions.append(Sometimes(label.label, item.loc))
        blocks.append(replace(block, instructions=tuple(instructions)))
    return replace(function, blocks=tuple(blocks))
