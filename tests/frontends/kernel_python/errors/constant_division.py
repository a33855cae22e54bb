X: Final[u32] = 5 // 0
