"""Runs constructs.c on a machine that is up."""

from __future__ import annotations

from typing import Annotated

from pmaplab.kernel_python import (
    bring_up_context,
    must_reach,
    sometimes,
    static,
    this_cpu,
    thread_context,
    u32,
)
from pmaplab.scenarios.power_on import bring_up


@bring_up_context
def cpu_bring_up() -> None:
    bring_up()


# What the C has a pointer to.
table: Annotated[list[u32], 4] = static()


def constructs() -> None:
    """The C takes its place."""


@thread_context
def cpu_main() -> None:
    if this_cpu() == 0:
        constructs()
        sometimes("the end")


must_reach("the end")
