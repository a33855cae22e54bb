"""Where what was made once is kept: compiled workers, parsed trees."""

from __future__ import annotations

import os
from pathlib import Path

# Names the folder, instead of one below XDG_CACHE_HOME.
CACHE_VARIABLE = "PMAPLAB_CACHE"


def cache_folder() -> Path:
    """$PMAPLAB_CACHE, else pmaplab below $XDG_CACHE_HOME, which is ~/.cache if it is
    not set."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "pmaplab"
