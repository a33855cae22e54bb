x: u32
