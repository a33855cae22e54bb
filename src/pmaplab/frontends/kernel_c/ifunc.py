"""Resolvers of indirect functions: which function a mode takes."""

from __future__ import annotations

from pmaplab.frontends.kernel_c.nodes import CFunction, Node
from pmaplab.frontends.kernel_c.types import Merged
from pmaplab.frontends.kernel_c.values import fail

_TRANSPARENT = ("UNEXPOSED_EXPR", "PAREN_EXPR", "CSTYLE_CAST_EXPR")


def resolve(merged: Merged, resolver: CFunction) -> str:
    """The function that the resolver returns in the scope's mode.

    Raises TreeError where the mode does not decide it.
    """
    found = _run(merged, resolver.body)
    if found is None:
        fail(resolver.loc, f"{resolver.name} can end without a choice")
    return found


def _run(merged: Merged, node: Node) -> str | None:
    match node.kind:
        case "COMPOUND_STMT":
            for child in node.children:
                found = _run(merged, child)
                if found is not None:
                    return found
            return None
        case "IF_STMT":
            arms = node.children[1:]
            if _number(merged, node.children[0]):
                return _run(merged, arms[0])
            return _run(merged, arms[1]) if len(arms) > 1 else None
        case "RETURN_STMT":
            return _function(merged, node.children[0])
        case "NULL_STMT" | "DECL_STMT":
            return None
    fail(
        node.loc,
        "a resolver of an ifunc is made of if and return",
        "give the function that it resolves a meaning in a table",
    )


def _function(merged: Merged, node: Node) -> str:
    while node.kind in _TRANSPARENT and node.children:
        node = node.children[0]
    if node.kind == "CONDITIONAL_OPERATOR":
        test, then, other = node.children
        return _function(merged, then if _number(merged, test) else other)
    if node.kind == "UNARY_OPERATOR" and node.name == "&":
        return _function(merged, node.children[0])
    if node.ref != "function":
        fail(node.loc, "a resolver returns a function by its name")
    return node.name


def _number(merged: Merged, node: Node) -> int:
    """The value of a condition, of the mode's constants."""
    if node.value is not None and not node.children:
        return node.value
    inner = node.children
    match node.kind:
        case "UNEXPOSED_EXPR" | "PAREN_EXPR" | "CSTYLE_CAST_EXPR":
            return _number(merged, inner[0])
        case "DECL_REF_EXPR" if node.ref == "global":
            constant = merged.scope.constant(merged.api.names.get(node.name, node.name))
            if constant is not None:
                return constant.value
        case "UNARY_OPERATOR" if node.name == "!":
            return int(not _number(merged, inner[0]))
        case "BINARY_OPERATOR":
            left = _number(merged, inner[0])
            match node.name:
                case "&&":
                    return int(bool(left and _number(merged, inner[1])))
                case "||":
                    return int(bool(left or _number(merged, inner[1])))
                case "&":
                    return left & _number(merged, inner[1])
                case "==":
                    return int(left == _number(merged, inner[1]))
                case "!=":
                    return int(left != _number(merged, inner[1]))
    fail(
        node.loc,
        "the mode does not decide what a resolver chooses here",
        "a kernel Python constant of that name would decide it: [[model]] module = ...",
    )
