"""How hypothesis runs here: without deadlines, and the same every time in CI."""

from __future__ import annotations

import os

from hypothesis import settings

# One example may compile a program or search a state space.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
