"""Lanes that are chosen anew while successors wait for their keys."""

from __future__ import annotations

from native.compare import same
from search.small import function, system

WORDS = "abcdf"
VALUES = 5


def anew() -> str:
    """All contents are in one lane at first, so that keys are long.  While many states are
    expanded, lanes are chosen in which there are few; then these become many."""
    text = "cpus 1\nglobal @other: u32\nagent cpu0 cpu 0 context thread entry @main\n"
    text += "".join(f"global @{word}: u32\n" for word in WORDS)
    stores = (f"store @{word}:*u32, %{word}" for word in WORDS)
    head = ", ".join(f"%{word}: u32" for word in WORDS)
    text += "atomic " + function("put", *stores, "return", head=f"({head})")
    number = "%x"
    for word in WORDS:
        number = f"add(mul({number}, {VALUES}:u32), %{word})"
    text += "atomic " + function(
        "spread",
        *(f"%{word} = load @{word}:*u32" for word in WORDS),
        f"%x = {number}",
        *(f"store @{word}:*u32, add(%x, {VALUES}:u32)" for word in WORDS),
        "return %x",
        head="(%x: u32) -> u32",
        more="\n".join(f"var %{word}: u32" for word in WORDS),
    )
    return text + function(
        "main",
        *(f"%{word} = choose 0:u32, {VALUES - 1}:u32" for word in WORDS),
        f"call @put({', '.join(f'%{word}' for word in WORDS)})",
        "%x = load @other:*u32",
        "%x = choose 0:u32, 1:u32",
        "%x = call @spread(%x)",
        'assert ne(%x, 2415:u32), MPASS, "seen"',
        "store @other:*u32, 1:u32",
        "return",
        more="\n".join(f"var %{local}: u32" for local in f"{WORDS}x"),
    )


def test_states_whose_keys_become_shorter() -> None:
    """They were others once the keys became longer again, and what fails was not found."""
    found = same(system(anew()), threads=1)
    assert found is not None and set(found.violations) == {"assertions"}
    assert found.states == 21_874
