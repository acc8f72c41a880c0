"""Samples against what is known exactly at finite width, and the scatter between networks beside its theory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..distances import ROUNDING
from ..finite_width import FiniteMoments, finite_moments, log_variance
from ..sampling import Ensemble
from .moments import finite_exp
from .records import FiniteMomentRecord, ScatterRecord

if TYPE_CHECKING:
    from ..prediction import Prediction

# Variance v of log m̂_1 up to which log m̂_k is near enough to normal.
NORMAL = 0.2
# What that neglects, over v²/L: a ReLU layer's share of live units has E log = −½ log (1 + 1/N) − 1/N² + …, v = L/N.
NEGLECTED = 2.0


def exact_at(pred: Prediction, ensembles: tuple[Ensemble, ...]) -> list[FiniteMoments | None]:
    """Exact moments at every width, None where there are none or they are not nearly log-normal there."""
    field: Any = getattr(pred, "mean_field", None)
    found = []
    for e in ensembles:
        known = finite_moments(field, e.widths) if field is not None and field.depth == e.depth else None
        usable = known is not None and np.isfinite(e.log_singular_values[:, 0]).all()
        found.append(known if usable and known is not None and known.relative_variance < NORMAL else None)
    return found


def finite_records(
    ensembles: tuple[Ensemble, ...], exact: list[FiniteMoments | None], logs: list[np.ndarray], level: float
) -> tuple[FiniteMomentRecord, ...]:
    """m̂_1 and m̂_2 over all widths against their exact expectations, with the known variance of m̂_1.

    log E m̂ = E log m̂ + ½ Var log m̂ for log-normal m̂, so y = mean of log m̂ + ½ variance − log E m̂ vanishes in the
    mean, but for terms of the size variance²/L, which are counted as an error. Var log m̂_1 = log (1 + Var m̂_1/(E m̂_1)²)
    is exact, that of m̂_2 is sampled. Widths weigh as the known variance says. The verdict's limit is normal for k = 1,
    Student's for k = 2.
    """
    from scipy.special import ndtri, stdtrit

    used = [(e, known, y) for e, known, y in zip(ensembles, exact, logs, strict=True) if known is not None]
    records = []
    for k in (1, 2):
        rows = [(e, known, y[:, k - 1]) for e, known, y in used if y.shape[1] >= k and np.isfinite(y[:, k - 1]).all()]
        if not rows:
            continue
        known_variances = np.array([math.log1p(known.relative_variance) for _, known, _ in rows])
        samples = np.array([e.samples for e, _, _ in rows])
        weights = samples / (known_variances + ROUNDING**2)
        weights /= weights.sum()
        sampled = np.array([y.var(ddof=1) for _, _, y in rows])
        variances = known_variances if k == 1 else sampled
        expected = [known.log_first if k == 1 else known.log_second for _, known, _ in rows]
        y = np.array([float(v.mean()) for _, _, v in rows]) + variances / 2 - expected
        each = variances / samples + (0.0 if k == 1 else variances**2 / (2 * (samples - 1))) + (k * ROUNDING) ** 2
        variance = float(np.sum(weights**2 * each))
        neglected = NEGLECTED * float(weights @ variances**2) / rows[0][0].depth
        error = math.hypot(math.sqrt(variance), neglected)
        dof = variance**2 / float(np.sum((weights**2 * each) ** 2 / (samples - 1)))
        limit = float(-ndtri(level / 2) if k == 1 else stdtrit(dof, 1 - level / 2))
        deviation = float(weights @ y)
        records.append(
            FiniteMomentRecord(
                k=k,
                widths=tuple(e.width for e, _, _ in rows),
                expected=tuple(finite_exp(x) for x in expected),
                deviation=deviation,
                standard_error=error,
                z=deviation / error,
                limit=limit,
                detectable=math.expm1(min(limit * error, 700.0)),
            )
        )
    return tuple(records)


def scatter_records(pred: Prediction, ensembles: tuple[Ensemble, ...], logs: list[np.ndarray]) -> list[ScatterRecord]:
    """Scatter of log m̂_1 and of ‖Jv‖² between the networks of every width, in theory and as sampled.

    Over uniform v, E ‖Jv‖⁴ = ((tr JJᵀ)² + 2 tr (JJᵀ)²)/(N_0 (N_0 + 2)) for one J.
    """
    field: Any = getattr(pred, "mean_field", None)
    records = []
    for e, y in zip(ensembles, logs, strict=True):
        if not np.isfinite(y).all():
            continue
        known = finite_moments(field, e.widths) if field is not None and field.depth == e.depth else None
        leading = log_variance(field, e.widths) if known is None and field is not None else None
        variance = math.log1p(known.relative_variance) if known is not None else leading
        sd = float(y[:, 0].std(ddof=1))
        gradient = None
        if y.shape[1] > 1:
            top, n, inputs = float(y[:, 0].max()), e.n_out, e.widths[0]
            traces, squares = n * np.exp(y[:, 0] - top), n * np.exp(y[:, 1] - 2 * top)
            gradient = float(np.mean(traces**2 + 2 * squares) / traces.mean() ** 2) * inputs / (inputs + 2) - 1.0
        records.append(
            ScatterRecord(
                width=e.width,
                predicted=None if variance is None else math.sqrt(variance),
                sampled=sd,
                standard_error=sd / math.sqrt(2 * (e.samples - 1)),
                exact=known is not None,
                gradient=None if known is None else known.gradient_variance,
                gradient_sampled=gradient,
            )
        )
    return records
