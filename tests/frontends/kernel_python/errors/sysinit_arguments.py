def f() -> None:
    pass


SYSINIT("f", 1, f)
