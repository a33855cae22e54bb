x: Annotated[ptr[u32], Range(0, 1)] = NULL
