MAXCPU: Final[u32] = 2
X: Final[u32] = MAXCPUS
