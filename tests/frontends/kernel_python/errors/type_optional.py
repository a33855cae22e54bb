x: u32 | None = 0
