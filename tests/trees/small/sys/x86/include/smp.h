#ifndef _X86_SMP_H_
#define	_X86_SMP_H_
extern vm_offset_t smp_tlb_addr1, smp_tlb_addr2;
extern pmap_t smp_tlb_pmap;
extern volatile uint32_t smp_tlb_generation;

void	smp_masked_invltlb(cpuset_t, pmap_t);
void	smp_masked_invlpg(cpuset_t, vm_offset_t, pmap_t);
void	smp_masked_invlpg_range(cpuset_t, vm_offset_t, vm_offset_t, pmap_t);
#endif
