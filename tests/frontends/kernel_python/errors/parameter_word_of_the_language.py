def f(NULL: u32) -> None:
    pass
