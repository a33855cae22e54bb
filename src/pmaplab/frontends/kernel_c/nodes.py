"""The C of the functions under check: what libclang found, as plain data.

Lowering works on these trees alone, so that they can be kept in a cache, and
changed by a mutation, without libclang.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pmaplab.errors import Location


@dataclass(frozen=True, slots=True)
class CType:
    """A canonical C type, without qualifiers.

    ``kind`` is int (``bits``, ``signed``; _Bool has 1 bit, an enum is an int),
    void, pointer or array (``target``, ``length``), struct (``name`` is its
    tag, ``bits`` its size; also a union), function, or other.  ``text`` is its
    spelling.
    """

    kind: str
    text: str
    bits: int = 0
    signed: bool = False
    name: str = ""
    length: int = 0
    target: CType | None = None


VOID = CType("void", "void")
INT = CType("int", "int", 32, True)
BOOL = CType("int", "_Bool", 1)


@dataclass(frozen=True, slots=True)
class Node:
    """A statement or an expression.

    ``kind`` is libclang's name of it.  ``name`` is the operator, the member,
    the text of a string or the name that is referred to; ``ref`` says what a
    name is (local, global, function, enumerator) and ``key`` tells locals of
    one name apart; of a member it says which members of which unions it is in,
    as ``union=member`` with their places.  ``value`` is the number of a literal,
    of an enumerator or of sizeof, or a bit field's width.
    """

    kind: str
    loc: Location
    type: CType
    children: tuple[Node, ...] = ()
    name: str = ""
    ref: str = ""
    key: str = ""
    value: int | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    key: str
    type: CType


@dataclass(frozen=True, slots=True)
class CFunction:
    """A function with its body."""

    name: str
    loc: Location
    parameters: tuple[Parameter, ...]
    result: CType
    body: Node


@dataclass(frozen=True, slots=True)
class CVariable:
    """An object with static storage.

    ``defined`` says that the file defines it; ``initial`` is None where it does
    not say with what value.
    """

    name: str
    loc: Location
    type: CType
    defined: bool
    initial: Node | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """What was taken out of one file: the functions that may be reached, what
    is declared without a body, and the objects that they name."""

    file: str
    functions: dict[str, CFunction] = field(default_factory=dict)
    variables: dict[str, CVariable] = field(default_factory=dict)
    # Every function that the file itself defines, with its line.
    defined: dict[str, Location] = field(default_factory=dict)
    # Declared with an ifunc attribute: the name of its resolver.
    ifuncs: dict[str, str] = field(default_factory=dict)
    # The tunables of a mode that it declares.
    tunables: frozenset[str] = frozenset()
    # The files that were read: the paths of headers, as clang found them.
    includes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parsed:
    """The functions of a tree that may be reached, by name.

    ``missing`` are headers that the tree should have, and something else stands
    for; ``absent`` those and the ones that the build makes; ``headers`` are the
    files that were read.
    """

    functions: dict[str, CFunction] = field(default_factory=dict)
    variables: dict[str, CVariable] = field(default_factory=dict)
    ifuncs: dict[str, str] = field(default_factory=dict)
    tunables: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()


def walk(node: Node) -> Iterator[Node]:
    """``node`` and everything below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def called(node: Node) -> Iterator[str]:
    """The functions that are named at or below ``node``."""
    for inner in walk(node):
        if inner.ref == "function":
            yield inner.name


def addresses_taken(node: Node) -> Iterator[Node]:
    """The names of functions at or below ``node`` that are not called there."""
    if node.ref == "function":
        yield node
    first, *rest = node.children or (None,)
    if first is not None:
        callee = first
        while callee.kind in ("UNEXPOSED_EXPR", "PAREN_EXPR") and len(callee.children) == 1:
            callee = callee.children[0]
        if node.kind != "CALL_EXPR" or callee.ref != "function":
            yield from addresses_taken(first)
    for child in rest:
        assert child is not None
        yield from addresses_taken(child)


def unwrapped(node: Node) -> Node:
    """``node`` without parentheses."""
    while node.kind == "PAREN_EXPR":
        node = node.children[0]
    return node
