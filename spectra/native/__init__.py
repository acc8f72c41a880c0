"""The part that is compiled: sums over nodes, the master equation at many points or at one, passes over a matrix.

Where the package was installed without a compiler at hand it is not there, and numpy does the same, several times
slower.
"""

from __future__ import annotations

import importlib
from typing import Any

# Version of tables, arguments and results that the C files and the Python ones must share.
VERSION = 14
# States of an evaluation (`equation.h`, `newton.h`).
DONE, JUMP, GENERAL, STRAYED, CLOSE = 0, 1, 2, 3, 4
# Nodes are summed so many at a time; rows of tables are multiples of this (`sums.h`).
LANES = 8
# Factors of one equation, at most (`newton.h`).
MOST_FACTORS = 512


def _load() -> Any:
    # Beside the package, not inside: a source tree that stands before it on the path finds it as well.
    try:
        found = importlib.import_module("_spectra_native")
    except ImportError:
        return None
    return found if getattr(found, "VERSION", None) == VERSION else None


# The compiled module, or None.
NATIVE = _load()
