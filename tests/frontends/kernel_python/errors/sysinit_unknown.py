def idle_setup() -> None:
    pass


SYSINIT("f", 1, 1, idle_setpu)
