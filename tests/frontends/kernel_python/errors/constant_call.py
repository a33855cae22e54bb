X: Final[u32] = popcount(5)
