X: Final[Annotated[u32, Range(2, 5)]] = 6
