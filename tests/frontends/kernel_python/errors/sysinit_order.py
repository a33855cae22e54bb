def f() -> None:
    pass


SYSINIT("f", f, 1, f)
