x: Annotated[list[u8], 4] = [i * 100 for i in range(4)]
