"""From widths N, N/2, N/4 to N → ∞: the intercept of E y = α + c_1 h + c_2 h² + …, h of order 1/N, and its test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

CONFIDENCE = 0.95  # of every single interval that is reported; the verdict has limits of its own


@dataclass(frozen=True)
class Intercept:
    """What y tends to: `value` ± `standard_error`; a value that is truly 0 has |z| > `limit` at the level asked for.

    `standard_error` counts the scatter of the samples and what is not known of the bias; `limit` is a Student-t
    quantile. A true value of `detectable` = limit · standard_error is noticed half of the time, smaller ones less.
    `half_width` and `slope_half_width` make intervals that hold the truth 95 times in a hundred; `slope` is c_1,
    and `coefficients` are α and all that was fitted beside it, as factors of the terms.
    """

    value: float
    standard_error: float
    limit: float
    half_width: float
    slope: float
    slope_half_width: float
    coefficients: tuple[float, ...]

    @property
    def z(self) -> float:
        """Standard errors from 0."""
        return self.value / self.standard_error

    @property
    def detectable(self) -> float:
        """True value that is noticed with probability ½."""
        return self.limit * self.standard_error


def extrapolate(
    samples: Sequence[np.ndarray],
    h: np.ndarray,
    level: float,
    rounding: float | np.ndarray,
    *,
    proportional: bool = False,
) -> Intercept:
    """Intercept α of E y = α + c_1 h + c_2 h² + c_3 h³ by generalised least squares, with normal priors on the c_i.

    Parameters
    ----------
    samples : y of every network, one array a width.
    h : small parameter of the finite-width expansion at each width, in units of y.
    level : of the two-sided test that α = 0.
    rounding : absolute accuracy of the means of y, one for all widths or one each; no standard error is taken to be
        smaller.
    proportional : c_1, c_2 are standard normal and independent, c_3 = 0; or, where true, c_2/c_1 and c_3/c_1 are
        standard normal: each term of the expansion is smaller than the one before by a factor of order h, and a bias
        too small to be seen brings no others. |c_1| is then taken from a fit of it alone, its standard error added in
        squares, at least 0.3 (it may be small by coincidence) and at most 1.

    Notes
    -----
    With one width this is an allowance for bias; with three the data fix c_1, and c_2 as far as they can. Degrees of
    freedom by Welch and Satterthwaite: only the sampled part of the variance is estimated, the prior is known.
    """
    means, dof, variances = _statistics(samples, rounding**2)
    first = _weights(variances, [h])[1]
    size = 1.0
    if proportional:
        size = math.hypot(first[: means.size] @ means, math.sqrt(np.sum(first**2 * _scale(variances, 1))))
        size = min(max(size, 0.3), 1.0)
    sizes = [1.0, size, size] if proportional else [1.0, 1.0]
    terms = [c * h ** (i + 1) for i, c in enumerate(sizes)]
    found = _fitted(means, dof, variances, terms, level)
    powers = tuple(c * x for c, x in zip([1.0, *sizes], found.coefficients, strict=True))
    return replace(found, coefficients=powers)


def extrapolate_terms(
    samples: Sequence[np.ndarray], terms: Sequence[np.ndarray], level: float, floors: np.ndarray
) -> Intercept:
    """Intercept α of E y = α + Σ_i c_i t_i, with independent standard normal c_i and terms t_i, one entry a width.

    `floors` are variances of one y a width: none is taken to be smaller. `slope` is the coefficient of the first term.
    """
    means, dof, variances = _statistics(samples, np.zeros(len(samples)))
    least = floors / np.array([y.size for y in samples])
    return _fitted(means, dof, np.maximum(variances, least), terms, level)


def _statistics(samples: Sequence[np.ndarray], least: np.ndarray | float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, degrees of freedom, and variances of the means with `least` added."""
    means = np.array([y.mean() for y in samples])
    dof = np.array([y.size - 1 for y in samples])
    return means, dof, np.array([y.var(ddof=1) / y.size for y in samples]) + least


def _fitted(
    means: np.ndarray, dof: np.ndarray, variances: np.ndarray, terms: Sequence[np.ndarray], level: float
) -> Intercept:
    from scipy.special import stdtrit

    rows = _weights(variances, terms)
    found = []
    for row in rows[:2]:
        variance = float(np.sum(row**2 * _scale(variances, row.size - means.size)))
        sampled = float(np.sum((row[: means.size] ** 2 * variances) ** 2 / dof))
        # With one width nothing is sampled of the slope.
        effective = variance**2 / sampled if sampled > 1e-9 * variance**2 else 1e9
        found.append((float(row[: means.size] @ means), math.sqrt(variance), effective))
    (value, error, effective), (slope, slope_error, slope_effective) = found
    quantile = 1 - (1 - CONFIDENCE) / 2
    return Intercept(
        value=value,
        standard_error=error,
        limit=float(stdtrit(effective, 1 - level / 2)),
        half_width=float(stdtrit(effective, quantile)) * error,
        slope=slope,
        slope_half_width=float(stdtrit(slope_effective, quantile)) * slope_error,
        coefficients=tuple(float(x) for x in rows[:, : means.size] @ means),
    )


def _scale(variances: np.ndarray, terms: int) -> np.ndarray:
    """Variances of the rows of `_weights`: the means, then the priors."""
    return np.append(variances, np.ones(terms))


def _weights(variances: np.ndarray, terms: Sequence[np.ndarray]) -> np.ndarray:
    """Rows: weights of the means, and of the priors, in the estimates of α and of the c_i ~ N(0, 1).

    As least squares with a row for each prior, not with the inverse of a covariance: that is singular to rounding
    where the scatter is (identity networks with orthogonal weights).
    """
    columns = [np.ones(variances.size), *terms]
    rows = np.vstack([np.column_stack(columns), np.eye(len(columns))[1:]])
    scale = 1 / np.sqrt(_scale(variances, len(terms)))
    q, r = np.linalg.qr(rows * scale[:, None])
    return np.linalg.solve(r, q.T) * scale
