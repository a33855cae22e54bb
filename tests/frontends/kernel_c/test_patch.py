"""Unified diffs of all styles, and those that do not apply."""

from __future__ import annotations

from pathlib import Path

import pytest

from frontends.kernel_c.support import SMALL, spec_of
from pmaplab.errors import InputError, UsageError
from pmaplab.frontends.kernel_c.patch import apply_patches
from pmaplab.frontends.kernel_c.source import SourceTree, find_tree
from pmaplab.tree import TreeSpec, check_patches

FILE = "amd64/amd64/mp_machdep.c"
HUNK = """\
@@ -33,3 +33,4 @@
 \tpc->pc_pcid_next = PMAP_PCID_KERN + 2;
 \tpc->pc_pcid_gen = 1;
+\tpc->pc_kcr3 = 3;
 \tmsr = rdmsr(0xc0000080) | 1;
"""
GIT = (
    f"diff --git a/sys/{FILE} b/sys/{FILE}\nindex 1..2 100644\n--- a/sys/{FILE}\n+++ b/sys/{FILE}\n"
)
SVN = (
    f"Index: head/sys/{FILE}\n{'=' * 67}\n--- head/sys/{FILE}\t(revision 340000)\n"
    f"+++ head/sys/{FILE}\t(working copy)\n"
)
PLAIN = f"--- {FILE}.orig\t2018-08-17 10:00:00\n+++ {FILE}\t2018-08-17 10:01:00\n"


def applied(tmp_path: Path, *texts: str) -> SourceTree:
    paths = []
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.diff"
        path.write_text(text)
        paths.append(str(path))
    return apply_patches(find_tree(str(SMALL)), paths)


def start_of(text: str) -> int:
    """The line of the small tree with ``text``."""
    lines = (SMALL / "sys" / FILE).read_text().split("\n")
    return next(n for n, line in enumerate(lines, 1) if text in line)


@pytest.mark.parametrize("head", [GIT, SVN, PLAIN], ids=["git", "svn", "diff -u"])
@pytest.mark.parametrize("moved", [0, -20, 40])
def test_a_patch_applies(tmp_path: Path, head: str, moved: int) -> None:
    line = start_of("pc_pcid_next") + moved
    hunk = HUNK.replace("@@ -33,3 +33,4 @@", f"@@ -{line},3 +{line},4 @@ init_secondary(void)")
    before = (SMALL / "sys" / FILE).read_text()
    tree = applied(tmp_path, f"Some words.\n\n{head}{hunk}")
    assert tree.read(FILE) == before.replace("gen = 1;\n", "gen = 1;\n\tpc->pc_kcr3 = 3;\n")
    assert (SMALL / "sys" / FILE).read_text() == before


def test_a_patch_without_context(tmp_path: Path) -> None:
    line = start_of("pc_pcid_gen")
    tree = applied(tmp_path, f"{GIT}@@ -{line},0 +{line + 1} @@\n+\tpc->pc_kcr3 = 3;\n")
    assert tree.read(FILE).split("\n")[line] == "\tpc->pc_kcr3 = 3;"


def test_two_patches_and_two_hunks(tmp_path: Path) -> None:
    first, second = start_of("mp_naps++"), start_of("pc_rsp0 = 0")
    one = f"{GIT}@@ -{second} +{second} @@\n-\tpc->pc_rsp0 = 0;\n+\tpc->pc_rsp0 = 1;\n"
    one += f"@@ -{first} +{first} @@\n-\tmp_naps++;\n+\tmp_naps += 1;\n"
    two = f"{GIT}@@ -{first} +{first} @@\n-\tmp_naps += 1;\n+\tmp_naps += 2;\n"
    text = applied(tmp_path, one, two).read(FILE)
    assert "mp_naps += 2;" in text and "pc_rsp0 = 1;" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing\n", "0.diff: is no unified diff"),
        (GIT + "@@ -3,2 +3,2 @@\n one\n-two\n+three\n", "does not apply to sys/amd64"),
        (GIT + "@@ -3,2 +3,2 @@\n one\n", "ends in the middle of a hunk"),
        (GIT + "@@ -3,1 +3,1 @@\n-a\n-b\n+c\n", "more lines than its head says"),
        (GIT + "@@ -3,2 +3,2 @@\n one\n*two\n", "begins with a blank, + or -"),
        (GIT, "no hunk for b/sys/amd64"),
        ("@@ -1 +1 @@\n-a\n+b\n", "without the two lines that name its file"),
        (GIT.replace("mp_machdep", "missing") + HUNK, "the tree has no file b/sys/amd64"),
        (GIT.replace(f"a/sys/{FILE}", "/dev/null") + HUNK, "creates or removes a file"),
        (GIT.replace(f"b/sys/{FILE}", "../../secret") + HUNK, "the tree has no file"),
    ],
)
def test_a_patch_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        applied(tmp_path, text)
    assert message in str(caught.value)


def test_a_missing_patch() -> None:
    with pytest.raises(InputError, match=r"nowhere\.diff: no such file"):
        apply_patches(find_tree(str(SMALL)), ["nowhere.diff"])


def test_a_patch_that_changes_nothing_under_check(tmp_path: Path) -> None:
    path = tmp_path / "comment.diff"
    path.write_text(
        f"--- {FILE}\n+++ {FILE}\n@@ -1 +1,2 @@\n-/* Starting the other processors. */\n"
        "+/* Starting them. */\n+static int nobody_uses_this;\n"
    )
    spec = TreeSpec(str(SMALL), (str(path),))
    with pytest.raises(UsageError, match="nothing that is under check changes"):
        check_patches(spec, 2, ())


def test_a_patched_header(tmp_path: Path) -> None:
    """A macro is as much under check as what uses it."""
    header = "amd64/include/pmap.h"
    path = tmp_path / "header.diff"
    number = (SMALL / "sys" / header).read_text().split("\n").index("#define\tPMAP_PCID_KERN\t\t0")
    path.write_text(
        f"--- a/sys/{header}\n+++ b/sys/{header}\n@@ -{number + 1} +{number + 1} @@\n"
        "-#define\tPMAP_PCID_KERN\t\t0\n+#define\tPMAP_PCID_KERN\t\t1\n"
    )
    check_patches(TreeSpec(str(SMALL), (str(path),)), 2, ())
    spec = spec_of(SMALL, mode="pcid", patches=(str(path),))
    assert spec.build().program != spec_of(SMALL, mode="pcid").build().program
