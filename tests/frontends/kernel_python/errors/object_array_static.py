x: Annotated[list[u32], 2] = static(a=1)
