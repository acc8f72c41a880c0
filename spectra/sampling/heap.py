"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

_TRIM, _MMAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of <malloc.h>
_LARGEST = 2**25  # bytes: the largest block that the GNU C library takes from its heap
_SMALL = 2**23  # bytes that a thread keeps when a network is done: what one of N = 300 takes


@cache
def keep_freed_memory() -> None:
    """Have the GNU C library keep up to 64 MB a thread of what is freed; elsewhere nothing changes.

    Matrices come and go layer by layer. By itself the library gives back to the system what exceeds twice the largest
    block freed so far, and gets new pages, which the system must clear: at N = 250, 256 layers, 30 to 40 of 600 ms.
    """
    mallopt = _of_library("mallopt")
    if mallopt is not None:
        mallopt(_MMAP, _LARGEST)
        mallopt(_TRIM, 2 * _LARGEST)


def give_back_freed_memory() -> None:
    """Give back what was kept for this thread, but 8 MB: after a network of N = 1000 some 60 MB.

    Every thread has a heap of its own. The library looks at what is unused at its end where a large block is freed,
    and `malloc_trim` at that of the main thread alone.
    """
    mallopt = _of_library("mallopt")
    if mallopt is not None:
        mallopt(_TRIM, _SMALL)
        bytes(2**17)
        mallopt(_TRIM, 2 * _LARGEST)


@cache
def _of_library(name: str) -> Any:
    """A function of the C library; None where it has none of that name."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, TypeError, OSError):
        return None
