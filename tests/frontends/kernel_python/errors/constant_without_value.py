X: Final[u32]
