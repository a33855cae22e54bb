def f() -> None:
    5
