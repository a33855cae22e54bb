@staticmethod
def f() -> None:
    pass
