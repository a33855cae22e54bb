def f() -> u32:
    return 1


@thread_context
def cpu_main() -> None:
    pass


SYSCTL("f", f)
