x: Annotated[Annotated[u32, Range(0, 5)], Range(0, 1)] = 0
