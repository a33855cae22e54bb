PCPU: u32 = own(__pcpu)
