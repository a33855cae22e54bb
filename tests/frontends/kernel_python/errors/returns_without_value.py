def f() -> u32:
    return
