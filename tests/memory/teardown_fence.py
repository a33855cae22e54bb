"""The fence that teardown.py lacks."""

from __future__ import annotations

from pmaplab.kernel_python import atomic_thread_fence_seq_cst


def before_looking() -> None:
    atomic_thread_fence_seq_cst()
