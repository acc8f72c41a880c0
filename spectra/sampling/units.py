"""R diag(d) = diag(d′) U with U unit upper triangular, for d of any grade: what keeps a graded product graded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .arrays import Arrays

_SPAN = {np.float64: 300.0, np.float32: 30.0}  # nats of d′ in those rows: the factors of their scaling stay in range


# Some rows of U: the first, the one after the last, and what these and the columns from the first on are scaled by.
Step = tuple[int, int, np.ndarray, np.ndarray]


def unit_steps(arrays: Arrays, diagonal: np.ndarray, log_d: np.ndarray) -> Iterator[Step]:
    """Yield what makes U of R, R diag(d) = diag(d′) U, a few rows at a time (`scaled_triangle`).

    d′_i = |r_ii| d_i and U_ij = r_ij d_j / r_ii d_i, so that U has ones on its diagonal.

    Parameters
    ----------
    arrays : those of R.
    diagonal : that of R, (k,), without zeros.
    log_d : (n,), natural logarithms.
    """
    rows, span, start = log_d[: diagonal.size] + np.log(np.abs(diagonal)), _SPAN[arrays.dtype], 0
    while start < rows.size:
        low = np.flatnonzero(rows[start + 1 : start + arrays.rows] < rows[start] - span)
        stop = start + 1 + int(low[0]) if low.size else min(start + arrays.rows, rows.size)
        with np.errstate(under="ignore"):
            across = np.exp(log_d[start:] - rows[start])
            down = np.exp(rows[start] - rows[start:stop]) * np.sign(diagonal[start:stop])
        yield start, stop, down, across
        start = stop


def unit_rows(arrays: Arrays, r: Any, diagonal: np.ndarray, log_d: np.ndarray) -> Iterator[Any]:
    """Yield rows of U, see `unit_steps`, a few at a time, from the diagonal on.

    r : (k, n); what is below its diagonal is not looked at.
    """
    for start, stop, down, across in unit_steps(arrays, diagonal, log_d):
        with np.errstate(under="ignore"):
            # The columns first: what they make too small for the range is nothing beside the diagonal.
            yield arrays.scaled_triangle(r[start:stop, start:], down, across)


def unit_matrix(arrays: Arrays, r: Any, diagonal: np.ndarray, log_d: np.ndarray, room: Any = None) -> Any:
    """U, (k, n), see `unit_steps`; in `room`, perhaps, where that is no part of R."""
    with np.errstate(under="ignore"):
        return arrays.unit(r, list(unit_steps(arrays, diagonal, log_d)), room)
