def f() -> None:
	x: u32 = 1
	if x == 1:
		y = x + unknown
