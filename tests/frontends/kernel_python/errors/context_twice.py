@thread_context
def cpu_main() -> None:
    pass


@thread_context
def other() -> None:
    pass
