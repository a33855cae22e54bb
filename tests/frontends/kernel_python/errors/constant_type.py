class s:
    a: u32


X: Final[s] = 5
