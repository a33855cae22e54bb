"""What a CPU records about its address space while it is at rest.

Where an invariant does not count is listed in exemptions.toml.
"""

from __future__ import annotations

from pmaplab.kernel_python import KASSERT, NULL, invariant, u32, within
from pmaplab.kernels.freebsd.amd64.pcpu import __pcpu, common_tss
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_NO_CR3,
    PMAP_PCID_KERN,
    PMAP_PCID_NONE,
    PMAP_PCID_USER_PT,
    kernel_pmap,
    pmap_pcid_enabled,
    pti,
)
from pmaplab.kernels.freebsd.vm.vm_map import vmspace_pmap
from pmaplab.machine.x86_64 import CR3_PCID_MASK, CR3_PCID_SAVE, cpus


@invariant("curpmap")
def curpmap_at_rest(cpu: u32) -> None:
    pc = __pcpu[cpu]
    td = pc.curthread
    if td == NULL or not within(cpu, "activated"):
        return
    pm = vmspace_pmap(td.td_proc.p_vmspace)
    KASSERT(pc.curpmap == pm, "curpmap is not the pmap of curthread's process")
    cr3 = cpus[cpu].cr3
    # Under PTI user mode has the other root.
    user = cpus[cpu].user_mode and not cpus[cpu].in_interrupt and pm.pm_ucr3 != PMAP_NO_CR3
    root = pm.pm_ucr3 if user else pm.pm_cr3
    KASSERT(cr3 & ~CR3_PCID_MASK == root, "the loaded root %#x is not that of curpmap", cr3)
    pcid = pm.pm_pcids[cpu].pm_pcid
    if pmap_pcid_enabled:
        KASSERT(pcid != PMAP_PCID_NONE, "curpmap has no PCID: pm_pcid is PMAP_PCID_NONE")
        KASSERT(pm == kernel_pmap or pcid != PMAP_PCID_KERN, "curpmap uses the kernel's PCID")
        loaded = cr3 & CR3_PCID_MASK
        expected = pcid | PMAP_PCID_USER_PT if user else pcid
        KASSERT(
            loaded == expected or (loaded == PMAP_PCID_KERN and not cpus[cpu].cr3_loaded),
            "the loaded PCID is %d, but pm_pcid is %d",
            loaded,
            pcid,
        )
    if pti:
        if pmap_pcid_enabled:
            kcr3 = pm.pm_cr3 | pcid
            KASSERT(pc.kcr3 & ~CR3_PCID_SAVE == kcr3, "kcr3 is %#x, not that of curpmap", pc.kcr3)
            if pm.pm_ucr3 == PMAP_NO_CR3:
                KASSERT(pc.ucr3 == PMAP_NO_CR3, "ucr3 is %#x, not that of curpmap", pc.ucr3)
            else:
                ucr3 = pm.pm_ucr3 | pcid | PMAP_PCID_USER_PT
                KASSERT(
                    pc.ucr3 & ~CR3_PCID_SAVE == ucr3, "ucr3 is %#x, not that of curpmap", pc.ucr3
                )
        else:
            KASSERT(pc.kcr3 == pm.pm_cr3, "kcr3 is %#x, not that of curpmap", pc.kcr3)
            KASSERT(pc.ucr3 == pm.pm_ucr3, "ucr3 is %#x, not that of curpmap", pc.ucr3)
        if pm.pm_ucr3 != PMAP_NO_CR3:
            KASSERT(common_tss[cpu].tss_rsp0 == pc.pti_stack, "rsp0 is not the trampoline stack")
