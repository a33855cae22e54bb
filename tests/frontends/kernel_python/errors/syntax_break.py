def f() -> None:
    break
