word: u32 = 0
X: Final[u32] = word
