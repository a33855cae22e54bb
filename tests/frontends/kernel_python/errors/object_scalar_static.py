x: u8 = static()
