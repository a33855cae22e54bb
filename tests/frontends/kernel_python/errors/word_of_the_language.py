def choose() -> None:
    pass
