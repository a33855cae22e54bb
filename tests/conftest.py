"""How hypothesis runs here: without deadlines, and the same every time in CI.

And what is common to all tests that compare with a stored text.
"""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import settings

from golden import Golden

# Its assertions say what differs, as those of the tests themselves.
pytest.register_assert_rewrite("native.compare")

# As the command line has it, whose reasons hold here as well.
gc.set_threshold(200_000, 20, 20)

# One example may compile a program or search a state space.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--accept", action="store_true", help="store what the golden tests find as expected"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compares a text with a stored one; --accept stores it."""
    return Golden(accept=bool(request.config.getoption("--accept")))
