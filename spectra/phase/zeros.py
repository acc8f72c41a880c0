"""All zeros of a Chebyshev series at which it changes sign."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import chebyshev as series_of

from .._types import Array


def zeros_of(series: Array, noise: float = 1e-12) -> list[float]:
    """All zeros in [−1, 1] at which a Chebyshev series changes sign by more than noise.

    Source
    ------
    Good, Quart. J. Math. 12 (1961); Boyd, SIAM J. Numer. Anal. 40 (2002).
    """
    size = float(np.abs(series).max())
    if size <= noise:
        return []
    kept = np.trim_zeros(np.where(np.abs(series) > 1e-15 * size, series, 0.0), "b")
    if kept.size < 2:
        return []
    roots = series_of.chebroots(kept)
    real = np.sort(roots[(np.abs(roots.imag) < 1e-6) & (np.abs(roots.real) <= 1.0 + 1e-9)].real)
    marks = np.concatenate([[-1.0 - 1e-3], real, [1.0 + 1e-3]])
    between = series_of.chebval((marks[1:] + marks[:-1]) / 2.0, series)
    return [
        float(np.clip(x, -1.0, 1.0))
        for x, before, after in zip(real, between[:-1], between[1:], strict=True)
        if before * after < 0.0 and min(abs(before), abs(after)) > 1e-3 * noise
    ]
