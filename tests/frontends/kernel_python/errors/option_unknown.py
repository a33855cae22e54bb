X: Final[u32] = option("MAXCPUS")
