def f() -> None:
    g()


def g() -> None:
    f()


@thread_context
def cpu_main() -> None:
    pass
