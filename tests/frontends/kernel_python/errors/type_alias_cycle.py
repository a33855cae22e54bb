a_t: TypeAlias = b_t
b_t: TypeAlias = a_t
x: a_t = 0
