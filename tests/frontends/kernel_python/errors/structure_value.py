class s:
    a: u32 = 5
