@invariant("curpmap")
def f(cpu: u64) -> None:
    pass
