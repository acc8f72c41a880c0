"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes
from functools import cache

_TRIM, _MMAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of <malloc.h>
_LARGEST = 2**25  # bytes: the largest block that the GNU C library takes from its heap


@cache
def keep_freed_memory() -> None:
    """Have the GNU C library keep up to 64 MB of what is freed; elsewhere nothing changes.

    Matrices come and go layer by layer. By itself the library gives back to the system what exceeds twice the largest
    block freed so far, and gets new pages, which the system must clear: at N = 250, 256 layers, 30 to 40 of 600 ms.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, TypeError, OSError):
        return
    mallopt(_MMAP, _LARGEST)
    mallopt(_TRIM, 2 * _LARGEST)
