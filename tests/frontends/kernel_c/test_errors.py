"""What the front end does not know is an error with its place, never a guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from frontends.kernel_c.support import HERE, copy_of, spec_of
from golden import Golden
from pmaplab.errors import PmaplabError

FILES = sorted((HERE / "errors").glob("*.c"))
TABLE = """\
[[source]]
file = "kern/broken.c"
functions = ["broken"]
"""
SCENARIO = '''\
"""Runs it."""

from __future__ import annotations

from pmaplab.kernel_python import thread_context
from pmaplab.scenarios.power_on import bring_up


def broken() -> None:
    """The C takes its place."""


@thread_context
def cpu_main() -> None:
    bring_up()
    broken()
'''


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_error(tmp_path: Path, golden: Golden, path: Path) -> None:
    tree = copy_of(tmp_path, broken=path.read_text(encoding="utf-8"))
    table, scenario = tmp_path / "api.toml", tmp_path / "scenario.py"
    table.write_text(TABLE)
    scenario.write_text(SCENARIO)
    with pytest.raises(PmaplabError) as caught:
        spec_of(tree, scenario=str(scenario), tables=(str(table),)).build()
    golden.check(f"{caught.value}\n", path.with_suffix(".expected"))
