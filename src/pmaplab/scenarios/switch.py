"""switch: a machine that is up, and every interleaving of thread switches,
exec and exit.

Bring-up runs on one schedule; scenario `boot` is the one for all of them.
"""

from __future__ import annotations

from pmaplab.kernel_python import bring_up_context, must_reach, thread_context
from pmaplab.kernels.freebsd.amd64.pmap import pmap_pcid_enabled
from pmaplab.scenarios.operations import run_operations
from pmaplab.scenarios.power_on import bring_up


@bring_up_context
def cpu_bring_up() -> None:
    bring_up()


@thread_context
def cpu_main() -> None:
    run_operations()


must_reach("a pmap is activated")
must_reach("a switch completed")
must_reach("a process execs")
must_reach("a process exits")
if pmap_pcid_enabled:
    must_reach("a PCID is kept by an activation")
    must_reach("a PCID generation rolled over")
