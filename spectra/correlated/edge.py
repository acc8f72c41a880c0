"""Edges of the spectrum from inside: p² is analytic there, and vanishes linearly."""

from __future__ import annotations

import math

import numpy as np
from numpy.polynomial.chebyshev import chebder, chebval

from .._types import Array
from ..chebyshev import fit, nodes
from .known import Equation, Known, scale_of

# Distance in U of a second place from which an edge is guessed; of a narrow law so much smaller as `scale_of` says, as
# what is said of U below.
NEARBY = 1e-5
# Places inside from which p² is continued, between these parts of the way from the edge to the farthest; ways tried one
# after another, each so much shorter.
PLACES, NEAREST, ROUNDS, SHORTER = 14, 0.03, 10, 0.3
# Of the guess so much of the way is trusted to lie inside; it may be off by so many ways.
TRUSTED, FARTHEST = 0.7, 3.0
# Two ways must agree on an edge so well in U, or where it is enough to know it roughly; there is no need for another
# where that would move it by less than this part of it, by what has become of the last move.
AGREES, ROUGHLY, SETTLED = 3e-12, 1e-5, 3e-3
# What rounding leaves of U.
ROUNDING = 1e-15
# The first way where an edge is known already, in U and relative to the places that are known.
CLOSE = 0.03

# Powers of the root of the distance to an edge from which others are guessed; Newton's steps, and places beyond which
# a zero is none.
POWERS, STEPS, OUT = 7, 50, 10.0
# A last coefficient as large as this, relatively, is that of noise.
ROUGH = 1e-2

_FIT = fit(PLACES)


def edge_beside(equation: Equation, u: float, x: Array, *, roughly: bool = False) -> float | None:
    """U at an edge near U = `u`, inside, where the unknowns are x (n,); None where none is found.

    Polynomials through p² at Chebyshev nodes, nearer and nearer to the edge, are continued to their zero.

    Parameters
    ----------
    roughly : 1e-5 (1 + |U|) will do.

    Accuracy
    --------
    3e-12 (1 + |U|), as a rule less.
    """
    nearby = NEARBY * scale_of(equation.log_range)
    at = np.array([u, u + nearby])
    found = equation.solve(np.exp(at).astype(complex), np.array([x, x]))
    square = found.psi.imag**2
    if not found.solved.all() or square[0] == square[1]:
        return None
    guess = u - nearby * float(square[0] / (square[1] - square[0]))
    return _closing(equation, guess, guess - u, 1.0 - TRUSTED, (at, found.x), ROUGHLY if roughly else AGREES)


def edge_about(equation: Equation, end: float, known: Known) -> float | None:
    """The same, from where it is as far as is known, and solutions inside that are nearly those of this equation."""
    near = np.argsort(np.abs(known.u - end))[:PLACES]
    way = math.copysign(min(CLOSE * float(np.ptp(known.u)), CLOSE), end - float(known.u[near[0]]))
    return _closing(equation, end, way, NEAREST, (known.u[near], known.x[near]), AGREES)


def _closing(
    equation: Equation, guess: float, way: float, nearest: float, begun: tuple[Array, Array], agrees: float
) -> float | None:
    """The edge near `guess`, from places between it and `guess` − `way`, nearer and nearer, until two ways agree.

    Parameters
    ----------
    nearest : part of the way that is left out at first.
    begun : places and unknowns at them.
    """
    at, x = begun
    off = math.inf
    agrees = max(agrees * scale_of(equation.log_range), ROUNDING)
    for _ in range(ROUNDS):
        places = guess - way * (nearest + (1.0 - nearest) * 0.5 * (1.0 + nodes(PLACES)))
        found = equation.solve(np.exp(places).astype(complex), _started(at, x, guess, places))
        square = found.psi.imag**2
        zero = _zero(square) if (found.solved & (found.psi.imag < 0.0)).all() else None
        if zero is None:
            break
        moved = (1.0 - nearest) * 0.5 * way * (zero + 1.0) + nearest * way
        rounding = off < agrees * (1.0 + abs(guess)) and abs(moved) > 0.5 * off
        if rounding or not abs(moved) < FARTHEST * abs(way):
            break
        ahead = abs(moved) * min(abs(moved) / off, 1.0)
        at, x, guess, off = places, found.x, guess - moved, abs(moved)
        if ahead < SETTLED * agrees and off < agrees * (1.0 + abs(guess)):
            break
        way, nearest = SHORTER * way, NEAREST
    return guess if off < agrees * (1.0 + abs(guess)) else None


def _started(at: Array, x: Array, edge: float, places: Array) -> Array:
    """Unknowns at `places` from those at `at`, x (m, n): low powers of the root of the distance to the edge."""
    root, others = np.sqrt(np.abs(edge - at)), np.sqrt(np.abs(edge - places))
    count = min(POWERS, at.size)
    scale = root.max()
    powers, there = (np.vander(r / scale, count, increasing=True) for r in (root, others))
    return there @ np.linalg.lstsq(powers, x, rcond=None)[0]


def _zero(square: Array) -> float | None:
    """Where the polynomial through these values at the nodes vanishes, nearest to −1, as a place on [−1, 1]."""
    series = _FIT @ (square / square.max())
    if not abs(series[-1]) < ROUGH * np.abs(series).max():
        return None
    derivative, at = chebder(series), -1.0
    for _ in range(STEPS):
        value, slope = float(chebval(at, series)), float(chebval(at, derivative))
        if slope == 0.0:
            return None
        step = -value / slope
        at += step
        if abs(at) > OUT:
            return None
        if abs(step) < 1e-15:
            break
    return at
