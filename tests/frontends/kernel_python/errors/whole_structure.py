class inner:
    a: u32


class pmap:
    pm_in: inner


def f(p: pmap, x: u32, y: u64) -> None:
    p.pm_in = p.pm_in
