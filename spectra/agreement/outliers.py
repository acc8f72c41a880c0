"""Eigenvalues above the law: taken out of the samples, and held against their own predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..distances import ROUNDING
from ..errors import ConfigError
from ..extrapolation import extrapolate_terms
from .edge import top_record
from .records import EdgeRecord

if TYPE_CHECKING:
    from ..prediction import Prediction
    from ..sampling import Ensemble


def places_of(pred: Prediction) -> tuple[float, ...]:
    """The λ predicted above the law, the largest first."""
    found: Any = getattr(pred, "outliers", None)
    return tuple(outlier.location for outlier in found or ())


def without(ensemble: Ensemble, count: int) -> Ensemble:
    """The samples without the largest `count` eigenvalues of each: what is left has the law alone.

    Raises
    ------
    ConfigError : nothing is left.
    """
    if not count:
        return ensemble
    if (least := ensemble.log_singular_values.shape[1]) <= count:
        raise ConfigError(
            f"`crosscheck`: networks with {least} singular value{'s' if least > 1 else ''} have none beside those "
            f"predicted above the law ({count}); a larger width is needed."
        )
    widths = (*ensemble.widths[:-1], ensemble.widths[-1] - count)
    return replace(ensemble, log_singular_values=ensemble.log_singular_values[:, count:], widths=widths)


def log_shares(pred: Prediction, log_moments: np.ndarray, n_out: int) -> np.ndarray:
    """By how much log m_k, k = 1 …, is larger for the eigenvalues above the law, of networks of N_L = `n_out`."""
    k = np.arange(1, log_moments.size + 1)
    logs = [k * math.log(place) - math.log(n_out) - log_moments for place in places_of(pred)]
    return np.log1p(np.exp(logs).sum(axis=0)) if logs else np.zeros(k.size)


def outlier_records(
    pred: Prediction, ensembles: Sequence[Ensemble], spacings: np.ndarray, bias: np.ndarray, level: float
) -> tuple[EdgeRecord, ...]:
    """Each outlier λ at infinite width, from y = log (λ̂/λ) at every width.

    It scatters normally, by N^{−1/2}, and is off by the b of the moments (`bias`), which scales the whole spectrum, and
    by what the nearest eigenvalues of the law push it: s²/Δ of second order, s their spacing (`spacings`) and Δ the
    distance log (λ/λ_+), at most s. So E y = α + c_0 s²/Δ + c_1 b + c_2 b², with standard normal c. Left
    out where a sample has none: its Jacobian is zero.
    """
    records = []
    for index, place in enumerate(places_of(pred)):
        apart = math.log(place / float(pred.spectrum.icdf(1.0)))
        pushed = spacings**2 / np.maximum(spacings, apart)
        y = [2 * e.log_singular_values[:, index] - math.log(place) for e in ensembles]
        if not all(np.isfinite(values).all() for values in y):
            continue
        found = extrapolate_terms(y, [pushed, bias, bias**2], level, np.full(len(y), (2 * ROUNDING) ** 2))
        records.append(top_record(place, math.log(place), math.log(place) + y[0], found, float(spacings[0])))
    return tuple(records)
