"""Litmus files in either format."""

from __future__ import annotations

from pmaplab.frontends.litmus.herd import header, parse_herd
from pmaplab.frontends.litmus.model import LitmusTest
from pmaplab.frontends.litmus.oneline import parse_oneline
from pmaplab.frontends.litmus.source import read_file


def read_tests(path: str) -> list[LitmusTest]:
    """The tests of a file, in its order.

    A file called ``*.litmus``, or whose first line names an architecture and a
    test, is in herd7's format and holds one test; any other has one test a
    line.  Raises InputError when it cannot be read, and LitmusError with the
    place of a mistake.
    """
    source = read_file(path)
    if path.endswith(".litmus") or header(source) is not None:
        return [parse_herd(source)]
    return parse_oneline(source)
