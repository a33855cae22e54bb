cells: Annotated[list[u32], 2] = static()
PCPU: u64 = own(cells)
