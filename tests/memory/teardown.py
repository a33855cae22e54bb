"""One CPU takes an address space into use while another one lets it go.

The first says so in ``in_use`` and then looks at ``dying``; the second says so
in ``dying`` and then looks at ``in_use``.  Each looks only after its own store
has reached memory, or both may find the other's flag clear.
"""

from __future__ import annotations

from pmaplab.kernel_python import KASSERT, must_reach, sometimes, this_cpu, thread_context

in_use: bool = False
dying: bool = False
gone: bool = False


def before_looking() -> None:
    """Nothing here: the fence that is missing."""


def use() -> None:
    global in_use
    in_use = True
    before_looking()
    if not dying:
        KASSERT(not gone, "the address space in use is gone")
        sometimes("it is used")


def let_go() -> None:
    global dying, gone
    dying = True
    before_looking()
    if not in_use:
        gone = True
        sometimes("it goes")


@thread_context
def cpu_main() -> None:
    if this_cpu() == 0:
        use()
    else:
        let_go()


must_reach("it is used")
must_reach("it goes")
