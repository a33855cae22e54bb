X: Final[u32] = 0x100000000
