@invariant(curpmap)
def f(cpu: u32) -> None:
    pass
