"""Tasks by threads, one a core, each with BLAS to itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any


def parallel(task: Callable[[Any], Any], arguments: Sequence[Any], stopped: Event) -> Iterator[Any]:
    """Yield task(argument) in order, computed by one thread a core, each with single-threaded BLAS.

    `stopped` is set when nobody waits for results any more: at the end, after an error, after Ctrl-C.

    Matrices of a few hundred rows keep one core busy, not several: BLAS threads that wait for each other on a loaded
    machine cost a factor 50 (measured, width 150). One thread a product also makes its rounding reproducible.
    """
    import scipy.linalg.lapack  # noqa: F401  # brings its own BLAS, which the limit must find loaded
    from threadpoolctl import threadpool_limits

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pool = ThreadPoolExecutor(min(cores, len(arguments)))
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            yield from pool.map(task, arguments)
    finally:
        # Nothing is left to wait for, unless an error or Ctrl-C came: then what has not begun never will, and what
        # has is let go at its next layer.
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)
