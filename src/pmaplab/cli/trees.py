"""Options of the commands that check a kernel's own C."""

from __future__ import annotations

import argparse
from dataclasses import replace

from pmaplab.cli.options import add_counts, add_limits, add_sizes, sized, whole
from pmaplab.errors import UsageError
from pmaplab.machine.modes import Mode
from pmaplab.system import Bounds, default_bounds, pcid_limits
from pmaplab.tree import (
    SCENARIOS,
    USUAL_SCENARIOS,
    TreeSpec,
    check_mode,
    check_patches,
    load_program,
    missing_features,
)

# What decides the bounds that all scenarios have in common.
BOOT = USUAL_SCENARIOS[0]


def add_tree(kernel: argparse._ActionsContainer, parser: argparse._ActionsContainer) -> None:
    """``--tree``, and what goes with it."""
    kernel.add_argument(
        "--tree", metavar="DIR", help="a FreeBSD tree: check its own C instead of the reference"
    )
    add_patch(parser)
    add_api(parser)


def add_patch(parser: argparse._ActionsContainer) -> None:
    """``--patch FILE``, any number of times."""
    parser.add_argument(
        "--patch",
        metavar="FILE",
        action="append",
        default=[],
        help="a unified diff to apply to the tree, in memory; may be given again",
    )


def add_api(parser: argparse._ActionsContainer) -> None:
    """``--api FILE``, any number of times."""
    parser.add_argument(
        "--api",
        metavar="FILE.toml",
        action="append",
        default=[],
        help="a table of your own: what the tree's functions mean to the model",
    )


def add_scenarios(parser: argparse._ActionsContainer) -> None:
    """``--scenario NAME``, any number of times."""
    parser.add_argument(
        "--scenario",
        metavar="NAME",
        action="append",
        choices=SCENARIOS,
        help=f"a scenario: {', '.join(SCENARIOS)}; may be given again "
        f"(default: {', '.join(USUAL_SCENARIOS)})",
    )


def scenarios(options: argparse.Namespace) -> tuple[str, ...]:
    """The scenarios that the options ask for."""
    return tuple(dict.fromkeys(options.scenario or USUAL_SCENARIOS))


def add_bounds(parser: argparse.ArgumentParser) -> None:
    """The bounds and limits that all commands on trees have."""
    add_sizes(parser, Bounds().cpus, "as many as --cpus")
    operations = "operations per CPU (default: 1, with pages 2)"
    parser.add_argument("--operations", type=whole(), metavar="N", help=operations)
    add_counts(parser, ("processes", "pcids"))
    add_limits(parser)


def bounds_of(options: argparse.Namespace, scenario: str) -> Bounds:
    """The bounds of a scenario that the options ask for; raises UsageError."""
    usual = default_bounds(scenario)
    return sized(options, usual if usual.pages else replace(usual, operations=1))


def tree_spec(options: argparse.Namespace) -> TreeSpec | None:
    """The tree that the options ask for; raises UsageError."""
    if options.tree is None:
        for name in ("patch", "api"):
            if getattr(options, name):
                raise UsageError(f"--{name} needs --tree DIR")
        return None
    return TreeSpec(options.tree, tuple(options.patch), tuple(options.api))


def modes_of_tree(spec: TreeSpec, bounds: Bounds, asked: tuple[Mode, ...]) -> tuple[Mode, ...]:
    """Of several modes those that the tree has; a single one must be there.

    Raises a PmaplabError for a tree that cannot be read, and UsageError for
    patches that change nothing under check.
    """
    limits = pcid_limits(bounds)
    program = load_program(spec, bounds.maxcpu, limits)
    check_patches(spec, bounds.maxcpu, limits)
    if len(asked) == 1:
        check_mode(program, asked[0])
    return tuple(mode for mode in asked if not missing_features(program, mode))
