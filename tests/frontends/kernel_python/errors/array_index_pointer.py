class pmap:
    pm_cr3: u64
    pm_pcid: u32
    pm_next: ptr[pmap]
    pm_flag: bool
    pm_saves: counter


word: u32 = 0
kernel_pmap: pmap = static()
table: Annotated[list[u32], 2] = static()


def f(p: pmap, x: u32, y: u64) -> None:
    x = table[NULL]
