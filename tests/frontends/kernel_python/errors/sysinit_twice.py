def f() -> None:
    pass


SYSINIT("f", 1, 1, f)
SYSINIT("f", 2, 1, f)
