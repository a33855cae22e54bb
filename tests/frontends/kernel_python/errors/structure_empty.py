class s:
    pass
