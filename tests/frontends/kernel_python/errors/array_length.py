x: Annotated[list[u32], 0] = static()
