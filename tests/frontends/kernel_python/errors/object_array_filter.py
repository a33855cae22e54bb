x: Annotated[list[u8], 4] = [i for i in range(4) if i]
