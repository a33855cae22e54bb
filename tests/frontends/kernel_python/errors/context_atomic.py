@atomic
@thread_context
def f() -> None:
    pass
