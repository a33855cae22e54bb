/* What all processors do before they take part in scheduling. */
#include <sys/param.h>
struct thread;
#include <sys/systm.h>
#include <sys/proc.h>
#include <vm/vm.h>
#include <sys/pcpu.h>
#include <machine/cpufunc.h>
#include <x86/apicvar.h>
#include <x86/smp.h>

volatile u_int aps_ready = 0;
volatile u_int smp_started;
int smp_cpus = 1;
struct mtx ap_boot_mtx;
struct cpu_ops { void (*cpu_init)(void); } cpu_ops;

int	lapic_id(void);

void
init_secondary_tail(void)
{
	u_int cpuid;

	pmap_activate_boot(vmspace_pmap(proc0.p_vmspace));
	if (cpu_ops.cpu_init)
		cpu_ops.cpu_init();
	cpuid = PCPU_GET(cpuid);
	if (PCPU_GET(apic_id) != lapic_id()) {
		printf("SMP: actual apic_id = %d\n", lapic_id());
		panic("cpuid mismatch! boom!!");
	}
	KASSERT(PCPU_GET(idlethread) != NULL, ("no idle thread"));
	PCPU_SET(curthread, PCPU_GET(idlethread));
	mtx_lock_spin(&ap_boot_mtx);
	smp_cpus++;
	if (bootverbose)
		printf("SMP: AP CPU #%d Launched!\n", cpuid);
	if (smp_cpus == mp_ncpus)
		atomic_store_rel_int(&smp_started, 1);
	if (pmap_pcid_enabled)
		load_cr4(rcr4() | CR4_PCIDE);
	mtx_unlock_spin(&ap_boot_mtx);
	while (atomic_load_acq_int(&smp_started) == 0)
		ia32_pause();
	sched_throw(NULL);
	panic("scheduler returned us to %s", __func__);
}

/* What all processors are asked to flush, one request at a time. */
extern struct mtx smp_ipi_mtx;
vm_offset_t smp_tlb_addr1, smp_tlb_addr2;
pmap_t smp_tlb_pmap;
volatile uint32_t smp_tlb_generation;

static void
smp_targeted_tlb_shootdown(cpuset_t mask, u_int vector, pmap_t pmap,
    vm_offset_t addr1, vm_offset_t addr2)
{
	cpuset_t asked;
	volatile uint32_t *done;
	uint32_t generation;
	int cpu;

	CPU_CLR(PCPU_GET(cpuid), &mask);
	if (CPU_EMPTY(&mask))
		return;
	KASSERT((read_rflags() & PSL_I) != 0, ("a shootdown without interrupts"));
	asked = mask;
	mtx_lock_spin(&smp_ipi_mtx);
	smp_tlb_pmap = pmap;
	smp_tlb_addr1 = addr1;
	smp_tlb_addr2 = addr2;
	generation = ++smp_tlb_generation;
	for (; (cpu = CPU_FFS(&mask)) != 0; CPU_CLR(cpu - 1, &mask))
		ipi_send_cpu(cpu - 1, vector);
	while ((cpu = CPU_FFS(&asked)) != 0) {
		cpu--;
		CPU_CLR(cpu, &asked);
		done = &cpuid_to_pcpu[cpu]->pc_smp_tlb_done;
		while (*done != generation)
			ia32_pause();
	}
	mtx_unlock_spin(&smp_ipi_mtx);
}

void
smp_masked_invltlb(cpuset_t mask, pmap_t pmap)
{

	if (smp_started)
		smp_targeted_tlb_shootdown(mask, IPI_INVLTLB, pmap, 0, 0);
}

void
smp_masked_invlpg(cpuset_t mask, vm_offset_t addr, pmap_t pmap)
{

	if (smp_started)
		smp_targeted_tlb_shootdown(mask, IPI_INVLPG, pmap, addr, 0);
}

void
smp_masked_invlpg_range(cpuset_t mask, vm_offset_t addr1, vm_offset_t addr2,
    pmap_t pmap)
{

	if (smp_started)
		smp_targeted_tlb_shootdown(mask, IPI_INVLRNG, pmap, addr1, addr2);
}

void
invltlb_handler(void)
{
	uint32_t generation;

	generation = smp_tlb_generation;
	if (smp_tlb_pmap == kernel_pmap)
		invltlb_glob();
	else
		invltlb();
	PCPU_SET(smp_tlb_done, generation);
}

void
invlpg_handler(void)
{
	uint32_t generation;

	generation = smp_tlb_generation;
	invlpg(smp_tlb_addr1);
	PCPU_SET(smp_tlb_done, generation);
}

void
invlrng_handler(void)
{
	vm_offset_t addr, end;
	uint32_t generation;

	generation = smp_tlb_generation;
	end = smp_tlb_addr2;
	for (addr = smp_tlb_addr1; addr < end; addr += PAGE_SIZE)
		invlpg(addr);
	PCPU_SET(smp_tlb_done, generation);
}
