def f() -> None:
    return 5
