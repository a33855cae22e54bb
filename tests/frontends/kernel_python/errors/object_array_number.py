x: Annotated[list[u32], 2] = 5
