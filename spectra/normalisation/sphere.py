"""Expectations over a normalised Gaussian batch of finite size: its direction is uniform on a sphere.

B independent normal numbers, less their mean and divided by their spread, are √B times a uniform vector of the unit
sphere of 1⊥, of dimension n = B − 1. One of them is √n sin θ with density ∝ cos^{n−2} θ; of a second one, of
correlation −1/n, the part across the first is √n cos θ sin θ' with density ∝ cos^{n−3} θ'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .._types import Array
from ..errors import ConvergenceError
from ..quadrature import ORDER, legendre_rule

# Parts of a panel tried in turn, and the error asked for, relative to the mean of what is integrated, sign left out.
PARTS, TOLERANCE = (1, 2, 4, 8, 16, 32), 1e-12
# Beyond the angle where cos^k is this, there is nothing.
NOTHING = 1e-24
# Powers of cos from which on its roundings count.
MANY = 100


def coordinate_mean(integrand: Callable[[Array], Array], batch: int, breaks: Sequence[float] = ()) -> Array:
    """E f(x_1), x a normalised batch of `batch` ≥ 3 numbers.

    Parameters
    ----------
    integrand : f, from (…,) to (k, …): k functions at once.
    breaks : where one of them, or its derivative, jumps.

    Returns
    -------
    (k,).

    Raises
    ------
    ConvergenceError : not resolved by 32 times 16 nodes between two breaks.

    Accuracy
    --------
    1e-12 relative to E |f| (tests/test_normalisation.py, against mpmath).
    """
    n = batch - 1
    root = math.sqrt(n)
    cuts = [math.asin(b / root) for b in breaks if abs(b) < root]

    def by(parts: int) -> tuple[Array, Array]:
        theta, weights = _rule(np.array([_edges(cuts, n - 2)]), parts)
        weights = weights * _cosine_power(theta, n - 2)
        values = integrand(root * np.sin(theta))
        total = weights.sum()
        return _sum(values, weights) / total, _sum(np.abs(values), weights) / total

    return _settled(by)


def pair_mean(integrand: Callable[[Array, Array], Array], batch: int, breaks: Sequence[float] = ()) -> Array:
    """E f(x_1, x_2), x a normalised batch of `batch` ≥ 4 numbers.

    Parameters
    ----------
    integrand : f, from two arrays of one shape to (k, …).
    breaks : where it jumps, or a derivative does, along either argument.

    Returns
    -------
    (k,).

    Raises
    ------
    ConvergenceError : see `coordinate_mean`.

    Accuracy
    --------
    1e-12 relative to E |f| (tests/test_normalisation.py).
    """
    n = batch - 1
    root, rho = math.sqrt(n), -1.0 / n
    across = math.sqrt(1.0 - rho * rho)
    inside = [b / root for b in breaks if abs(b) < root]
    cuts = [math.asin(b) for b in inside]
    # Where the line x_2 = b touches the circle, the inner integral is no smooth function of the outer variable.
    for b in inside:
        for angle in (math.acos(rho) + math.acos(b), math.acos(rho) - math.acos(b)):
            cuts.append(math.asin(math.cos(angle)))
    end = _end(n - 3)

    def by(parts: int) -> tuple[Array, Array]:
        theta, outer = _rule(np.array([_edges(cuts, n - 2)]), parts)
        sine, cosine = np.sin(theta.ravel())[:, None], np.cos(theta.ravel())[:, None]
        outer = (outer * _cosine_power(theta, n - 2)).ravel()[:, None]
        # Beyond the circle a break is at its end, and leaves an empty panel.
        at = np.clip((np.sort(inside) - rho * sine) / (across * cosine), -1.0, 1.0)
        edges = np.concatenate(
            [np.full_like(sine, -end), np.clip(np.arcsin(at), -end, end), np.full_like(sine, end)], 1
        )
        inner_theta, inner = _rule(edges, parts)
        inner = inner * _cosine_power(inner_theta, n - 3)
        second = root * (rho * sine + across * cosine * np.sin(inner_theta))
        weights = outer * inner
        values = integrand(np.broadcast_to(root * sine, second.shape), second)
        total = weights.sum()
        return _sum(values, weights) / total, _sum(np.abs(values), weights) / total

    return _settled(by)


def _sum(values: Array, weights: Array) -> Array:
    return np.einsum("kij,ij->k", values, weights)


def _settled(by: Callable[[int], tuple[Array, Array]]) -> Array:
    """The value by so many parts that half of them give the same."""
    before, size = by(PARTS[0])
    change = np.array(math.inf)
    for parts in PARTS[1:]:
        value, size = by(parts)
        change = np.abs(value - before)
        if np.all(change <= TOLERANCE * size):
            return value
        before = value
    raise ConvergenceError(
        "`spectra.normalisation`: the activation is not resolved over a normalised batch; it oscillates, or jumps "
        "where it does not say so",
        residual=float(np.max(change / size)),
        tolerance=TOLERANCE,
    )


def _cosine_power(theta: Array, power: int) -> Array:
    """Powers cos^power, for large powers without that many roundings of cos; then π/2 is out of sight."""
    if power < MANY:
        return np.cos(theta) ** power
    return np.exp(0.5 * power * np.log1p(-(np.sin(theta) ** 2)))


def _end(power: int) -> float:
    """Angle up to which cos^power counts."""
    return math.acos(NOTHING ** (1.0 / power)) if power > 0 else math.pi / 2.0


def _edges(cuts: Sequence[float], power: int) -> Array:
    end = _end(power)
    return np.unique(np.clip([-end, *cuts, end], -end, end))


def _rule(edges: Array, parts: int) -> tuple[Array, Array]:
    """Nodes and weights between the edges of every row, (rows, nodes), each interval in `parts` panels.

    Both ends of an interval are opened by t → t²(3 − 2t): what goes like a square root there becomes smooth.
    """
    nodes, weights = legendre_rule(ORDER)
    t = ((np.arange(parts)[:, None] + nodes) / parts).ravel()
    width = np.diff(edges, axis=1)[:, :, None]
    theta = edges[:, :-1, None] + width * (t * t * (3.0 - 2.0 * t))
    mass = width * (6.0 * t * (1.0 - t) * np.tile(weights / parts, parts))
    return theta.reshape(len(edges), -1), mass.reshape(len(edges), -1)
