def f(x: u32, x: u32) -> None:
    pass
