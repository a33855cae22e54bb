LIMIT: Final = 5
x: LIMIT = 0
