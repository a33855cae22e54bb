x: Annotated[u8, Range(0, 256)] = 0
