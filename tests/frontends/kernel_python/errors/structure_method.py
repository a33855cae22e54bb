class s:
    a: u32

    def f(self) -> None:
        pass
