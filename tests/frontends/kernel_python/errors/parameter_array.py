def f(x: Annotated[list[u32], 2]) -> None:
    pass
