"""Solving the equation of a chain of blocks at many λ: Anderson's acceleration, every point verified."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .._types import Array
from .solution import SOLVED, STOP, Solution

# Steps at most.
MAX_STEPS = 300
# Points that are solved to so much, and no better after so many steps, are as good as rounding allows; acceleration may
# stand still for more before that; others are lost after more still.
ROUNDED, PATIENCE, LONGER, LONG_PATIENCE = 1e-12, 6, 25, 60
# The residual that rounding leaves where the law is of ordinary width.
ROUNDING = 2e-16
# Distances from the axis, relative to |u|, of the way to it, and residual to stop at on the way.
BELOW, SLOWLY, GLANCE = (0.3, 0.05), (0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4), 1e-4
# So far from the axis, relatively, −Im ψ is less than this outside of the support.
BENEATH, DOUBTFUL = 1e-4, 1e-3
# Steps remembered; plain ones before that.
MEMORY, PLAIN = 8, 2
# Where to begin.
AGAIN = -0.01j
# Unknowns smaller than this, relatively, have no say in it.
SMALL = 1e-14
# Part of a plain step.
DAMPING = 0.7
# Newton's steps where acceleration stands still, of no more unknowns than so many; the step of a difference and the
# longest one, relative to each unknown; and the residual from which it begins.
NEWTONS, MANY, DIFFERENCE, LONGEST, BEGIN = 25, 100, 1e-7, 0.5, 0.5
# Imaginary parts less than this, relatively, are those of a real solution.
REAL = 1e-6


class Map(Protocol):
    """What is to be fixed."""

    @property
    def unknowns(self) -> int:
        """Numbers that are to be fixed."""
        ...

    @property
    def scale(self) -> float:
        """How narrow the law is, 1 of an ordinary one: distances in log u are relative to it."""
        ...

    def step(self, zeta: Array, x: Array) -> tuple[Array, Array]:
        """What the right sides say of `x` (M, n), and ψ (M,), at ζ (M,), Im ζ ≤ 0."""
        ...


def zeta_of(u: Array) -> Array:
    """√u in the lower half plane: u on the real axis is its limit from below, λ from above."""
    root: Array = np.sqrt(np.asarray(u, complex))
    return np.where(root.imag > 0.0, -root, root)


def solve(equation: Map, u: Array, start: Array | None = None, *, stop: float = STOP) -> Solution:
    """Solve at u (M,), Im u ≤ 0; `start`: A and B (M, 2L) nearby; `stop`: relative residual to stop at.

    Without a start u on the real axis is reached from below, where the solution is unique: on the axis itself real
    points solve the equation, too.
    """
    u = np.asarray(u, complex)
    if start is not None:
        return _solved(equation, u, start, stop)
    found = _from_below(equation, u, BELOW, stop)
    # Outside of the support the solution is real, but so are others inside; those do not go on below the axis.
    doubtful = DOUBTFUL / equation.scale
    real = np.flatnonzero((np.abs(found.psi.imag) < doubtful) & (u.imag == 0.0))
    if not real.size:
        return found
    below = BENEATH * equation.scale
    beneath = _solved(equation, u[real] - 1j * below * np.abs(u[real]), found.x[real], GLANCE * equation.scale)
    wrong = (-beneath.psi.imag > doubtful) | ~beneath.inside | (beneath.residual > GLANCE)
    if not wrong.any():
        return found
    return found.with_rows(real[wrong], _from_below(equation, u[real[wrong]], SLOWLY, stop))


def _from_below(equation: Map, u: Array, distances: tuple[float, ...], stop: float) -> Solution:
    start = None
    for below in distances:
        start = _solved(equation, u - 1j * below * equation.scale * np.abs(u), start, GLANCE).x
    return _solved(equation, u, start, stop)


def _solved(equation: Map, u: Array, start: Array | None, stop: float) -> Solution:
    zeta = zeta_of(u)
    points = zeta.size
    # In a narrow law what is left of numbers near 1 has so many digits less.
    rounding = ROUNDING / equation.scale
    stop, rounded = max(stop, rounding), max(ROUNDED, 10.0 * rounding)
    x: Array = np.full((points, equation.unknowns), AGAIN)
    if start is not None:
        x = start.astype(complex)
    residual = np.full(points, np.inf)
    psi = np.zeros(points, complex)
    if not points:
        return Solution(x, psi, residual, np.zeros(0, bool))
    active = np.arange(points)
    history: list[tuple[Array, Array]] = []
    stale = np.zeros(points, int)
    best: Array = x.copy()
    for count in range(MAX_STEPS):
        here = x[active]
        with np.errstate(all="ignore"):
            new, value = equation.step(zeta[active], here)
        miss = new - here
        # What is no number is as far off as can be, and begins again.
        lost = ~np.isfinite(miss).all(axis=1)
        miss[lost] = AGAIN - here[lost]
        # Unknowns may differ by many orders of magnitude, where λ → 0: each counts for itself.
        size = np.max(np.abs(miss) / np.maximum(np.abs(here) + np.abs(here + miss), 1e-300), axis=1)
        before = residual[active]
        size[lost] = np.inf
        better = size < before
        rows = active[better]
        residual[rows], psi[rows], best[rows] = size[better], value[better], here[better]
        stale[active] = np.where(size < 0.5 * before, 0, stale[active] + 1)
        reached = residual[active]
        patience = np.where(reached < rounded, PATIENCE, np.where(reached < SOLVED, LONGER, LONG_PATIENCE))
        going = ~((size < stop) | (stale[active] > patience))
        history = [(point[going], missed[going]) for point, missed in history]
        active, here, miss = active[going], here[going], miss[going]
        if not active.size:
            break
        history.append((here, miss))
        history = history[-MEMORY:]
        x[active] = here + DAMPING * miss if count < PLAIN or len(history) < 2 else _accelerated(history)
        x[active[~np.isfinite(x[active]).all(axis=1)]] = AGAIN
        # Beyond the real axis lies the conjugate of what is looked for.
        x[active] -= 2j * np.maximum(x[active].imag, 0.0)
    lost = np.flatnonzero((residual > max(stop, SOLVED)) & (residual < BEGIN))
    if lost.size and equation.scale < 1.0 and equation.unknowns <= MANY:
        other, value, size = _newton(equation, zeta[lost], best[lost], rounded)
        # Real points solve the equation, too, where there is a density.
        found = (size < residual[lost]) & np.any(other.imag < -REAL * np.abs(other), axis=1)
        rows = lost[found]
        best[rows], psi[rows], residual[rows] = other[found], value[found], size[found]
    inside = np.all(best.imag <= 1e-13 * np.abs(best), axis=1)
    return Solution(best, psi, residual, inside)


def _newton(equation: Map, zeta: Array, x: Array, stop: float) -> tuple[Array, Array, Array]:
    """Unknowns, ψ and residual after Newton's steps from x (M, n), the best of them.

    Where slopes of 0 are nearly the same in all blocks the density has a peak like |λ − Π β²|^(−1/3), and the map no
    longer contracts; its derivative is regular all the same.
    """
    points, count = x.shape
    best, psi, residual = x.copy(), np.zeros(points, complex), np.full(points, np.inf)
    for _ in range(NEWTONS):
        with np.errstate(all="ignore"):
            away = DIFFERENCE * x
            # At x itself, and with one unknown after the other moved.
            moved = np.concatenate([x[:, None], x[:, None] + away[:, :, None] * np.eye(count)], axis=1)
            new, value = equation.step(np.repeat(zeta, count + 1), moved.reshape(-1, count))
            new = new.reshape(points, count + 1, count)
            miss = new[:, 0] - x
            size = np.max(np.abs(miss) / (np.abs(x) + np.abs(new[:, 0])), axis=1)
            better = size < residual
            best[better], residual[better] = x[better], size[better]
            psi[better] = value[:: count + 1][better]
            # Of relative changes.
            turns = (new[:, 1:] - new[:, :1]).transpose(0, 2, 1) / DIFFERENCE - x[:, :, None] * np.eye(count)
            matrix = turns / x[:, :, None]
            good = np.isfinite(matrix).all(axis=(1, 2)) & np.isfinite(miss).all(axis=1) & (residual > stop)
            if not good.any():
                break
            step = np.zeros_like(x)
            step[good] = -(np.linalg.pinv(matrix[good]) @ (miss / x)[good, :, None])[:, :, 0]
        step *= np.minimum(1.0, LONGEST / np.maximum(np.max(np.abs(step), axis=1), 1e-300))[:, None]
        x = x * (1.0 + step)
        x -= 2j * np.maximum(x.imag, 0.0)
    return best, psi, residual


def _accelerated(history: list[tuple[Array, Array]]) -> Array:
    """Anderson's step: the combination of the last points whose misses, linearly, vanish."""
    points = np.stack([x for x, _ in history], axis=2)
    misses = np.stack([f for _, f in history], axis=2)
    steps, turns = np.diff(points, axis=2), np.diff(misses, axis=2)
    size = np.abs(points[:, :, -1:])
    scale = 1.0 / np.maximum(size, SMALL * np.max(size, axis=1, keepdims=True))
    # Points that begin again have nothing to remember.
    turns[~np.isfinite(turns).all(axis=(1, 2))] = 0.0
    part = np.linalg.pinv(scale * turns, rcond=1e-10) @ (scale * misses[:, :, -1:])
    return (points[:, :, -1:] + misses[:, :, -1:] - (steps + turns) @ part)[:, :, 0]
