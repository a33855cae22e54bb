async def f() -> None:
    pass
