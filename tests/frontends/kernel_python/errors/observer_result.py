@observer
def f(cpu: u32) -> bool:
    return True
