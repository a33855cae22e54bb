"""multiuser: a machine that boots and then switches threads, for single runs.

Nothing forks, execs or exits: every CPU gives up its thread again and again.
"""

from __future__ import annotations

from pmaplab.kernel_python import must_reach, thread_context
from pmaplab.kernels.freebsd.kern.sched_ule import mi_switch
from pmaplab.scenarios.operations import OPERATIONS
from pmaplab.scenarios.power_on import bring_up


@thread_context
def cpu_main() -> None:
    bring_up()
    for _ in range(OPERATIONS):
        mi_switch()


must_reach("a pmap is activated")
must_reach("a switch completed")
