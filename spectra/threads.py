"""How many cores there are, and BLAS on one thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

_lock = Lock()
_limits: list[Any] = []
_holders = 0


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """BLAS on one thread until the last of those who asked for it, in any thread, is done.

    Matrices of a few hundred rows keep one core busy, not several: BLAS threads that wait for each other on a loaded
    machine cost a factor 50 (measured, width 150). One thread a product also makes its rounding reproducible.
    """
    global _holders
    import scipy.linalg.lapack  # noqa: F401  # brings its own BLAS, which the limit must find loaded
    from threadpoolctl import threadpool_limits

    with _lock:
        if _holders == 0:
            _limits.append(threadpool_limits(limits=1, user_api="blas"))
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0:
                _limits.pop().restore_original_limits()
