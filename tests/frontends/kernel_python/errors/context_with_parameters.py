@thread_context
def f(x: u32) -> None:
    pass
