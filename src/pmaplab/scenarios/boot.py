"""boot: every interleaving from power-on.

The SYSINITs start the APs, make proc0 and release them; each CPU then makes
its operations.
"""

from __future__ import annotations

from pmaplab.kernel_python import must_reach, thread_context
from pmaplab.scenarios.operations import run_operations
from pmaplab.scenarios.power_on import bring_up


@thread_context
def cpu_main() -> None:
    bring_up()
    run_operations()


must_reach("a pmap is activated")
must_reach("a switch completed")
