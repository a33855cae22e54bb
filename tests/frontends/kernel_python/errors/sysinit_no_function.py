SYSINIT("f", 1, 1, 5)
