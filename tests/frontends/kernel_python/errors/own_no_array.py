word: u32 = 0
PCPU: u32 = own(word)
