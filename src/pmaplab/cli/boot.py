"""``pmaplab boot``: one run of the modelled kernel, with its console."""

from __future__ import annotations

import argparse

from pmaplab.cli.options import add_format, add_mode, add_proposal, add_sizes, whole
from pmaplab.cli.output import show
from pmaplab.report.jsonout import boot_json, dumps
from pmaplab.report.terminal import boot_text
from pmaplab.reviews.measure import BOOT_SCENARIO, boot_bounds
from pmaplab.search.simulate import simulate, unknown_sysctl
from pmaplab.spec import RunSpec, showing_source

CPUS = 6
MAXCPU = 256


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "boot",
        help="boot the modelled kernel on one schedule",
        description="Boot the modelled kernel on one schedule, let every CPU switch threads, "
        "and show the console and the sysctl nodes.",
        epilog="Exit status: 0, 1 after a panic, 2 bad usage or input.",
        allow_abbrev=False,
    )
    add_proposal(parser)
    add_mode(parser, "nopcid", several=False)
    add_sizes(parser, CPUS, str(MAXCPU))
    parser.add_argument(
        "--seed", type=whole(), metavar="S", help="a random schedule instead of taking turns"
    )
    parser.add_argument(
        "--sysctl",
        action="append",
        metavar="NAME",
        help="show only this node; may be given several times",
    )
    add_format(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit status."""
    maxcpu = MAXCPU if options.maxcpu is None else options.maxcpu
    spec = RunSpec(
        scenario=BOOT_SCENARIO,
        mode=options.mode,
        proposal=options.proposal,
        bounds=boot_bounds(options.cpus, maxcpu),
    )
    system = spec.build()
    nodes = options.sysctl or list(system.sysctls)
    for name in nodes:
        if name not in system.sysctls:
            raise unknown_sysctl(system, name)
    with showing_source(system):
        result = simulate(system, seed=options.seed)
    if options.format == "json":
        show(dumps(boot_json(spec, options.seed, result, nodes)))
    else:
        show(boot_text(result, nodes))
    return 0 if result.failure is None else 1
