/* What all processors do before they take part in scheduling. */
#include <sys/param.h>
struct thread;
#include <sys/systm.h>
#include <sys/proc.h>
#include <vm/vm.h>
#include <sys/pcpu.h>
#include <machine/cpufunc.h>

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
