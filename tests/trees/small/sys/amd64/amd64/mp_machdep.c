/* Starting the other processors. */
#include <sys/param.h>
struct thread;
#include <sys/systm.h>
#include <sys/proc.h>
#include <vm/vm.h>
#include <sys/pcpu.h>
#include <machine/cpufunc.h>

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
