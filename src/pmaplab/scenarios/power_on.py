"""From power-on until a CPU takes part in scheduling."""

from __future__ import annotations

from pmaplab.kernel_python import ia32_pause, this_cpu
from pmaplab.kernels.freebsd.amd64.machdep import hammer_time
from pmaplab.kernels.freebsd.amd64.mp_machdep import mptramp
from pmaplab.kernels.freebsd.kern.init_main import mi_startup
from pmaplab.machine.x86_64 import CPU


def bring_up() -> None:
    """The boot CPU runs the SYSINITs; the others wait to be started."""
    if this_cpu() == 0:
        hammer_time()
        mi_startup()
    else:
        while not CPU.started:
            ia32_pause()
        mptramp()
