class s(t):
    a: u32
