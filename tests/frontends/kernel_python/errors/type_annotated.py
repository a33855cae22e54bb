x: Annotated[u32, 5] = 0
