class s:
    a: u32
    b: t


class t:
    c: Annotated[list[s], 2]
