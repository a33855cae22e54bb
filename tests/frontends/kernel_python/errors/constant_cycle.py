X: Final[u32] = Y
Y: Final[u32] = X
