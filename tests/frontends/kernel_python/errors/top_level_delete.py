x: u32 = 0
del x
