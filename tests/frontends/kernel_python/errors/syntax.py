def f() -> None:
    x = (1 +
