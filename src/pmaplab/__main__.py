"""``python -m pmaplab``."""

from __future__ import annotations

import sys

from pmaplab.cli.main import main

sys.exit(main())
