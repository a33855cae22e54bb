/* Starting the other processors. */
#include <sys/param.h>
struct thread;
#include <sys/systm.h>
#include <sys/proc.h>
#include <vm/vm.h>
#include <sys/pcpu.h>
#include <machine/cpufunc.h>
#include <x86/smp.h>

int bootAP;
int mp_naps;
extern u_int aps_ready;
extern struct amd64tss common_tss[];
static int cpu_apic_ids[MAXCPU];
static char doublefault_stack[PAGE_SIZE];

void	init_secondary_tail(void);
void	wrmsr(u_int, uint64_t);
uint64_t rdmsr(u_int);

void
init_secondary(void)
{
	struct pcpu *pc;
	uint64_t msr;
	int cpu;

	cpu = bootAP;
	common_tss[cpu] = common_tss[0];
	common_tss[cpu].tss_rsp0 = 0;
	common_tss[cpu].tss_ist1 = (long)&doublefault_stack[PAGE_SIZE];
	pc = &__pcpu[cpu];
	pcpu_init(pc, cpu, sizeof(struct pcpu));
	pc->pc_apic_id = cpu_apic_ids[cpu];
	pc->pc_curthread = 0;
	pc->pc_tssp = &common_tss[cpu];
	pc->pc_rsp0 = 0;
	pc->pc_pcid_next = PMAP_PCID_KERN + 2;
	pc->pc_pcid_gen = 1;
	msr = rdmsr(0xc0000080) | 1;
	wrmsr(0xc0000080, msr);
	mp_naps++;
	while (atomic_load_acq_int(&aps_ready) == 0)
		ia32_pause();
	init_secondary_tail();
}

/* The handlers with PCIDs; under PTI, a user PCID goes with the kernel's. */
void
invltlb_invpcid_handler(void)
{
	struct invpcid_descr d;
	uint32_t generation;

	generation = smp_tlb_generation;
	bzero(&d, sizeof(d));
	if (smp_tlb_pmap == kernel_pmap)
		invpcid(&d, INVPCID_CTXGLOB);
	else {
		d.pcid = smp_tlb_pmap->pm_pcids[PCPU_GET(cpuid)].pm_pcid;
		invpcid(&d, INVPCID_CTX);
		if (smp_tlb_pmap->pm_ucr3 != PMAP_NO_CR3) {
			d.pcid |= PMAP_PCID_USER_PT;
			invpcid(&d, INVPCID_CTX);
		}
	}
	PCPU_SET(smp_tlb_done, generation);
}

void
invltlb_pcid_handler(void)
{
	uint64_t kcr3, ucr3;
	uint32_t generation, pcid;

	generation = smp_tlb_generation;
	if (smp_tlb_pmap == kernel_pmap)
		invltlb_glob();
	else if (smp_tlb_pmap == PCPU_GET(curpmap)) {
		pcid = smp_tlb_pmap->pm_pcids[PCPU_GET(cpuid)].pm_pcid;
		kcr3 = smp_tlb_pmap->pm_cr3 | pcid;
		ucr3 = smp_tlb_pmap->pm_ucr3;
		if (ucr3 == PMAP_NO_CR3)
			load_cr3(kcr3);
		else
			pmap_pti_pcid_invalidate(ucr3 | pcid | PMAP_PCID_USER_PT,
			    kcr3);
	}
	PCPU_SET(smp_tlb_done, generation);
}

static void
invl_invpcid(vm_offset_t addr, vm_offset_t end)
{
	struct invpcid_descr d;

	d.pcid = smp_tlb_pmap->pm_pcids[PCPU_GET(cpuid)].pm_pcid |
	    PMAP_PCID_USER_PT;
	d.pad = 0;
	for (d.addr = addr; d.addr < end; d.addr += PAGE_SIZE) {
		invlpg(d.addr);
		if (smp_tlb_pmap->pm_ucr3 != PMAP_NO_CR3)
			invpcid(&d, INVPCID_ADDR);
	}
}

static void
invl_pcid(vm_offset_t addr, vm_offset_t end)
{
	vm_offset_t va;
	uint64_t kcr3, ucr3;
	uint32_t pcid;

	for (va = addr; va < end; va += PAGE_SIZE)
		invlpg(va);
	if (smp_tlb_pmap == PCPU_GET(curpmap) &&
	    (ucr3 = smp_tlb_pmap->pm_ucr3) != PMAP_NO_CR3) {
		pcid = smp_tlb_pmap->pm_pcids[PCPU_GET(cpuid)].pm_pcid;
		kcr3 = smp_tlb_pmap->pm_cr3 | pcid | CR3_PCID_SAVE;
		ucr3 |= pcid | PMAP_PCID_USER_PT | CR3_PCID_SAVE;
		pmap_pti_pcid_invlrng(ucr3, kcr3, addr, end);
	}
}

void
invlpg_invpcid_handler(void)
{
	uint32_t generation;

	generation = smp_tlb_generation;
	invl_invpcid(smp_tlb_addr1, smp_tlb_addr1 + PAGE_SIZE);
	PCPU_SET(smp_tlb_done, generation);
}

void
invlpg_pcid_handler(void)
{
	uint32_t generation;

	generation = smp_tlb_generation;
	invl_pcid(smp_tlb_addr1, smp_tlb_addr1 + PAGE_SIZE);
	PCPU_SET(smp_tlb_done, generation);
}

void
invlrng_invpcid_handler(void)
{
	uint32_t generation;

	generation = smp_tlb_generation;
	invl_invpcid(smp_tlb_addr1, smp_tlb_addr2);
	PCPU_SET(smp_tlb_done, generation);
}

void
invlrng_pcid_handler(void)
{
	uint32_t generation;

	generation = smp_tlb_generation;
	invl_pcid(smp_tlb_addr1, smp_tlb_addr2);
	PCPU_SET(smp_tlb_done, generation);
}
