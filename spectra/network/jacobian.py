"""From mean field to the master equation of JJᵀ: each layer adds its logarithms.

With w_l = r_l w, r_l = N_L/N_l, and mean-one laws: a Gaussian W_l adds −log(1 + w_l); a (semi-)orthogonal one adds
log(1 + w_{l−1}) − log(1 + w_l) if it narrows, else nothing; D_l² adds log S_l(w_l), where a projection of rank p
splits off as log(1 + w_l) − log(1 + w_l/p).  All constants sum to −Σ log χ_l.
"""

from __future__ import annotations

import math
from functools import lru_cache

from ..activations import Activation
from ..laws.nodes import NodeLaw
from ..laws.pushforward import slope_law
from ..master import Factor, MasterEquation, combine
from .meanfield import MeanField


@lru_cache(maxsize=1024)
def _slope_law(activation: Activation, variance: float, level: int) -> NodeLaw:
    return slope_law(activation, variance, level=level)


def jacobian_equation(field: MeanField, *, level: int = 0) -> MasterEquation:
    """The master equation of JJᵀ for the network of `field`.

    Parameters
    ----------
    field : variances and slopes of the layers, with their widths where the net is rectangular.
    level : resolution of the laws of D² near the edges of their supports.

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, eq. 13; rectangular: Chhaibi, Daouda, Kahn, NeurIPS 2022, Theorem
    3.1, in fan-in normalisation.
    """
    last = field.runs[-1].fan_out
    shifts: list[tuple[float, float]] = []
    factors: list[Factor] = []
    first = field.runs[0].fan_in
    shifts.append((last / first if last and first else 1.0, -1.0))
    log_m1: list[float] = []
    for run in field.runs:
        ratio = last / run.fan_out if last and run.fan_out else 1.0
        before = last / run.fan_in if last and run.fan_in else 1.0
        count = float(run.repeat)
        # Of a run of equal layers only the first can change the width.
        if run.spec.weights == "orthogonal":
            if before < ratio:
                shifts += [(before, 1.0), (ratio, -1.0)]
        else:
            shifts.append((ratio, -count))
        law = _slope_law(run.spec.activation, run.q, level)
        if law.rank < 1.0:
            shifts += [(ratio, count), (ratio / law.rank, -count)]
        if law.points.size > 1:
            factors.append(Factor(law, ratio / law.rank, count))
        if run.chi != 1.0:
            log_m1.append(count * math.log(run.chi))
    return MasterEquation(tuple(shifts), combine(factors), -math.fsum(log_m1))
