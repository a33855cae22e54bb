"""Where the kernel's page tables lie, and where the machine expects them."""

from __future__ import annotations

from pmaplab.kernel_python import KASSERT, thread_context
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_PCID_USER_PT,
    PML4_PAGES,
    PML4U_PAGES,
    KPML4phys,
)
from pmaplab.kernels.freebsd.sys.proc import NVMSPACE, vmspace_zone
from pmaplab.machine.paging import (
    KERNEL_ROOT,
    KERNEL_TABLE,
    NO_TABLE,
    PAGES,
    PROCESS_ROOTS,
    USER_ROOTS,
    USER_TABLES,
    page_table_of,
)
from pmaplab.machine.tlb import HIGH_PCIDS, LOW_PCIDS, tlb_context_of


@thread_context
def cpu_main() -> None:
    KASSERT(KPML4phys == KERNEL_ROOT, "the kernel's root")
    KASSERT(PML4_PAGES == PROCESS_ROOTS, "the roots of processes")
    KASSERT(PML4U_PAGES == USER_ROOTS, "the user roots")
    KASSERT(NVMSPACE == USER_TABLES, "as many tables as address spaces")
    for i in range(NVMSPACE):
        pm = vmspace_zone[i].vm_pmap
        KASSERT(page_table_of(pm.pm_pml4, 0) == i, "user pages of %d", i)
        KASSERT(page_table_of(pm.pm_pml4, PAGES) == KERNEL_TABLE, "kernel pages of %d", i)
        KASSERT(page_table_of(pm.pm_pml4u, 0) == i, "user pages of %d", i)
        KASSERT(page_table_of(pm.pm_pml4u, PAGES) == NO_TABLE, "kernel pages of %d", i)
    if HIGH_PCIDS:
        KASSERT(tlb_context_of(PMAP_PCID_USER_PT | 1) == LOW_PCIDS + 1, "user PCIDs")
