def f() -> None:
    größe: u32 = 1
    y = größe + größe + unbekannt
