"""Moments of JJᵀ: sampled beside predicted at every width, and extrapolated to infinite width."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..distances import ROUNDING
from ..extrapolation import Intercept, extrapolate
from ..sampling import Ensemble
from .records import ExtrapolatedMoment, Interval, MomentRecord

if TYPE_CHECKING:
    from ..prediction import Prediction


def predicted_moments(
    pred: Prediction, ensembles: tuple[Ensemble, ...], moments: int, ratio: np.ndarray, kappa: float, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of m_1 … m_K (NaN where no double holds m_k), and Σ 1/N_l max(κ, V/L) for every ensemble."""
    values = np.asarray(pred.moments(max(moments, 2)), dtype=float)
    usable = np.isfinite(values) & (values > 0)
    with np.errstate(all="ignore"):
        logs = np.where(usable, np.log(values), np.nan)
        variance = np.expm1(logs[1] - 2 * logs[0]) / ensembles[0].depth
    if not usable[:moments].all():
        left_out = ", ".join(f"m_{k + 1}" for k in np.flatnonzero(~usable[:moments]))
        notes.append(f"outside the range of double precision, not compared: {left_out}")
    if ratio[0] > 0.25:
        notes.append(
            f"depth is not small against width (Σ 1/N_l = {ratio[0]:.2f}): squared gradients are log-normal-like, the "
            "infinite-width law is a poor guide at this width, and the moments test little"
        )
    return logs[:moments], ratio * np.fmax(kappa, variance)


def log_moments(ensemble: Ensemble, moments: int) -> np.ndarray:
    """Logarithms of (1/N_L) Σ_i λ_i^k of every sampled network, (samples, moments), at any scale; −inf where J = 0."""
    logs = 2 * ensemble.log_singular_values
    top = np.maximum(logs[:, :1], -1e300)
    powers = [np.sum(np.exp(k * (logs - top)), axis=1) for k in range(1, moments + 1)]
    with np.errstate(divide="ignore"):
        return np.log(np.stack(powers, axis=1) / ensemble.n_out) + top * np.arange(1, moments + 1)


def extrapolate_moment(
    k: int,
    logs: list[np.ndarray],
    log_predicted: float,
    h: np.ndarray,
    level: float,
    vanishing: bool,
    width: int = 1,
    counting: np.ndarray | float = 0.0,
) -> ExtrapolatedMoment:
    """Extrapolate y = log(m̂_k / m_k), or m̂_k / m_k − 1 where some m̂_k vanish: zero in the mean if the law holds.

    `width` is the width to which h[0] belongs: slopes are in 1/N. `counting` is a relative error of the mean at every
    width that the samples may not show.
    """
    y = [np.expm1(v - log_predicted) if vanishing else v - log_predicted for v in logs]
    found = extrapolate(y, h, level, np.hypot(ROUNDING * k, counting))
    expected = finite_exp(log_predicted)
    growth = 1 + found.value if vanishing else math.exp(min(found.value, 700.0))
    value = None if expected is None else expected * growth
    scale = expected if vanishing else value
    error = None if scale is None else scale * found.standard_error
    ends = (found.value - found.half_width, found.value + found.half_width)
    interval: Interval = (None, None)
    if expected is not None:
        low, high = (expected * (1 + end if vanishing else math.exp(min(max(end, -700.0), 700.0))) for end in ends)
        interval = (low if math.isfinite(low) else None, high if math.isfinite(high) else None)
    return ExtrapolatedMoment(
        k=k,
        value=value,
        standard_error=error,
        z=found.z if vanishing else linear_z(found),
        z_with_bias=found.z,
        limit=found.limit,
        detectable=found.detectable if vanishing else growth_of(found),
        interval=interval,
        slope=found.slope * float(h[0]) * width,
        slope_interval=slope_interval(found, float(h[0]) * width),
        fit=fit(found, float(h[0]) * width),
    )


def slope_interval(found: Intercept, unit: float) -> tuple[float, float]:
    """95 % interval of the slope, in the unit asked for."""
    return ((found.slope - found.slope_half_width) * unit, (found.slope + found.slope_half_width) * unit)


def fit(found: Intercept, unit: float) -> tuple[float, ...]:
    """Coefficients of the powers of 1/N, h = unit/N."""
    return tuple(c * unit**power for power, c in enumerate(found.coefficients))


def linear_z(found: Intercept) -> float:
    """(e^y − 1)/(e^y σ): standard errors of what y ± σ is the logarithm of, relative to its prediction."""
    return -math.expm1(min(-found.value, 700.0)) / found.standard_error


def growth_of(found: Intercept) -> float | None:
    """Relative change that is noticed half of the time, of what `found` is a logarithm of; None beyond all bounds."""
    return math.expm1(found.detectable) if found.detectable < 700.0 else None


def moment_records(logs: np.ndarray, log_predicted: np.ndarray, bias: float) -> tuple[MomentRecord, ...]:
    """Put the sampled moments of one width beside the predicted ones."""
    records = []
    for k, (y, expected) in enumerate(zip(logs.T, log_predicted, strict=True), start=1):
        top = max(float(y.max()), -1e300)
        shares = np.exp(y - top)
        mean = shares.mean()
        error = math.hypot(shares.std(ddof=1) / math.sqrt(y.size), ROUNDING * k * mean)
        z = with_bias = None
        if np.isfinite(expected) and abs(expected - top) < 700:  # beyond e^700 the ratio itself has no double
            expected_share = math.exp(expected - top)
            z = float((mean - expected_share) / error) if error else None
            with_bias = float((mean - expected_share) / math.hypot(error, k * (k + 1) / 2 * bias * expected_share))
        scale = finite_exp(float(top))
        finite = np.isfinite(expected) and np.isfinite(y).all()
        records.append(
            MomentRecord(
                k=k,
                predicted=finite_exp(float(expected)),
                sampled=None if scale is None else float(mean * scale),
                standard_error=None if scale is None else float(error * scale),
                z=z,
                z_with_bias=with_bias,
                log_ratio=float(y.mean() - expected) if finite else None,
                log_ratio_error=float(y.std(ddof=1)) / math.sqrt(y.size) if finite else None,
            )
        )
    return tuple(records)


def finite_exp(x: float) -> float | None:
    """Return exp(x), or None where that is not a positive finite double."""
    return math.exp(x) if -700 < x < 700 else None
