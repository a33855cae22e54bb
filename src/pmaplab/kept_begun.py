"""Bring-ups that were run before, kept on disk as systems are (kept_systems): by all that a
system is made from, so that equal systems are told without being built again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from typing import Any

from pmaplab.errors import Location
from pmaplab.kept_systems import key_of, load_data, store_data
from pmaplab.search.interpreter import Failure
from pmaplab.search.result import Violation
from pmaplab.search.run import Move
from pmaplab.search.sharing import Begun, begin
from pmaplab.spec import RunSpec
from pmaplab.system import System


def begun(spec: RunSpec, build: Callable[[], System], *more: str) -> Begun:
    """What begin() says of the system that ``build`` makes: that of ``spec``, with what of
    the package ``more`` names besides.

    Raises a PmaplabError for whatever is wrong with it.
    """
    key = key_of(spec, "begun", *more)
    known = None if key is None else load_data(key, _from_json)
    if known is None:
        known = begin(build())
        if key is not None:
            store_data(key, key_of(spec, "begun", *more), _to_json(known))
    return known


def _to_json(known: Begun) -> dict[str, Any]:
    violations = [
        [each.property, each.moves, each.failure and astuple(each.failure), each.cpu]
        for each in known.violations.values()
    ]
    return {"digest": known.digest, "bring_up": known.bring_up, "violations": violations}


def _from_json(data: Any) -> Begun:
    """The inverse; raises KeyError, TypeError or ValueError for anything else."""
    violations = {
        name: Violation(name, _moves(moves), None if failure is None else _failure(*failure), cpu)
        for name, moves, failure, cpu in data["violations"]
    }
    return Begun(data["digest"], _moves(data["bring_up"]), violations)


def _moves(moves: list[Any]) -> tuple[Move, ...]:
    return tuple((agent, tuple(choices)) for agent, choices in moves)


def _failure(kind: str, message: str, function: str, loc: list[Any]) -> Failure:
    return Failure(kind, message, function, Location(*loc))
