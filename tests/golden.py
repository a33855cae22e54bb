"""Texts that are stored beside the tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Golden:
    """``python -m pytest --accept`` stores what is found as expected."""

    accept: bool

    def check(self, found: str, path: Path) -> None:
        """Fail unless ``path`` holds the text ``found``."""
        if self.accept:
            path.write_text(found, encoding="utf-8")
            return
        if not path.is_file():
            pytest.fail(f"{path} is missing; run with --accept, and look at what it stores")
        assert found == path.read_text(encoding="utf-8")
