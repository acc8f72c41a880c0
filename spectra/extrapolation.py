"""From widths N, N/2, N/4 to N → ∞: the intercept of E y = α + c_1 h + c_2 h² + …, h of order 1/N, and its test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Intercept:
    """What y tends to: `value` ± `standard_error`; a value that is truly 0 has |z| > `limit` at the level asked for.

    `standard_error` counts the scatter of the samples and what is not known of the bias; `limit` is a Student-t
    quantile. A true value of `detectable` = limit · standard_error is noticed half of the time, smaller ones less.
    """

    value: float
    standard_error: float
    limit: float

    @property
    def z(self) -> float:
        """Standard errors from 0."""
        return self.value / self.standard_error

    @property
    def detectable(self) -> float:
        """True value that is noticed with probability ½."""
        return self.limit * self.standard_error


def extrapolate(
    samples: Sequence[np.ndarray], h: np.ndarray, level: float, rounding: float, *, proportional: bool = False
) -> Intercept:
    """Intercept α of E y = α + c_1 h + c_2 h² + c_3 h³ by generalised least squares, with normal priors on the c_i.

    Parameters
    ----------
    samples : y of every network, one array a width.
    h : small parameter of the finite-width expansion at each width, in units of y.
    level : of the two-sided test that α = 0.
    rounding : absolute accuracy of y; no standard error is taken to be smaller.
    proportional : c_1, c_2 are standard normal and independent, c_3 = 0; or, where true, c_2/c_1 and c_3/c_1 are
        standard normal: each term of the expansion is smaller than the one before by a factor of order h, and a bias
        too small to be seen brings no others. |c_1| is then taken from a fit of it alone, its standard error added in
        squares, at least 0.3 (it may be small by coincidence) and at most 1.

    Notes
    -----
    With one width this is an allowance for bias; with three the data fix c_1, and c_2 as far as they can. Degrees of
    freedom by Welch and Satterthwaite: only the sampled part of the variance is estimated, the prior is known.
    """
    from scipy.special import stdtrit

    means = np.array([y.mean() for y in samples])
    dof = np.array([y.size - 1 for y in samples])
    variances = np.array([y.var(ddof=1) / y.size for y in samples]) + rounding**2
    weights = _weights(variances, h, (1.0, 1.0))
    if proportional:
        first = _weights(variances, h, (1.0,))[1]
        slope = math.hypot(first[: means.size] @ means, math.sqrt(np.sum(first**2 * _scale(variances, 1))))
        slope = min(max(slope, 0.3), 1.0)
        weights = _weights(variances, h, (1.0, slope, slope))
    weight = weights[0]
    variance = float(np.sum(weight**2 * _scale(variances, weight.size - means.size)))
    sampled = weight[: means.size] ** 2 * variances
    effective = variance**2 / np.sum(sampled**2 / dof)
    return Intercept(
        value=float(weight[: means.size] @ means),
        standard_error=math.sqrt(variance),
        limit=float(stdtrit(effective, 1 - level / 2)),
    )


def _scale(variances: np.ndarray, terms: int) -> np.ndarray:
    """Variances of the rows of `_weights`: the means, then the priors."""
    return np.append(variances, np.ones(terms))


def _weights(variances: np.ndarray, h: np.ndarray, sizes: Sequence[float]) -> np.ndarray:
    """Rows: weights of the means, and of the priors, in the estimates of α and c_i/size_i, c_i ~ N(0, size_i²).

    As least squares with a row for each prior, not with the inverse of a covariance: that is singular to rounding
    where the scatter is (identity networks with orthogonal weights).
    """
    terms = len(sizes)
    columns = [np.ones_like(h), *(size * h ** (i + 1) for i, size in enumerate(sizes))]
    rows = np.vstack([np.column_stack(columns), np.eye(terms + 1)[1:]])
    scale = 1 / np.sqrt(_scale(variances, terms))
    q, r = np.linalg.qr(rows * scale[:, None])
    return np.linalg.solve(r, q.T) * scale
