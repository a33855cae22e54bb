x: ptr[u32] = 5
