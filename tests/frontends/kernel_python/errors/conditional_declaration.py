if 1:
    x: u32 = 0
