@thread_context
def cpu_main() -> None:
    if within(0, "activated"):
        sometimes("a")
