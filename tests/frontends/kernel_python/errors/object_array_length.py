x: Annotated[list[u32], 2] = [i for i in range(3)]
