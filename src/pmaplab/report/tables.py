"""Tables as text."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType
from rich.text import Text


def plain(content: RenderableType, width: int) -> Text:
    """``content`` as styled text of a fixed width, whatever the terminal."""
    console = Console(file=io.StringIO(), width=width, color_system="standard", force_terminal=True)
    with console.capture() as capture:
        console.print(content)
    lines = [Text.from_ansi(line) for line in capture.get().split("\n")]
    for line in lines:
        line.rstrip()
    return Text("\n").join(lines)
