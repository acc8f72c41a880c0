"""Zeros among singular values that a plain SVD has computed: it leaves rounding in their place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..prediction import Prediction
from ..sampling import Ensemble, measured


def measured_zeros(pred: Prediction, singular_values: Any) -> tuple[Ensemble, tuple[str, ...]]:
    """`measured`, with zeros where rounding stands for them, and a note that says how many.

    Of a law with mass at 0 singular values below n·eps of the largest, eps that of the array's own precision, count as
    zero: there an SVD knows nothing of them. Values that are known to smaller ones, from a graded product, go to
    `crosscheck` as `measured` makes them of the array.

    Raises
    ------
    ConfigError : as `measured`.
    """
    found = measured(pred.network, singular_values)
    if not pred.spectrum.atom_at_zero > 0.0:
        return found, ()
    precision = np.asarray(singular_values).dtype
    eps = float(np.finfo(precision).eps) if precision.kind == "f" else float(np.finfo(float).eps)
    logs = found.log_singular_values
    rounded = np.isfinite(logs) & (logs < logs[:, :1] + np.log(logs.shape[1] * eps))
    if not rounded.any():
        return found, ()
    note = (
        f"{np.count_nonzero(rounded)} singular values below {logs.shape[1]} x {eps:.1e} of the largest count as zero: "
        "an SVD leaves rounding where the law has its mass at 0"
    )
    return replace(found, log_singular_values=np.where(rounded, -np.inf, logs)), (note,)
