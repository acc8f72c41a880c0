"""Bounds on singular values of residual blocks that need no spectrum: |β − s| … β + s, s the norm of the branch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .architectures import architecture_of

if TYPE_CHECKING:
    from .meanfield import MeanField


def branch_bounds(field: MeanField) -> tuple[float, float]:
    """Π max(|β_l| − s_l, 0) ≤ s_min and s_max ≤ Π (|β_l| + s_l), s_l = √gain (‖W_l‖/σ_w · sup |φ'|)^n, as logarithms.

    n is the number of weight matrices of a branch, ‖W‖ 2σ_w of square Gaussian weights, for wide layers, σ_w of
    orthogonal ones; −inf where a branch may undo the skip, inf where slopes have no bound. Where φ comes after the sum
    the branch has one φ less, sup |φ'| multiplies the sum, and there is no bound from below.

    Source
    ------
    Weyl's inequality for singular values; Bai, Yin, Ann. Probab. 21 (1993) for ‖W‖.
    """
    low = high = 0.0
    for run in field.runs:
        spread = 1.0 if run.spec.weights == "orthogonal" else 2.0
        found = architecture_of(run.spec).norms(run.spec, run.level, run.spec.activation.slope_bound, spread)
        least = found.least * (found.skip - found.branch) if found.least else 0.0
        low += run.repeat * (math.log(least) if least > 0.0 else -math.inf)
        high += run.repeat * math.log(found.outside * (found.skip + found.branch))
    return low, high
