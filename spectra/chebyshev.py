"""Polynomials on pieces of a line: Chebyshev series and what is done with them, Lagrange's between any places."""

from __future__ import annotations

import numpy as np

from ._types import Array
from .native import NATIVE

# So many times the last three coefficients of a series is what one must be not to be of their noise.
NOISY = 10.0
# A place this near to one of those of a Lagrange polynomial is that one.
CLOSEST = 1e-290


def nodes(count: int) -> Array:
    """Zeros of T_count, ascending."""
    return -np.cos(np.pi * (np.arange(count) + 0.5) / count)


def fit(count: int) -> Array:
    """Matrix from values at the nodes to coefficients."""
    angles = np.pi * (np.arange(count) + 0.5) / count
    matrix = 2.0 / count * np.cos(np.outer(np.arange(count), np.pi - angles))
    matrix[0] *= 0.5
    return matrix


def parts(count: int, number: int) -> Array:
    """Matrices from values at the nodes to values at the nodes of each of `number` equal parts, (number, n, n)."""
    places = (nodes(count) + 1.0 + 2.0 * np.arange(number)[:, None]) / number - 1.0
    return np.polynomial.chebyshev.chebvander(places, count - 1) @ fit(count)


def barycentric(places: Array) -> Array:
    """Weights of Lagrange's polynomials through `places` (K,), for `lagrange`."""
    apart = places[:, None] - places
    np.fill_diagonal(apart, 1.0)
    return 1.0 / np.prod(apart, axis=1)


def lagrange(places: Array, weights: Array, x: Array) -> Array:
    """Values at x (…) of the polynomials that are 1 at one of `places` (K,), 0 at the others: (…, K).

    `weights` : `barycentric(places)`.
    """
    away = x[..., None] - places
    away = np.where(np.abs(away) < CLOSEST, CLOSEST, away)
    terms = weights / away
    return terms / terms.sum(axis=-1, keepdims=True)


def integral(count: int) -> Array:
    """Matrix from the coefficients of f to those of ∫_x^1 f, (count + 1, count)."""
    matrix = np.zeros((count + 1, count))
    for k in range(count):
        unit = np.polynomial.chebyshev.chebint(np.eye(count)[k])
        matrix[: unit.size, k] -= unit
        matrix[0, k] += np.polynomial.chebyshev.chebval(1.0, unit)
    return matrix


def slope_at_end(series: Array) -> float:
    """Derivative at 1 of Σ c_k T_k, T_k' = k², without the coefficients that may be noise: these would count most."""
    told = np.flatnonzero(np.abs(series) > NOISY * np.abs(series[-3:]).max())
    count = int(told[-1]) + 1 if told.size else 1
    return float(series[:count] @ np.arange(count) ** 2)


def clenshaw(series: Array, piece: Array, x: Array) -> Array:
    """Σ c_j T_j(x) for x (n,), the coefficients c those of row `piece` (n,) of `series`."""
    if NATIVE is not None and series.shape[1] > 1:
        out = np.empty(x.size)
        rows = np.ascontiguousarray(series, float)
        NATIVE.clenshaw(rows, rows.shape[1], np.ascontiguousarray(piece, "l"), np.ascontiguousarray(x, float), out)
        return out
    rows = series.T[:, piece]
    double = x + x
    after, here = np.zeros_like(x), rows[-1]
    for row in rows[-2:0:-1]:
        new = double * here
        new -= after
        new += row
        here, after = new, here
    return x * here - after + rows[0]
