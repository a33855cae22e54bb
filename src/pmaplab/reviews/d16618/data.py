"""FreeBSD review D16618: "amd64: ensure that curproc->p_vmspace pmap always
matches PCPU curpmap" (https://reviews.freebsd.org/D16618, August 2018).

The claims are written down here as they were made, or as they follow; nothing
in this file is computed from a run.
"""

from __future__ import annotations

from pmaplab.reviews.model import (
    ALL,
    NOPCID,
    PCID,
    Claim,
    Figure,
    Proposal,
    Reached,
    Review,
    SameAtRest,
    SameResults,
    Verdict,
)

COUNT = "debug.count"


def _all_cpus(cpus: int, maxcpu: int) -> int:
    """kernel_pmap's set keeps every bit."""
    return maxcpu


def _without_aps(cpus: int, maxcpu: int) -> int:
    """Each AP's first switch clears its own bit; the boot CPU's survives."""
    return maxcpu - (cpus - 1)


def _without_cpus(cpus: int, maxcpu: int) -> int:
    """The boot CPU loses its bit as well."""
    return maxcpu - cpus


BEFORE = Proposal(
    id="before",
    title="the code before the review",
    where="the left-hand side of the first diff",
    base=None,
    files=(),
    claims=(
        Claim(
            "curpmap stays wrong when switching between kernel_pmap and a kernel process "
            "(without PCID)",
            "stated",
            Verdict("curpmap", NOPCID, "violated"),
        ),
        Claim(
            "on 6 CPUs with MAXCPU 256, debug.count is 250 (without PCID the boot CPU too loses "
            "its bit later, since its curpmap never leaves kernel_pmap)",
            "stated",
            Figure(COUNT, NOPCID, _without_cpus),
        ),
        Claim(
            "with PCID, debug.count is 251: the boot CPU keeps its bit",
            "derived",
            Figure(COUNT, PCID, _without_aps),
        ),
        Claim(
            "kernel_pmap and vmspace0's pmap are two structures with one root: the review prints "
            "both addresses",
            "stated",
            Reached("kernel_pmap and vmspace0's pmap are two structures with one root", ALL, True),
        ),
    ),
)

ASSERTION = Proposal(
    id="before+assertion",
    title="the reviewer's assertion alone",
    where="serves a claim about reviewer-patch",
    base="before",
    files=("assertion",),
    claims=(),
    hidden=True,
)

DIFF_1 = Proposal(
    id="diff-1",
    title="update curpmap also when the roots are equal",
    where="the author's first diff",
    base="before",
    files=("diff_1",),
    claims=(
        Claim(
            "one \"might have expected\" 251: the boot CPU's bit survives, each AP's first switch "
            "clears its own",
            "stated",
            Figure(COUNT, ALL, _without_aps),
        ),
    ),
)

FIRST_ATTEMPT = Proposal(
    id="first-attempt",
    title="pmap_pinit0 sets curpmap to the new pmap, then activates as before",
    where="the first attempt that the discussion tells of",
    base="before",
    files=("first_attempt",),
    claims=(
        Claim("it does not work", "stated", Verdict(None, ALL, "violated")),
        Claim(
            "reason 1, the comparison of the roots: without PCID it bites on the APs",
            "stated",
            Reached("an AP switches to a root that is loaded already", NOPCID, True),
        ),
        Claim(
            "reason 1 does not bite on the boot CPU, whose curpmap is right from the start",
            "derived",
            Reached("the boot CPU switches to a root that is loaded already", NOPCID, False),
        ),
        Claim(
            "reason 2: the APs still start at kernel_pmap",
            "stated",
            Reached("an AP has curpmap = kernel_pmap", ALL, True),
        ),
        Claim(
            "reason 3, the early return, since old and new pmap are the same: the boot CPU's bit "
            "is not set at boot",
            "stated",
            Reached("the boot CPU has activated vmspace0's pmap and is not in its set", ALL, True),
        ),
    ),
)

DIFF_1_AND_ATTEMPT = Proposal(
    id="diff-1-and-attempt",
    title="diff-1 and first-attempt together",
    where="in answer to the first attempt",
    base="diff-1",
    files=("first_attempt",),
    claims=(
        Claim("insufficient", "stated", Verdict(None, ALL, "violated")),
        Claim(
            "the APs still start at kernel_pmap",
            "stated",
            Reached("an AP has curpmap = kernel_pmap", ALL, True),
        ),
        Claim("debug.count is 251", "derived", Figure(COUNT, ALL, _without_aps)),
    ),
)

REVIEWER_PATCH = Proposal(
    id="reviewer-patch",
    title="init_secondary and pmap_pinit0 put their CPUs onto vmspace0's pmap by hand; a KASSERT "
    "that with equal roots the pmaps are equal",
    where="a reviewer's counter-proposal",
    base="before+assertion",
    files=("reviewer_patch",),
    claims=(
        Claim(
            "it cannot work: the APs run init_secondary before proc0 is made",
            "stated",
            Reached("an AP is on vmspace0's pmap before proc0 is made", ALL, True),
        ),
        Claim(
            "so pmap_pinit0 wipes the APs' bits",
            "derived",
            Reached("an AP on vmspace0's pmap is not in its set", ALL, True),
        ),
        Claim(
            "the arm's assertion fails where the arm is reached (measured on the code before the "
            "review with the assertion added)",
            "stated",
            Verdict("assertions", NOPCID, "violated"),
            of="before+assertion",
        ),
        Claim(
            "the arm's assertion can only fail, since equal pmaps returned earlier (measured on "
            "the code before the review with the assertion added)",
            "stated",
            Reached("with equal roots the pmaps were equal", NOPCID, False),
            of="before+assertion",
        ),
        Claim("debug.count is 256", "derived", Figure(COUNT, ALL, _all_cpus)),
        Claim("violated all the same", "derived", Verdict(None, ALL, "violated")),
    ),
)

BOOT_HELPER = Proposal(
    id="boot-helper",
    title="pmap_activate_boot, called by pmap_pinit0 and by each AP once proc0 exists",
    where="the author's next diff",
    base="diff-1",
    files=("boot_helper",),
    claims=(
        Claim(
            "the refill of kernel_pmap's set in pmap_pinit0 is redundant: the set never lacks "
            "a CPU",
            "stated",
            Reached("kernel_pmap's set lacks a CPU", ALL, False),
        ),
        Claim("debug.count is 256", "derived", Figure(COUNT, ALL, _all_cpus)),
    ),
)

NO_REFILL = Proposal(
    id="no-refill",
    title="without the refill of kernel_pmap's set",
    where="in answer to a remark on boot-helper",
    base="boot-helper",
    files=("no_refill",),
    claims=(Claim("the same states at rest as boot-helper", "derived", SameAtRest("boot-helper")),),
)

NO_CR3_COMPARE = Proposal(
    id="no-cr3-compare",
    title="without the comparison of %cr3 in the mode without PCID",
    where="in answer to a remark on boot-helper",
    base="no-refill",
    files=("no_cr3_compare",),
    claims=(
        Claim(
            "past the early return the new root always differs from the loaded one, so the "
            "comparison has no point (the boot CPU)",
            "stated",
            Reached("the boot CPU switches to a root that is loaded already", NOPCID, False),
        ),
        Claim(
            "past the early return the new root always differs from the loaded one, so the "
            "comparison has no point (the APs)",
            "stated",
            Reached("an AP switches to a root that is loaded already", NOPCID, False),
        ),
    ),
)

COMMITTED = Proposal(
    id="committed",
    title="with an assertion that pmap_activate_boot is not given kernel_pmap",
    where="accepted",
    base="no-cr3-compare",
    files=("committed",),
    claims=(
        Claim("debug.count is 256", "derived", Figure(COUNT, ALL, _all_cpus)),
        Claim("the assertion never fires", "derived", Verdict("assertions", ALL, "holds")),
    ),
)

TAIL = Proposal(
    id="tail",
    title="the AP's call of pmap_activate_boot moves into init_secondary_tail",
    where="a follow-up commit",
    base="committed",
    files=("tail",),
    claims=(Claim("as committed", "derived", SameResults("committed", COUNT)),),
)

REPAIRED = Proposal(
    id="repaired",
    title="vmspace0 owns the PCID after the kernel's from the start",
    where="no part of the review: the smallest repair of what is found in committed",
    base="tail",
    files=("repaired",),
    claims=(
        Claim("debug.count is 256", "derived", Figure(COUNT, ALL, _all_cpus)),
        Claim("it holds in every mode", "derived", Verdict(None, ALL, "holds")),
    ),
)

REVIEW = Review(
    id="D16618",
    title="amd64: ensure that curproc->p_vmspace pmap always matches PCPU curpmap",
    folder="d16618",
    observers="pmaplab.reviews.d16618.observers",
    proposals=(
        BEFORE,
        ASSERTION,
        DIFF_1,
        FIRST_ATTEMPT,
        DIFF_1_AND_ATTEMPT,
        REVIEWER_PATCH,
        BOOT_HELPER,
        NO_REFILL,
        NO_CR3_COMPARE,
        COMMITTED,
        TAIL,
        REPAIRED,
    ),
)
