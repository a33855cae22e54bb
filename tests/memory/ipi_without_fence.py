"""The startup IPI overtakes the store to bootAP: as if it were sent by a write
to an x2APIC register, which does not serialize, and no fence came before."""

from __future__ import annotations

from pmaplab.kernel_python import atomic, panic, this_cpu, u32
from pmaplab.machine.x86_64 import cpus, mp_ncpus


@atomic
def ipi_startup(cpu: u32) -> None:
    if cpu >= mp_ncpus or cpu == this_cpu():
        panic("CPU %d cannot be started", cpu)
    cpus[cpu].started = True
