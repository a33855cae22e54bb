def f(x: u32 = 0) -> None:
    pass
