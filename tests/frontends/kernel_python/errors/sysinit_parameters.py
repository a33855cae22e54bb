def f(x: u32) -> None:
    pass


SYSINIT("f", 1, 1, f)
