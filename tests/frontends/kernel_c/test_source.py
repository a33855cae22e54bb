"""Folders that are no tree, tables that are none, and the cache."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from frontends.kernel_c.support import SMALL, copy_of, spec_of
from pmaplab.errors import InputError, PmaplabError
from pmaplab.frontends.kernel_c import cache, clang
from pmaplab.frontends.kernel_c.api import read_api
from pmaplab.frontends.kernel_c.parse import parse_tree
from pmaplab.frontends.kernel_c.source import find_tree


def test_a_tree_is_found_from_above_and_by_its_sys() -> None:
    assert find_tree(str(SMALL)) == find_tree(str(SMALL / "sys"))
    assert find_tree(str(SMALL)).release == "13.0"


def test_no_tree(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        find_tree(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="no FreeBSD tree"):
        find_tree(str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        find_tree(str(tmp_path / "file"))


def test_another_kernel_and_another_architecture(tmp_path: Path) -> None:
    tree = copy_of(tmp_path)
    (tree / "sys/amd64").rename(tree / "sys/arm64")
    (tree / "sys/arm64/amd64").rename(tree / "sys/arm64/arm64")
    with pytest.raises(InputError, match="only a pmap for arm64"):
        find_tree(str(tree))
    (tree / "sys/sys/param.h").write_text("#define VERSION 3\n")
    with pytest.raises(InputError, match="no __FreeBSD_version"):
        find_tree(str(tree))


@pytest.mark.parametrize("missing", ["x86/x86/mp_x86.c", "sys/proc.h"])
def test_a_missing_file(tmp_path: Path, missing: str) -> None:
    tree = copy_of(tmp_path)
    (tree / "sys" / missing).unlink()
    with pytest.raises(InputError, match=missing.replace(".", r"\.")):
        spec_of(tree).build()


def test_a_function_that_the_scenario_needs(tmp_path: Path) -> None:
    tree = copy_of(tmp_path)
    path = tree / "sys/amd64/amd64/pmap.c"
    path.write_text(path.read_text().replace("pmap_pinit0(", "pmap_pinit_zero("))
    with pytest.raises(InputError, match="the tree has no function pmap_pinit0"):
        spec_of(tree).build()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[", "the file must be TOML"),
        ("[[dropped]]\nnames = []\n", "there is no table [[dropped]]"),
        ("[drop]\nnames = []\n", "drop is no list"),
        ('[[drop]]\nnames = ["f"]\n', "reason is missing"),
        ('[[drop]]\nnames = "f"\nreason = "r"\n', "names is missing, or no list"),
        ('[[drop]]\nnames = ["f"]\nreason = "r"\nwhy = "x"\n', "there is no key 'why'"),
        ('[[operation]]\nnames = ["f"]\ndoes = "magic"\n', "there is no operation 'magic'"),
        ('[[model]]\nmodule = "pmaplab.nowhere"\n', "no such kernel Python module"),
        ('[[model]]\nname = "load_cr3"\nfunction = "f"\nreason = "r"\n', "which is not there"),
        (
            '[[model]]\nname = "load_cr3"\nlooks = true\nreason = "r"\n',
            "the table says that load_cr3 only looks, but",
        ),
    ],
)
def test_a_table_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "api.toml"
    path.write_text(text)
    with pytest.raises(PmaplabError) as caught:
        spec_of(SMALL, tables=(str(path),)).build()
    assert message in str(caught.value)


def test_a_table_extends_the_one_of_the_tool(tmp_path: Path) -> None:
    """What it leaves out is named in the verdict."""
    path = tmp_path / "api.toml"
    path.write_text('[[drop]]\nnames = ["critical_enter", "critical_exit"]\nreason = "why not"\n')
    system = spec_of(SMALL, tables=(str(path),)).build()
    assert system.tree is not None
    assert system.tree.dropped["critical_enter"] == "why not"


def test_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, api = find_tree(str(copy_of(tmp_path))), read_api()
    monkeypatch.setenv("PMAPLAB_CACHE", str(tmp_path / "cache"))
    parsed = parse_tree(tree, api, 2, {})
    [entry] = cache.folder().glob("*.json.gz")

    def fail(_: object) -> None:
        raise AssertionError("parsed again")

    with monkeypatch.context() as without:
        without.setattr(clang, "parse", fail)
        assert parse_tree(tree, api, 2, {}) == parsed
        # Another bound, another header: parsed again.
        with pytest.raises(AssertionError, match="parsed again"):
            parse_tree(tree, api, 3, {})
        header = tree.root / "amd64/include/pmap.h"
        text = header.read_text()
        header.write_text(f"{text}/* changed */\n")
        with pytest.raises(AssertionError, match="parsed again"):
            parse_tree(tree, api, 2, {})
        header.write_text(text)
        assert parse_tree(tree, api, 2, {}) == parsed
        entry.write_bytes(b"damaged")
        with pytest.raises(AssertionError, match="parsed again"):
            parse_tree(tree, api, 2, {})
    assert parse_tree(tree, api, 2, {}) == parsed
    shutil.rmtree(cache.folder())
    cache.folder().parent.chmod(0o755)
    assert parse_tree(tree, api, 2, {}) == parsed
