"""Gaussian expectations by composite Gauss–Legendre panels, with an error estimate.

A Gaussian weight leaves three things to resolve: the weight itself, on the scale √variance; the integrand's own
structure, on any scale; and its kinks. Panels follow the first, are bisected for the second and cut at the third.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectra.errors import ConvergenceError

Array = NDArray[np.float64]

#: Panel edges in standard deviations. Sixteen Gauss–Legendre nodes integrate z^k exp(−z²/2), k ≤ 4, over each to
#: 1e-16 of the whole; beyond the last edge the weight is 1e-22.
STANDARD_EDGES = (0.0, 3.0, 6.0, 10.0)

#: Nodes per panel.
ORDER = 16

_MAX_PANELS = 1 << 16


@dataclass(frozen=True)
class Expectation:
    """A Gaussian expectation with its estimated absolute error (quadrature and rounding).

    Parameters
    ----------
    value, error : floats, or arrays of one shape when several integrands shared their nodes.
    """

    value: Array | float
    error: Array | float


@lru_cache(maxsize=16)
def legendre_rule(order: int) -> tuple[Array, Array]:
    """Gauss–Legendre nodes and weights on (0, 1), both of shape (order,)."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return (nodes + 1.0) / 2.0, weights / 2.0


@lru_cache(maxsize=16)
def legendre_analysis(order: int) -> Array:
    """Matrix from values at the Gauss–Legendre nodes to Legendre coefficients, shape (order, order)."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    vandermonde = np.polynomial.legendre.legvander(nodes, order - 1)
    return (vandermonde * weights[:, None]).T * (np.arange(order) + 0.5)[:, None]


def panel_rule(lower: ArrayLike, upper: ArrayLike, order: int = ORDER) -> tuple[Array, Array]:
    """Nodes and weights on the panels (lower_i, upper_i); both of shape (*shape of lower, order)."""
    lower = np.asarray(lower, dtype=float)[..., None]
    width = np.asarray(upper, dtype=float)[..., None] - lower
    nodes, weights = legendre_rule(order)
    return lower + width * nodes, width * weights


def gaussian_expectation(
    integrand: Callable[[Array], ArrayLike],
    variance: float,
    *,
    breaks: Sequence[float] = (),
    tolerance: float = 1e-14,
    max_panels: int = _MAX_PANELS,
) -> Expectation:
    """E f(√variance · z), z ~ N(0, 1), by adaptive panels.

    Parameters
    ----------
    integrand : f, from nodes of shape (n,) to values of shape (..., n); the leading axes are several integrands that
        share the nodes. It may grow like a polynomial; it is never evaluated beyond ten standard deviations.
    variance : ≥ 0; 0 is the limit from above, the mean of the one-sided values at 0.
    breaks : points x where f or a derivative jumps.
    tolerance : the error aimed at, relative to E|f| of each integrand.
    max_panels : the most panels spent.

    Returns
    -------
    Expectation, with value and error of shape (...): a float for one integrand.

    Raises
    ------
    ConvergenceError : the panels ran out above the tolerance; raise `max_panels` or name the missing `breaks`.

    Accuracy
    --------
    1e-13 relative to E|f| (tests/test_quadrature.py). Smaller expectations, where f cancels, lose in proportion.
    """
    if not (variance >= 0.0 and np.isfinite(variance)):
        raise ValueError(f"`gaussian_expectation(variance={variance!r})`: `variance` must be finite and not negative.")
    if variance == 0.0:
        sides = np.asarray(integrand(np.array([-1e-300, 1e-300])), dtype=float)
        return _expectation(sides.mean(axis=-1), np.finfo(float).eps * np.abs(sides).mean(axis=-1))
    scale = float(np.sqrt(variance))
    reach = np.array(STANDARD_EDGES)
    cuts = np.asarray([b / scale for b in breaks if abs(b) < reach[-1] * scale], dtype=float)
    edges = np.unique(np.concatenate([-reach, reach, cuts]))
    lower, upper = edges[:-1], edges[1:]
    coarse, size = _panel_sums(integrand, scale, lower, upper)
    total, total_size, error, spent = 0.0, 0.0, 0.0, lower.size
    while True:
        middle = (lower + upper) / 2.0
        left, left_size = _panel_sums(integrand, scale, lower, middle)
        right, right_size = _panel_sums(integrand, scale, middle, upper)
        difference = np.abs(left + right - coarse)
        size = left_size + right_size
        scale_of_sum = total_size + size.sum(axis=-1)
        # A panel passes when its own share of the tolerance is met, or when rounding is all that is left of it.
        bound = np.maximum(tolerance / 8.0 * scale_of_sum[..., None], 8.0 * np.finfo(float).eps * size)
        accepted = np.all(difference <= bound, axis=tuple(range(difference.ndim - 1)))
        total = total + (left + right)[..., accepted].sum(axis=-1)
        total_size = total_size + size[..., accepted].sum(axis=-1)
        # Sixteen nodes against two half-panels: the halves are better by many orders where the panel resolves f.
        error = error + difference[..., accepted].sum(axis=-1)
        if accepted.all():
            return _expectation(total, error + 4.0 * np.finfo(float).eps * total_size)
        left, right = left[..., ~accepted], right[..., ~accepted]
        spent += 2 * int(np.count_nonzero(~accepted))
        if spent > max_panels or np.any(upper[~accepted] - lower[~accepted] < 1e-15):
            worst = float(np.max(difference[..., ~accepted].sum(axis=-1) / scale_of_sum))
            raise ConvergenceError(
                f"`gaussian_expectation`: {spent} panels do not resolve the integrand; raise `max_panels` or name its "
                "kinks in `breaks`",
                residual=worst,
                tolerance=tolerance,
            )
        lower, upper = (
            np.concatenate([lower[~accepted], middle[~accepted]]),
            np.concatenate([middle[~accepted], upper[~accepted]]),
        )
        coarse = np.concatenate([left, right], axis=-1)


def _panel_sums(
    integrand: Callable[[Array], ArrayLike], scale: float, lower: Array, upper: Array
) -> tuple[Array, Array]:
    """∫ f g and ∫ |f| g over each panel in z; shape (..., panels)."""
    nodes, weights = panel_rule(lower, upper)
    weights = weights * np.exp(-(nodes**2) / 2.0) / np.sqrt(2.0 * np.pi)
    values = np.asarray(integrand(scale * nodes.ravel()), dtype=float)
    if not np.all(np.isfinite(values)):
        raise ConvergenceError("`gaussian_expectation`: the integrand is not finite within ten standard deviations.")
    values = values.reshape(*values.shape[:-1], *nodes.shape)
    return (values * weights).sum(axis=-1), (np.abs(values) * weights).sum(axis=-1)


def _expectation(value: Array, error: Array) -> Expectation:
    if np.ndim(value) == 0:
        return Expectation(float(value), float(error))
    return Expectation(value, error)
