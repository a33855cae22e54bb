word_t: TypeAlias
x: word_t = 0
