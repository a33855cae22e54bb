word: u32 = 0


def f() -> None:
    x = word
    global word
    word = x
