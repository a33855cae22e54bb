X: Final[u32] = option("zzz")
