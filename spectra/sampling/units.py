"""R diag(d) = diag(d′) U with U unit upper triangular, for d of any grade: what keeps a graded product graded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .arrays import Arrays

_SPAN = {np.float64: 300.0, np.float32: 30.0}  # nats of d′ in those rows: the factors of their scaling stay in range


def unit_rows(arrays: Arrays, r: Any, diagonal: np.ndarray, log_d: np.ndarray) -> Iterator[tuple[int, int, Any]]:
    """Yield rows of U, R diag(d) = diag(d′) U: the first, the one after the last, and the rows from column first on.

    d′_i = |r_ii| d_i and U_ij = r_ij d_j / r_ii d_i, so that U has ones on its diagonal.

    Parameters
    ----------
    arrays : those of R.
    r : (k, n); what is below its diagonal is not looked at.
    diagonal : its diagonal, (k,), without zeros.
    log_d : (n,), natural logarithms.
    """
    rows, span, start = log_d[: diagonal.size] + np.log(np.abs(diagonal)), _SPAN[arrays.dtype], 0
    while start < rows.size:
        low = np.flatnonzero(rows[start + 1 : start + arrays.rows] < rows[start] - span)
        stop = start + 1 + int(low[0]) if low.size else min(start + arrays.rows, rows.size)
        with np.errstate(under="ignore"):
            across = np.exp(log_d[start:] - rows[start])
            down = np.exp(rows[start] - rows[start:stop]) * np.sign(diagonal[start:stop])
            # The columns first: what they make too small for the range is nothing beside the diagonal.
            yield start, stop, arrays.scaled_triangle(r[start:stop, start:], down, across)
        start = stop


def unit_matrix(arrays: Arrays, r: Any, diagonal: np.ndarray, log_d: np.ndarray) -> Any:
    """U, (k, n), see `unit_rows`."""
    blocks = [
        arrays.joined([arrays.array(np.zeros((stop - start, start))), block], 1) if start else block
        for start, stop, block in unit_rows(arrays, r, diagonal, log_d)
    ]
    return arrays.joined(blocks, 0)
