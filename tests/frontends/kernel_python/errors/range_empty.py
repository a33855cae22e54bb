x: Annotated[u8, Range(5, 4)] = 5
