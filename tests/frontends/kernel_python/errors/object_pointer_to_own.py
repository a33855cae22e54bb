cells: Annotated[list[u32], 2] = static()
own_cell: u32 = own(cells)
x: ptr[u32] = own_cell
