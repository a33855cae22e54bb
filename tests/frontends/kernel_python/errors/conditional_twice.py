def f() -> None:
    pass


SYSINIT("a", 1, 1, f)
if 1:
    SYSINIT("a", 2, 1, f)
