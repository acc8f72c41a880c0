"""Edges of the spectrum: folds of the solutions of F(x, U) = 0, where dU vanishes along them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._types import Array

# Steps at most; of finite differences, relative; the last step of U along the solutions as short as that.
STEPS, APART, SETTLED = 25, 1e-7, 1e-13
# An edge farther than this from where it was looked for, in U, is another one.
FARTHEST = 3.0
# F relative to x, and Im U, of an edge.
SOLVED, REAL = 1e-10, 1e-9


def fold_near(image: Callable[[Array, Array], Array], u: float, x: Array, guess: float) -> float | None:
    """U at a fold of x = image(x, U), near a solution x (n,) at U = `u`; `guess`: where it may be.

    Along the solutions, x(t) with t = c·x, U has a critical point, U ≈ U_e + κ (t − t_e)², and is analytic, so that the
    root of dU/dt is found from inside a bulk, through complex U, by the secant.

    Parameters
    ----------
    image : of x (M, n) and U (M,), analytic.
    """
    size = x.size
    at, here = complex(u), x.astype(complex)
    miss, matrix, by_u = _linear(image, here, at)
    try:
        along = np.linalg.solve(matrix, -by_u)
        c = along.conj() / np.linalg.norm(along) ** 2
        # dU/dt is 1 here.
        step, slope = -2.0 * (at - guess), 1.0 + 0.0j
        for _ in range(STEPS):
            bordered = np.zeros((size + 1, size + 1), complex)
            bordered[:size, :size], bordered[:size, size], bordered[size, :size] = matrix, by_u, c
            sides = np.zeros((size + 1, 2), complex)
            sides[:size, 0], sides[size, 1] = -miss, 1.0
            fixed, tangent = np.linalg.solve(bordered, sides).T
            before, slope = slope, tangent[size]
            if _:
                step = -slope * step / (slope - before) if slope != before else 0.0
            here = here + fixed[:size] + step * tangent[:size]
            moved = fixed[size] + step * slope
            at += moved
            if not abs(at - guess) < FARTHEST:
                return None
            miss, matrix, by_u = _linear(image, here, at)
            if not np.isfinite(miss).all():
                return None
            small = np.max(np.abs(miss)) < SOLVED * np.max(np.abs(here))
            if abs(moved) < SETTLED * max(1.0, abs(at)) and small and _:
                return at.real if abs(at.imag) < REAL else None
    except np.linalg.LinAlgError:
        return None
    return None


def _linear(image: Callable[[Array, Array], Array], x: Array, u: complex) -> tuple[Array, Array, Array]:
    """F = image − x, dF/dx (n, n) and dF/dU (n,)."""
    size = x.size
    apart = APART * np.maximum(np.abs(x), 1e-3 * np.max(np.abs(x)))
    places = np.tile(x, (size + 2, 1))
    places[np.arange(size), np.arange(size)] += apart
    us = np.full(size + 2, u)
    us[size] += APART
    found = image(places, us)
    base = found[-1]
    matrix = ((found[:size] - base) / apart[:, None]).T - np.eye(size)
    return base - x, matrix, (found[size] - base) / APART
