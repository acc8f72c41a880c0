"""R diag(d) = diag(d′) U, U upper triangular with ±1 on its diagonal, d of any grade: what keeps a product graded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .arrays import Arrays

# Entries of U that rounding hides whatever their number: their logarithm.
_NEGLIGIBLE = {np.float64: math.log(1e-25), np.float32: math.log(1e-16)}
# Some rows of U: the first, the one after the last, and what these and the columns from the first on are scaled by.
Step = tuple[int, int, np.ndarray, np.ndarray]


def unit_steps(arrays: Arrays, log_rows: np.ndarray, log_d: np.ndarray) -> list[Step]:
    """What makes U of R, R diag(d) = diag(d′) U, a few rows at a time (`scaled_triangle`).

    d′_i = |r_ii| d_i and U_ij = r_ij d_j / |r_ii| d_i, so that U has ones on its diagonal, but for their signs.

    Parameters
    ----------
    arrays : those of R.
    log_rows : (k,), natural logarithms of d′.
    log_d : (n,), those of d.
    """
    span, start, found = arrays.span, 0, []
    with np.errstate(under="ignore"):
        while start < log_rows.size:
            first, stop = log_rows[start], min(start + arrays.rows, log_rows.size)
            far = log_rows[start:stop] < first - span
            if far.any():
                stop = start + int(far.argmax())
            found.append((start, stop, np.exp(first - log_rows[start:stop]), np.exp(log_d[start:] - first)))
            start = stop
    return found


def unit_rows(arrays: Arrays, r: Any, log_rows: np.ndarray, log_d: np.ndarray, log_sizes: np.ndarray) -> list[Any]:
    """Rows of U, see `unit_steps`, a few at a time, from the diagonal on and up to where they are negligible.

    Parameters
    ----------
    r : (k, n); what is below its diagonal is not looked at.
    log_sizes : (n,), descending: logarithms of d_j times the norm of column j of R, or of a bound of it.
    """
    found, ascending = [], _NEGLIGIBLE[arrays.dtype] - log_sizes
    for start, stop, down, across in unit_steps(arrays, log_rows, log_d):
        # |U_ij| is at most size_j / d′_i.
        least = log_rows[start:stop].min()
        reach = max(stop, int(ascending.searchsorted(-least)))
        with np.errstate(under="ignore"):
            # The columns first: what they make too small for the range is nothing beside the diagonal.
            found.append(arrays.scaled_triangle(r[start:stop, start:reach], down, across[: reach - start]))
    return found


def unit_matrix(arrays: Arrays, r: Any, log_rows: np.ndarray, log_d: np.ndarray, room: Any = None) -> Any:
    """U, (k, n), see `unit_steps`; in `room`, perhaps, where that is no part of R."""
    with np.errstate(under="ignore"):
        return arrays.unit(r, unit_steps(arrays, log_rows, log_d), room)
