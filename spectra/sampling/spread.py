"""Singular values of diag(d) T where d spans any number of decades and T is well conditioned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .units import unit_matrix

if TYPE_CHECKING:
    from .arrays import Arrays

_PLAIN = 8.0  # nats of d that a plain SVD may span: e^8 eps = 7e-13 relative on the smallest
_STEPS = 5  # of the QR iteration; 3 leave an error of 1e-13, 4 of 1e-14 (N = 400, against one-sided Jacobi)
_CORE = 5.0  # nats of d whose singular values are taken from one window
# Nats of overlap on either side: the coupling left out is below exp(−2 · 5 · 3.5) = 6e-16. Found 3e-14 at most, against
# seven steps and 12 nats; with 2.5 nats 4e-10 (N = 60 and 200, 4 to 100 layers).
_MARGIN = 3.5


def graded_log_singular_values(log_d: np.ndarray, arrays: Arrays, right: Any) -> np.ndarray:
    """Logarithms of the singular values of diag(exp log_d) T, descending, for T of full row rank, (k, n), n ≥ k.

    Parameters
    ----------
    log_d : (k,).
    arrays, right : T and what to compute with, in doubles.

    Steps of the QR iteration push the coupling of rows i and j down by (d_j/d_i)² each, and keep every singular value
    to relative accuracy, for they work on T and on ratios of d. After five of them rows that are 5 nats apart no longer
    feel each other, and plain SVDs of overlapping diagonal windows give all values. One-sided Jacobi (LAPACK dgejsv)
    has the same accuracy and takes 3 to 20 times as long.

    Source
    ------
    Mathias, Stewart, Linear Algebra Appl. 182 (1993), 91–100: a block QR algorithm and the singular value
    decomposition; Demmel et al., Linear Algebra Appl. 299 (1999), 21–80: what a graded decomposition determines.
    """
    if np.ptp(log_d) <= _PLAIN:
        return _plain(arrays, log_d, right)
    sorted_: Any = None
    unit: Any = None
    for _ in range(_STEPS):
        order = np.argsort(-log_d, kind="stable")
        # Both are room for their like in the next step; what was given is left as it is, and may be wider.
        fits = sorted_ is not None and sorted_.shape == right.shape
        sorted_ = arrays.gather(right, order, room=sorted_ if fits else None)
        log_d, right = _step(arrays, log_d[order], sorted_, unit)
        unit = right
    order = np.argsort(-log_d, kind="stable")
    log_d, right = log_d[order], arrays.gather(arrays.gather(right, order), order, 1)
    found, start = np.empty(log_d.size), 0
    while start < log_d.size:
        stop = int(np.searchsorted(-log_d, -log_d[start] + _CORE, side="right"))
        low = int(np.searchsorted(-log_d, -log_d[start] - _MARGIN))
        high = int(np.searchsorted(-log_d, -log_d[stop - 1] + _MARGIN, side="right"))
        window = _plain(arrays, log_d[low:high], right[low:high, low:high])
        found[start:stop] = window[start - low : stop - low]
        start = stop
    return found


def _step(arrays: Arrays, log_d: np.ndarray, right: Any, room: Any) -> tuple[np.ndarray, Any]:
    """One step of the QR iteration: diag(d) T has the singular values of diag(d′) U, U triangular, Tᵀ = Q R.

    T is lost; U is put in `room`, where there is any.
    """
    r = arrays.triangle(right.T)
    log_rows = log_d + np.log(np.abs(arrays.diagonal(r)))
    # T = Rᵀ Qᵀ: diag(d) Rᵀ is lower triangular, and R diag(d), its transpose, has the same singular values.
    return log_rows, unit_matrix(arrays, r, log_rows, log_d, room)


def _plain(arrays: Arrays, log_d: np.ndarray, right: Any) -> np.ndarray:
    """Singular values of diag(d) T by a plain SVD, the largest d scaled to 1."""
    top = float(np.max(log_d))
    with np.errstate(divide="ignore"):
        return top + np.log(arrays.singular_values(right * arrays.array(np.exp(log_d - top))[:, None]))
