"""What the kernel's build generates, and the few macros that are read otherwise.

A scratch folder goes in front of the tree's own headers.  It holds the links
``machine`` and ``x86``, the ``opt_*.h`` files, and a header of the same name in
front of those whose macros are assembly or limits: it includes the tree's own
header and then defines these macros anew.  Nothing is written to the tree.
"""

from __future__ import annotations

import re
from pathlib import Path

from pmaplab.frontends.kernel_c.source import SourceTree

ARGUMENTS = (
    "--target=x86_64-unknown-freebsd12",
    "-nostdinc",
    "-ffreestanding",
    "-std=gnu99",
    "-D_KERNEL",
    "-DHAVE_KERNEL_OPTION_HEADERS",
    "-fno-builtin",
    "-w",
    "-ferror-limit=1",
)

# The links that the build makes, and what they stand for.
LINKS = {"machine": "amd64/include", "x86": "x86/include"}

# Accesses through %gs: the running CPU's own structure.
_PCPU = """\
#include_next <machine/pcpu.h>
#ifdef PCPU_GET
struct pcpu *__pmaplab_pcpu(void);
void __pmaplab_pcpu_add(void *, unsigned long);
#undef PCPU_GET
#undef PCPU_SET
#undef PCPU_ADD
#undef PCPU_INC
#undef PCPU_PTR
#undef get_pcpu
#undef curthread
#define PCPU_GET(member) (__pmaplab_pcpu()->pc_##member)
#define PCPU_SET(member, val) ((void)(__pmaplab_pcpu()->pc_##member = (val)))
#define PCPU_ADD(member, val) __pmaplab_pcpu_add(&__pmaplab_pcpu()->pc_##member, (val))
#define PCPU_INC(member) __pmaplab_pcpu_add(&__pmaplab_pcpu()->pc_##member, 1)
#define PCPU_PTR(member) (&__pmaplab_pcpu()->pc_##member)
#define get_pcpu() (__pmaplab_pcpu())
#define curthread (__pmaplab_pcpu()->pc_curthread)
#endif
"""
# Where it is there, it reads curthread by assembly.
_PCPU_AUX = """\
#include_next <machine/pcpu_aux.h>
#undef curthread
#define curthread (__pmaplab_pcpu()->pc_curthread)
"""
# The inline part of a mutex compares and swaps its words by hand.
_MUTEX = """\
#include_next <sys/mutex.h>
#undef mtx_init
#undef mtx_lock
#undef mtx_unlock
#undef mtx_lock_spin
#undef mtx_unlock_spin
#undef mtx_assert
void mtx_init(struct mtx *, const char *, const char *, int);
void mtx_lock(struct mtx *);
void mtx_unlock(struct mtx *);
void mtx_lock_spin(struct mtx *);
void mtx_unlock_spin(struct mtx *);
void mtx_assert(const struct mtx *, int);
"""
# The machine numbers vectors from 0: x86/smp_tlb.py.
_VECTORS = {"IPI_INVLTLB": 0, "IPI_INVLPG": 1, "IPI_INVLRNG": 2, "IPI_INVLOP": 3}
_LIMIT = """\
#ifdef {name}
#undef {name}
#define {name} {value}
#endif
"""
_OPTIONS = """\
#define SMP 1
#define INVARIANTS 1
#define INVARIANT_SUPPORT 1
#define EARLY_AP_STARTUP 1
#undef MAXCPU
#define MAXCPU {maxcpu}
"""
_OTHERS = {
    "bsm/audit.h": "struct auditinfo_addr { int ai_auid; };\n",
    "bsm/audit_kevents.h": "",
}
_OFFSYM = re.compile(r"^OFFSYM\((\w+),\s*(\w+),\s*([\w \*]+)\);", re.MULTILINE)


def write_headers(
    tree: SourceTree, folder: Path, maxcpu: int, limits: dict[str, int]
) -> tuple[str, ...]:
    """Fill the scratch ``folder``; clang's arguments.

    ``limits`` are macros of machine/pmap.h that get another value.
    """
    front, links = folder / "front", folder / "links"
    for inner in (front / "machine", front / "sys", front / "x86", links):
        inner.mkdir(parents=True)
    (front / "machine/pcpu.h").write_text(_PCPU)
    if tree.has("amd64/include/pcpu_aux.h"):
        (front / "machine/pcpu_aux.h").write_text(_PCPU_AUX)
    (front / "sys/mutex.h").write_text(_MUTEX)
    (front / "machine/pmap.h").write_text(_redefining("machine/pmap.h", limits))
    (front / "x86/apicvar.h").write_text(_redefining("x86/apicvar.h", _VECTORS))
    (links / "opt_global.h").write_text(_OPTIONS.format(maxcpu=maxcpu))
    (links / "offset.inc").write_text(_offsets(tree))
    for link, real in LINKS.items():
        (links / link).symlink_to(tree.root / real)
    return (
        *ARGUMENTS,
        f"-I{front}",
        f"-I{links}",
        f"-I{tree.root}",
        f"-I{tree.root / 'contrib/ck/include'}",
        f"-fmacro-prefix-map={tree.root}=sys",
        "-include",
        "opt_global.h",
    )


def _redefining(header: str, values: dict[str, int]) -> str:
    """A header in front of the tree's own, whose macros get other values."""
    text = f"#include_next <{header}>\n"
    return text + "".join(_LIMIT.format(name=name, value=value) for name, value in values.items())


def stand_in(name: str) -> str | None:
    """The text of a header that is missing, None for one that must be there.

    The build makes some; others belong to a subsystem that the pmap knows only
    by the pointers that pass through its headers, and a partial checkout may be
    without them.
    """
    if re.fullmatch(r"opt_\w+\.h|\w+_if\.h|assym\.(inc|s)", name):
        return ""
    return _OTHERS.get(name)


def _offsets(tree: SourceTree) -> str:
    """offset.inc: the fields of struct thread that headers need early."""
    if not tree.has("kern/genoffset.c"):
        return ""
    fields = [
        f"\t{kind.strip()} {name};\n"
        for name, struct, kind in _OFFSYM.findall(tree.read("kern/genoffset.c"))
        if struct == "thread"
    ]
    if not fields:
        return ""
    return f"struct thread_lite {{\n{''.join(fields)}}};\n"
