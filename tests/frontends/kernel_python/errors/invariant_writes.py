class pmap:
    pm_cr3: u64
    pm_pcid: u32
    pm_next: ptr[pmap]
    pm_flag: bool
    pm_saves: counter


word: u32 = 0
kernel_pmap: pmap = static()


@atomic
def g() -> None:
    kernel_pmap.pm_pcid = 1


@invariant("curpmap")
def f(cpu: u32) -> None:
    g()


@thread_context
def cpu_main() -> None:
    pass
