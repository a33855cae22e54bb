/* Address spaces, in the manner of FreeBSD's amd64 pmap. */
#include <sys/param.h>
struct thread;
#include <sys/systm.h>
#include <sys/proc.h>
#include <vm/vm.h>
#include <sys/pcpu.h>
#include <machine/cpufunc.h>
#include <machine/ifunc.h>
#include <x86/smp.h>

int pmap_pcid_enabled = 1;
int invpcid_works = 0;
int pti = 0;
u_long KPML4phys;
static int pmap_flags;
static u_int cpu_feature2;

static void	create_pagetables(vm_paddr_t *);

void
pmap_bootstrap(vm_paddr_t *firstaddr)
{
	uint64_t cr4;
	int i;

	create_pagetables(firstaddr);
	cr4 = rcr4();
	cr4 |= CR4_PGE;
	load_cr4(cr4);
	load_cr3(KPML4phys);
	mtx_init(&kernel_pmap->pm_mtx, "pmap", NULL, 0);
	kernel_pmap->pm_cr3 = KPML4phys;
	kernel_pmap->pm_ucr3 = PMAP_NO_CR3;
	CPU_FILL(&kernel_pmap->pm_active);
	kernel_pmap->pm_flags = pmap_flags;
	if ((cpu_feature2 & 0x20000) != 0 && pmap_pcid_enabled) {
		for (i = 0; i < MAXCPU; i++) {
			kernel_pmap->pm_pcids[i].pm_pcid = PMAP_PCID_KERN;
			kernel_pmap->pm_pcids[i].pm_gen = 1;
		}
		PCPU_SET(pcid_next, PMAP_PCID_KERN + 2);
		PCPU_SET(pcid_gen, 1);
		load_cr4(rcr4() | CR4_PCIDE);
	} else {
		pmap_pcid_enabled = 0;
	}
}

void
pmap_pinit0(pmap_t pmap)
{
	int i;

	pmap->pm_pml4 = (uint64_t *)(KPML4phys | 1UL << 63);
	pmap->pm_cr3 = KPML4phys;
	pmap->pm_ucr3 = PMAP_NO_CR3;
	CPU_ZERO(&pmap->pm_active);
	bzero(&pmap->pm_stats, sizeof(pmap->pm_stats));
	pmap->pm_flags = pmap_flags;
	CPU_FOREACH(i) {
		pmap->pm_pcids[i].pm_pcid = PMAP_PCID_KERN + 1;
		pmap->pm_pcids[i].pm_gen = 1;
	}
	pmap_activate_boot(pmap);
}

static int
pmap_pinit_type(pmap_t pmap, enum pmap_type pm_type, int flags)
{
	vm_page_t pml4pg, pml4pgu;
	int i;

	pml4pg = vm_page_alloc(NULL, 0, flags);
	CPU_FOREACH(i) {
		pmap->pm_pcids[i].pm_pcid = PMAP_PCID_NONE;
		pmap->pm_pcids[i].pm_gen = 0;
	}
	pmap->pm_cr3 = PMAP_NO_CR3;
	pmap->pm_ucr3 = PMAP_NO_CR3;
	if ((pml4pg->flags & 1) == 0)
		bzero(pmap->pm_pml4, PAGE_SIZE);
	switch (pmap->pm_type = pm_type) {
	case PT_X86:
		pmap->pm_cr3 = VM_PAGE_TO_PHYS(pml4pg);
		if (!pti)
			break;
		pml4pgu = vm_page_alloc(NULL, 0, flags);
		pmap->pm_ucr3 = VM_PAGE_TO_PHYS(pml4pgu);
		break;
	default:
		panic("pmap type %d", pm_type);
	}
	CPU_ZERO(&pmap->pm_active);
	pmap->pm_flags = flags;
	return (1);
}

int
pmap_pinit(pmap_t pmap)
{

	return (pmap_pinit_type(pmap, PT_X86, pmap_flags));
}

static uint64_t
pmap_pcid_alloc(pmap_t pmap, u_int cpuid)
{
	uint32_t gen, new_gen, pcid_next, overmax;

	CRITICAL_ASSERT(curthread);
	gen = PCPU_GET(pcid_gen);
	if (pmap->pm_pcids[cpuid].pm_pcid == PMAP_PCID_KERN)
		return (pti ? 0 : CR3_PCID_SAVE);
	if (pmap->pm_pcids[cpuid].pm_gen == gen)
		return (CR3_PCID_SAVE);
	pcid_next = PCPU_GET(pcid_next);
	overmax = pti ? PMAP_PCID_OVERMAX_KERN : PMAP_PCID_OVERMAX;
	KASSERT(pcid_next <= overmax, ("cpu %d pcid_next %#x", cpuid, pcid_next));
	if (pcid_next == overmax) {
		new_gen = gen + 1;
		if (new_gen == 0)
			new_gen = 1;
		PCPU_SET(pcid_gen, new_gen);
		pcid_next = PMAP_PCID_KERN + 1;
	} else
		new_gen = gen;
	pmap->pm_pcids[cpuid].pm_pcid = pcid_next;
	pmap->pm_pcids[cpuid].pm_gen = new_gen;
	PCPU_SET(pcid_next, pcid_next + 1);
	return (0);
}

static void
pmap_activate_sw_rsp0(struct thread *td, pmap_t pmap)
{

	PCPU_GET(tssp)->tss_rsp0 = pmap->pm_ucr3 != PMAP_NO_CR3 ?
	    PCPU_GET(pti_rsp0) : (uintptr_t)td->td_pcb;
}

static inline void
pmap_activate_sw_pcid_common(struct thread *td, pmap_t pmap, u_int cpuid,
    const bool use_invpcid)
{
	struct invpcid_descr d;
	uint64_t cached, cr3, kcr3, ucr3;

	cached = pmap_pcid_alloc(pmap, cpuid);
	cr3 = rcr3();
	kcr3 = pmap->pm_cr3 | pmap->pm_pcids[cpuid].pm_pcid;
	if ((!pti && !cached) || (cr3 & ~CR3_PCID_MASK) != pmap->pm_cr3)
		load_cr3(pti ? kcr3 : kcr3 | cached);
	PCPU_SET(curpmap, pmap);
	if (pti) {
		ucr3 = pmap->pm_ucr3 | pmap->pm_pcids[cpuid].pm_pcid |
		    PMAP_PCID_USER_PT;
		if (!cached && pmap->pm_ucr3 != PMAP_NO_CR3) {
			if (use_invpcid) {
				d.pcid = PMAP_PCID_USER_PT |
				    pmap->pm_pcids[cpuid].pm_pcid;
				d.pad = 0;
				d.addr = 0;
				invpcid(&d, INVPCID_CTX);
			} else
				pmap_pti_pcid_invalidate(ucr3, kcr3);
		}
		PCPU_SET(kcr3, kcr3 | CR3_PCID_SAVE);
		PCPU_SET(ucr3, ucr3 | CR3_PCID_SAVE);
		pmap_activate_sw_rsp0(td, pmap);
	}
	if (cached)
		PCPU_INC(pm_save_cnt);
}

static void
pmap_activate_sw_invpcid(struct thread *td, pmap_t pmap, u_int cpuid)
{
	register_t rflags;

	rflags = intr_disable();
	pmap_activate_sw_pcid_common(td, pmap, cpuid, true);
	intr_restore(rflags);
}

static void
pmap_activate_sw_noinvpcid(struct thread *td, pmap_t pmap, u_int cpuid)
{
	register_t rflags;

	rflags = intr_disable();
	pmap_activate_sw_pcid_common(td, pmap, cpuid, false);
	intr_restore(rflags);
}

static void
pmap_activate_sw_nopcid(struct thread *td, pmap_t pmap, u_int cpuid __unused)
{

	load_cr3(pmap->pm_cr3);
	PCPU_SET(curpmap, pmap);
	if (pti) {
		PCPU_SET(kcr3, pmap->pm_cr3);
		PCPU_SET(ucr3, pmap->pm_ucr3);
		pmap_activate_sw_rsp0(td, pmap);
	}
}

DEFINE_IFUNC(static, void, pmap_activate_sw_mode, (struct thread *, pmap_t,
    u_int), static)
{

	if (!pmap_pcid_enabled)
		return (pmap_activate_sw_nopcid);
	return (invpcid_works ? pmap_activate_sw_invpcid :
	    pmap_activate_sw_noinvpcid);
}

void
pmap_activate_sw(struct thread *td)
{
	pmap_t oldpmap, pmap;
	u_int cpuid;

	if ((oldpmap = PCPU_GET(curpmap)) ==
	    (pmap = vmspace_pmap(td->td_proc->p_vmspace)))
		goto out;
	cpuid = PCPU_GET(cpuid);
	CPU_SET_ATOMIC(cpuid, &pmap->pm_active);
	pmap_activate_sw_mode(td, pmap, cpuid);
	CPU_CLR_ATOMIC(cpuid, &oldpmap->pm_active);
out:
	return;
}

void
pmap_activate(struct thread *td)
{

	critical_enter();
	pmap_activate_sw(td);
	critical_exit();
}

void
pmap_activate_boot(pmap_t pmap)
{
	uint64_t kcr3;
	u_int cpuid;

	MPASS(pmap != kernel_pmap);
	cpuid = PCPU_GET(cpuid);
	CPU_SET_ATOMIC(cpuid, &pmap->pm_active);
	PCPU_SET(curpmap, pmap);
	if (pti) {
		kcr3 = pmap->pm_cr3;
		if (pmap_pcid_enabled)
			kcr3 |= pmap->pm_pcids[cpuid].pm_pcid | CR3_PCID_SAVE;
	} else
		kcr3 = PMAP_NO_CR3;
	PCPU_SET(kcr3, kcr3);
	PCPU_SET(ucr3, PMAP_NO_CR3);
}

/* Processors that use the pmap later give it a fresh PCID. */
static void
pmap_invalidate_gens(pmap_t pmap)
{
	u_int cpuid, i;

	cpuid = PCPU_GET(cpuid);
	if (pmap != PCPU_GET(curpmap))
		pmap->pm_pcids[cpuid].pm_gen = 0;
	CPU_FOREACH(i) {
		if (i != cpuid)
			pmap->pm_pcids[i].pm_gen = 0;
	}
	/* Before pm_active is read: see pmap_activate_sw(). */
	atomic_thread_fence_seq_cst();
}

static cpuset_t
pmap_invalidate_cpu_mask(pmap_t pmap)
{

	return (pmap == kernel_pmap ? all_cpus : pmap->pm_active);
}

static void
pmap_invalidate_user(pmap_t pmap, vm_offset_t sva, vm_offset_t eva)
{
	struct invpcid_descr d;
	uint64_t kcr3, ucr3;
	uint32_t pcid;

	critical_enter();
	pcid = pmap->pm_pcids[PCPU_GET(cpuid)].pm_pcid;
	if (invpcid_works) {
		bzero(&d, sizeof(d));
		d.pcid = pcid | PMAP_PCID_USER_PT;
		for (d.addr = sva; d.addr < eva; d.addr += PAGE_SIZE)
			invpcid(&d, INVPCID_ADDR);
	} else {
		kcr3 = pmap->pm_cr3 | pcid | CR3_PCID_SAVE;
		ucr3 = pmap->pm_ucr3 | pcid | PMAP_PCID_USER_PT | CR3_PCID_SAVE;
		pmap_pti_pcid_invlrng(ucr3, kcr3, sva, eva);
	}
	critical_exit();
}

static void
pmap_invalidate_here(pmap_t pmap, vm_offset_t sva, vm_offset_t eva)
{
	vm_offset_t va;

	if (pmap == kernel_pmap || pmap == PCPU_GET(curpmap)) {
		for (va = sva; va < eva; va += PAGE_SIZE)
			invlpg(va);
	}
	if (pmap == kernel_pmap || !pmap_pcid_enabled)
		return;
	if (pmap == PCPU_GET(curpmap) && pmap->pm_ucr3 != PMAP_NO_CR3)
		pmap_invalidate_user(pmap, sva, eva);
	pmap_invalidate_gens(pmap);
}

void
pmap_invalidate_page(pmap_t pmap, vm_offset_t va)
{

	sched_pin();
	pmap_invalidate_here(pmap, va, va + PAGE_SIZE);
	smp_masked_invlpg(pmap_invalidate_cpu_mask(pmap), va, pmap);
	sched_unpin();
}

void
pmap_invalidate_range(pmap_t pmap, vm_offset_t sva, vm_offset_t eva)
{

	sched_pin();
	pmap_invalidate_here(pmap, sva, eva);
	smp_masked_invlpg_range(pmap_invalidate_cpu_mask(pmap), sva, eva, pmap);
	sched_unpin();
}

static void
pmap_invalidate_context(pmap_t pmap)
{
	struct invpcid_descr d;
	uint64_t kcr3, ucr3;
	uint32_t pcid;

	critical_enter();
	pcid = pmap->pm_pcids[PCPU_GET(cpuid)].pm_pcid;
	ucr3 = pmap->pm_ucr3;
	if (invpcid_works) {
		bzero(&d, sizeof(d));
		d.pcid = pcid;
		invpcid(&d, INVPCID_CTX);
		if (ucr3 != PMAP_NO_CR3) {
			d.pcid |= PMAP_PCID_USER_PT;
			invpcid(&d, INVPCID_CTX);
		}
	} else {
		kcr3 = pmap->pm_cr3 | pcid;
		if (ucr3 == PMAP_NO_CR3)
			load_cr3(kcr3);
		else
			pmap_pti_pcid_invalidate(ucr3 | pcid | PMAP_PCID_USER_PT,
			    kcr3);
	}
	critical_exit();
}

void
pmap_invalidate_all(pmap_t pmap)
{
	struct invpcid_descr d;

	sched_pin();
	if (pmap == kernel_pmap) {
		if (pmap_pcid_enabled && invpcid_works) {
			bzero(&d, sizeof(d));
			invpcid(&d, INVPCID_CTXGLOB);
		} else
			invltlb_glob();
	} else {
		if (pmap == PCPU_GET(curpmap)) {
			if (pmap_pcid_enabled)
				pmap_invalidate_context(pmap);
			else
				invltlb();
		}
		if (pmap_pcid_enabled)
			pmap_invalidate_gens(pmap);
	}
	smp_masked_invltlb(pmap_invalidate_cpu_mask(pmap), pmap);
	sched_unpin();
}
