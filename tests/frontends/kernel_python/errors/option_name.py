X: Final[u32] = option(5)
