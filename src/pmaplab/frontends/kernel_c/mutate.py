"""Breaking functions: one statement at a time.

A mutation deletes a statement, swaps it with the next one, takes the lock off an
atomic operation, or leaves interrupts enabled.  Declarations, jumps and
assertions stay as they are: without them a function is no C any more, or the
check is another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pmaplab.errors import Location
from pmaplab.frontends.kernel_c.api import Api
from pmaplab.frontends.kernel_c.nodes import CFunction, Node, Parsed, walk

DELETE, SWAP, WEAKEN, UNMASK = "delete", "swap", "weaken", "unmask"
KINDS = (DELETE, SWAP, WEAKEN, UNMASK)
# The name of a call whose operation is not locked any more.
PLAIN = "plain"
_LOCKED = {"or", "and-not", "add", "sub", "xchg", "fetchadd"}
_TRANSPARENT = ("UNEXPOSED_EXPR", "PAREN_EXPR", "CSTYLE_CAST_EXPR")
_EXPRESSIONS = (
    "BINARY_OPERATOR",
    "COMPOUND_ASSIGNMENT_OPERATOR",
    "UNARY_OPERATOR",
    "CALL_EXPR",
    "PAREN_EXPR",
    "CSTYLE_CAST_EXPR",
    "CONDITIONAL_OPERATOR",
)

Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Mutation:
    """``path`` leads from the function's body to the statement, by the numbers
    of children."""

    kind: str
    function: str
    path: Path
    loc: Location

    def text(self) -> str:
        """What it does, in words."""
        return {
            DELETE: "delete it",
            SWAP: "swap it with the next",
            WEAKEN: "take its lock prefix off",
            UNMASK: "leave interrupts enabled",
        }[self.kind]


def mutations(parsed: Parsed, api: Api, functions: Iterable[str]) -> list[Mutation]:
    """Every mutation of the functions, in the order of the source."""
    found: list[Mutation] = []
    for name in sorted(functions, key=lambda each: parsed.functions[each].loc):
        found += _of_function(parsed.functions[name], api)
    return found


def _of_function(function: CFunction, api: Api) -> Iterator[Mutation]:
    name = function.name
    for path, node, following in _statements(function.body, ()):
        if _calls(node, "intr_disable"):
            yield Mutation(UNMASK, name, path, node.loc)
            continue
        if _calls(node, "intr_restore") or _asserts(node, api):
            continue
        if node.kind in _EXPRESSIONS or node.kind == "IF_STMT":
            yield Mutation(DELETE, name, path, node.loc)
        if (
            following is not None
            and {node.kind, following.kind} <= set(_EXPRESSIONS)
            and not _asserts(following, api)
            and not _calls(following, "intr_restore")
        ):
            yield Mutation(SWAP, name, path, node.loc)
        if any(_locked(inner, api) for inner in _own(node)):
            yield Mutation(WEAKEN, name, path, node.loc)


def _statements(node: Node, path: Path) -> Iterator[tuple[Path, Node, Node | None]]:
    """The statements below ``node``, each with the next one of its block."""
    for number, child in enumerate(node.children):
        here = (*path, number)
        following = None
        if node.kind == "COMPOUND_STMT":
            if number + 1 < len(node.children):
                following = node.children[number + 1]
            yield here, child, following
        elif node.kind in ("IF_STMT", "WHILE_STMT", "FOR_STMT", "CASE_STMT", "DEFAULT_STMT"):
            # The arms alone: the first child is the condition or the value.
            last = number == len(node.children) - 1
            arm = number > 0 if node.kind == "IF_STMT" else last
            if arm and child.kind != "COMPOUND_STMT":
                yield here, child, None
        if child.kind.endswith("_STMT"):
            yield from _statements(child, here)


def _own(node: Node) -> Iterator[Node]:
    """``node`` without the statements below it."""
    yield node
    for child in node.children:
        if not child.kind.endswith("_STMT"):
            yield from _own(child)


def _callee(node: Node) -> str:
    if node.kind != "CALL_EXPR":
        return ""
    callee = node.children[0]
    while callee.kind in _TRANSPARENT and callee.children:
        callee = callee.children[0]
    return callee.name if callee.ref == "function" else ""


def _calls(node: Node, name: str) -> bool:
    return node.kind in _EXPRESSIONS and any(_callee(inner) == name for inner in walk(node))


def _locked(node: Node, api: Api) -> bool:
    return api.operation(_callee(node)) in _LOCKED if _callee(node) else False


def _asserts(node: Node, api: Api) -> bool:
    """Whether all that a statement does is to panic, or not."""
    if node.kind in ("IF_STMT", "DO_STMT", "COMPOUND_STMT", "CALL_EXPR"):
        return any(api.operation(_callee(inner)) == "panic" for inner in walk(node))
    return False


def mutated(parsed: Parsed, mutation: Mutation) -> Parsed:
    """What was parsed, with the mutation."""
    function = parsed.functions[mutation.function]
    body = _changed(function.body, mutation.path, mutation.kind)
    if mutation.kind == UNMASK:
        body = _without_restore(body)
    functions = {**parsed.functions, function.name: replace(function, body=body)}
    return replace(parsed, functions=functions)


def _changed(node: Node, path: Path, kind: str) -> Node:
    children = list(node.children)
    number = path[0]
    if len(path) > 1:
        children[number] = _changed(children[number], path[1:], kind)
        return replace(node, children=tuple(children))
    chosen = children[number]
    match kind:
        case "delete":
            children[number] = _nothing(chosen)
        case "swap":
            children[number], children[number + 1] = children[number + 1], chosen
        case "weaken":
            children[number] = _plain(chosen)
        case "unmask":
            # The variable keeps a value: interrupts were as they are.
            children[number] = _nothing(chosen)
    return replace(node, children=tuple(children))


def _nothing(node: Node) -> Node:
    return Node("NULL_STMT", node.loc, node.type)


def _plain(node: Node) -> Node:
    children = tuple(
        child if child.kind.endswith("_STMT") else _plain(child) for child in node.children
    )
    if node.kind == "CALL_EXPR":
        return replace(node, children=children, name=PLAIN)
    return replace(node, children=children)


def _without_restore(node: Node) -> Node:
    children = tuple(
        _nothing(child) if _calls(child, "intr_restore") else _without_restore(child)
        for child in node.children
    )
    return replace(node, children=children)
