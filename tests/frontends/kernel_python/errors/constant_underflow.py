X: Final[u32] = 1 - 2
