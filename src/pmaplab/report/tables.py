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
    lines = capture.get().split("\n")
    return Text("\n").join(Text.from_ansi(line.rstrip()) for line in lines)
