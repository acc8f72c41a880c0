"""Bounds on singular values of residual blocks that need no spectrum: |β − s| … β + s, s the norm of the branch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .architectures import architecture_of

if TYPE_CHECKING:
    from .meanfield import LayerState, MeanField


def branch_norms(run: LayerState, slope: float, spread: float) -> tuple[float, float, float]:
    """The largest slope after the sum, or 1, |β|, and s: largest singular values are at most the first times |β| + s.

    Parameters
    ----------
    slope : sup |φ'|.
    spread : ‖W‖/σ_w.
    """
    spec, architecture = run.spec, architecture_of(run.spec)
    after = slope if spec.order == "sum" else 1.0
    branch = math.sqrt(architecture.gain(spec, run.level)) * (slope * spread) ** spec.branch_layers / after
    return after, abs(architecture.skip(spec, run.level)), branch


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
        after, skip, branch = branch_norms(run, run.spec.activation.slope_bound, spread)
        low += run.repeat * (math.log(skip - branch) if skip > branch and run.spec.order != "sum" else -math.inf)
        high += run.repeat * math.log(after * (skip + branch))
    return low, high
