"""The list of what may be interchangeable."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmaplab.errors import InputError
from pmaplab.ir.layout import Layout
from pmaplab.machine.modes import find_mode
from pmaplab.reviews.registry import proposal_files
from pmaplab.search.symmetry import INDEX, SET, Values, _is_field
from pmaplab.symmetries import declared_symmetries, read_symmetries
from pmaplab.system import build_system, default_bounds, options

OPTIONS = {"things": 2, "tables": 4}
GOOD = """
[[symmetry]]
name = "things"
count = "things"
objects = ["things", "box.things"]
reason = "they are alike"

[[symmetry.values]]
how = "index"
blocks = 3
fields = ["number", "boxes[things].number"]
locals = ["take.number"]
reason = "a number"

[[symmetry.values]]
how = "set"
among = "tables"
fields = ["set"]
reason = "sixteen bits each"
"""


def read(tmp_path: Path, text: str) -> object:
    path = tmp_path / "symmetries.toml"
    path.write_text(text)
    return read_symmetries(path, OPTIONS)


def test_what_a_file_declares(tmp_path: Path) -> None:
    path = tmp_path / "symmetries.toml"
    path.write_text(GOOD)
    (kind,) = read_symmetries(path, OPTIONS)
    assert (kind.name, kind.count, kind.objects) == ("things", 2, ("things", "box.things"))
    assert kind.values == (
        Values(INDEX, ("number", "boxes[2].number"), ("take.number",), blocks=3),
        Values(SET, ("set",), bits=16),
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[[symmetry]]", "[[symetry]]", "symetry"),
        ("[[symmetry]]", "[symmetry]", "no list of tables"),
        ('name = "things"', "", "[[symmetry]] 1: name is missing"),
        ('count = "things"', 'count = "thing"', "[[symmetry]] 1: there is no option 'thing'"),
        ("objects", "object", "there is no key 'object'"),
        ('objects = ["things", "box.things"]', "objects = []", "objects is missing"),
        ('"box.things"]', '"things"]', "things has the objects of things already"),
        ('reason = "a number"', "", "[[symmetry.values]] 1: reason is missing"),
        ('how = "index"', 'how = "indx"', "[[symmetry.values]] 1: how is 'indx'"),
        ("blocks = 3", "blocks = 0", "blocks is a number"),
        ("blocks = 3", 'like = "a.b"', "`like` is for"),
        ("blocks = 3", "mask = 3", "mask is a number"),
        ("blocks = 3", 'among = "tables"', "`among` is for"),
        ('among = "tables"', 'among = "table"', "[[symmetry.values]] 2: there is no option"),
        ('fields = ["set"]', "", "[[symmetry.values]] 2: there are neither fields nor locals"),
        ("boxes[things]", "boxes[thing]", "there is no option 'thing'"),
        ('"set"', "set", "must be TOML"),
    ],
)
def test_what_is_wrong_in_a_file(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError) as failed:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert message in str(failed.value)
    assert str(failed.value).startswith(str(tmp_path))


def test_every_name_is_of_the_reference_kernel() -> None:
    """In some scenario and mode, with what holds."""
    declared = declared_symmetries(options(find_mode("pcid"), default_bounds("shootdown")))
    arrays = {name for kind in declared for name in kind.objects}
    fields = {name for kind in declared for v in kind.values for name in v.fields}
    local = {name for kind in declared for v in kind.values for name in v.locals}
    for scenario in ("activate", "shootdown"):
        for name in ("nopcid+pti", "pcid+pti", "pcid+invpcid+pti"):
            program = build_system(
                scenario, proposal_files("repaired"), find_mode(name), default_bounds(scenario)
            ).program
            layout = Layout(program)
            arrays -= set(program.globals)
            arrays -= {f"{s.name}.{f}" for s in program.structs.values() for f, _ in s.fields}
            for function, frame in layout.frames.items():
                for known in frame.locals:
                    local -= {f"{function}.{known}", f"{function}.*", f"*.{known}"}
            paths = {cell.name for cell in layout.cells}
            fields -= {f"{s.name}.{f}" for s in program.structs.values() for f, _ in s.fields}
            fields -= {
                declared_field
                for declared_field in fields
                if any(_is_field(declared_field, "", path) for path in paths)
            }
    assert not arrays and not fields and not local
