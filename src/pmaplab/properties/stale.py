"""No access uses what was revoked: a frame that is no longer mapped, a right that
was taken, a translation of another address space.

A processor accesses memory whenever it likes, so this is asked of every state,
about all that the CPU may have cached of what it could access there: pages of
the kernel unless it runs in user mode, and the pages of the current thread's
process wherever the thread could touch them.  What was granted is revoked when
the operation that took it away is over (machine/mmu.py); what stays cached under
a PCID that is not loaded harms nobody.  The code of an interrupt that is being
handled touches none of these pages.
"""

from __future__ import annotations

from pmaplab.kernel_python import KASSERT, NULL, atomic, ffs, invariant, u32, u64, within
from pmaplab.kernels.freebsd.amd64.pcpu import __pcpu
from pmaplab.kernels.freebsd.amd64.pmap import kernel_pmap, pmap
from pmaplab.kernels.freebsd.amd64.pmap_mappings import pmap_table
from pmaplab.kernels.freebsd.sys.proc import vmspace0
from pmaplab.kernels.freebsd.vm.vm_map import vmspace_pmap
from pmaplab.machine.mmu import granted_to
from pmaplab.machine.paging import NPAGE, PAGES
from pmaplab.machine.tlb import FRAMES, RIGHTS, tlb_cached
from pmaplab.machine.x86_64 import cpus


@atomic
def _check(cpu: u32, pm: pmap, page: u32) -> None:
    stale: u64 = tlb_cached(cpu, page) & ~granted_to(pmap_table(pm), page)
    if stale != 0:
        number = ffs(stale) - 1
        frame = number // RIGHTS % FRAMES
        KASSERT(
            pm == kernel_pmap or number // RIGHTS // FRAMES == pmap_table(pm),
            "CPU %d can use frame %d for page %d, by a translation of another pmap",
            cpu,
            frame,
            page,
        )
        KASSERT(
            granted_to(pmap_table(pm), page) & (0xF << (number // RIGHTS * RIGHTS)) == 0,
            "CPU %d can still write to page %d, in frame %d",
            cpu,
            page,
            frame,
        )
        KASSERT(False, "CPU %d can still use frame %d for page %d", cpu, frame, page)


@invariant("no stale use")
def no_stale_kernel_page(cpu: u32) -> None:
    if cpus[cpu].in_interrupt or cpus[cpu].user_mode:
        return
    for page in range(PAGES, NPAGE):
        _check(cpu, kernel_pmap, page)


@invariant("no stale use")
def no_stale_user_page(cpu: u32) -> None:
    td = __pcpu[cpu].curthread
    if td == NULL or not within(cpu, "activated") or cpus[cpu].in_interrupt:
        return
    vm = td.td_proc.p_vmspace
    if vm == vmspace0:
        return
    for page in range(PAGES):
        _check(cpu, vmspace_pmap(vm), page)
