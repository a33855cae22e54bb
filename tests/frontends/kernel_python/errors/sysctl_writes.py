class pmap:
    pm_cr3: u64
    pm_pcid: u32
    pm_next: ptr[pmap]
    pm_flag: bool
    pm_saves: counter


word: u32 = 0
kernel_pmap: pmap = static()


@atomic
def f() -> u32:
    kernel_pmap.pm_pcid = 1
    return 1


@thread_context
def cpu_main() -> None:
    pass


SYSCTL("f", f)
