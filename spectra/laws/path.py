"""Integration paths for φ'²: off the real axis to the side where Im φ'² > 0, as high as the function allows.

A pole φ'(x)² = 1/v with v in the closed upper half plane then never comes near the path, however close v is to the
cut.  How high it may be is known piece by piece (here); `panels` puts a rule on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import cycle, pairwise
from typing import cast

import numpy as np

from .._types import Array
from ..activations import Activation, Branch
from ..errors import ConvergenceError

# Slope of the path where it leaves the real axis; below 1 the Gaussian weight still decays along it.
STEEPNESS = 0.6
# Largest argument of φ'² aimed at along the path: a right angle keeps the image far from both half-axes.
TURN = 1.35
# Largest argument of the distance of φ'² from where it levels off.
LEVEL_TURN = 1.75
# Largest change of log|φ'²| between the axis and the path.
MODULUS = 2.0
# Largest part that terms of order 9 to 12 of a Taylor series may be of the first ones.
ROUGH = 5e-3
_CIRCLE = np.exp(2j * math.pi * np.arange(16) / 16.0)
# Below this φ'² x counts as one where φ' = 0, and the result says so: nodes would be spent on λ that nothing resolves.
TINY_SLOPE_SQUARE = 1e-100
# Points of the grid are no nearer to each other than this part of the height.
SPACING = 0.2


@dataclass(frozen=True, eq=False)
class MonotonePiece:
    """An interval (lower, upper) of x on which φ'² is monotone.

    `height` is how high the path may be at `grid`, `log_t` log φ'² there; `scales`, for either end, the distance at
    which φ'² levels off.
    """

    branch: Branch
    lower: float
    upper: float
    side: int
    grid: Array
    height: Array
    log_t: Array
    scales: tuple[float, float]


@lru_cache(maxsize=512)
def monotone_pieces(activation: Activation, reach: float, folded: bool) -> tuple[MonotonePiece, ...]:
    """Cut the non-constant branches at the critical points of φ'², within |x| ≤ `reach`, or over one period."""
    pieces = []
    for branch in activation.branches:
        if branch.constant_slope is not None:
            continue
        low, high = max(branch.lower, -reach), min(branch.upper, reach)
        if activation.slope_period is not None:
            pieces += _periodic(branch, activation.slope_period, None if folded else reach)
            continue
        middle = [0.0] if activation.even_slope else []
        ends = sorted({x for x in (low, *branch.turning_points, *middle, high) if low <= x <= high})
        for lower, upper in pairwise(ends):
            lower, upper = _where_slope_counts(branch, lower, upper)
            if upper > lower:
                pieces.append(_piece(branch, lower, upper))
    return tuple(pieces)


def _periodic(branch: Branch, period: float, reach: float | None) -> list[MonotonePiece]:
    """The pieces of one period, or what of its repetitions lies within |x| ≤ `reach`.

    Repetitions are copies: far from 0 the rounding of x leaves φ' beside its zeros without digits to find a path by.
    """
    ends = _period_ends(branch, period)
    first = [_piece(branch, lower, upper) for lower, upper in pairwise(ends)]
    if reach is None:
        return first
    count = math.ceil(reach / period) + 1
    places = [x + period * k for k in range(-count, count + 1) for x in ends[:-1]]
    copies = zip(cycle(first), pairwise(places), strict=False)
    return [
        replace(piece, lower=lower, upper=upper, grid=piece.grid + (lower - piece.lower))
        for piece, (lower, upper) in copies
        if lower < reach and upper > -reach
    ]


def around_zero(lower: float, upper: float) -> Array:
    """Points on both sides of 0, where φ' has its scale, as far out as (lower, upper) goes."""
    points = np.exp(np.linspace(math.log(1e-2), math.log(1.0 + max(abs(lower), abs(upper))), 160))
    return np.concatenate([points, -points])


def _beside_ends(lower: float, upper: float, fraction: Array) -> list[Array]:
    """Points as near to the ends of a wide piece as the finest level goes."""
    return [lower + fraction, upper - fraction] if upper - lower > 100.0 else []


@lru_cache(maxsize=1024)
def square_at(branch: Branch, x: float) -> float:
    """φ'(x)²; ends of pieces are asked for again and again."""
    return float(branch.slope(np.array([x]))[0]) ** 2


def _piece(branch: Branch, lower: float, upper: float) -> MonotonePiece:
    """Heights on a grid: as φ'² turns, and no more than `STEEPNESS` times the distance to either end."""
    width = upper - lower
    fraction = np.geomspace(1e-13, 0.5, 120)
    x = np.concatenate([lower + width * fraction, upper - width * fraction, np.linspace(lower, upper, 160)[1:-1]])
    # Far beyond the scale of φ', too: what happens near 0 must not fall between the points of a wide piece.
    x = np.unique(np.concatenate([x, around_zero(lower, upper), *_beside_ends(lower, upper, fraction)]))
    x = x[(x > lower) & (x < upper)]
    slope = branch.slope(x)
    t = slope**2
    x, slope, t = x[t > 0], slope[t > 0], t[t > 0]
    if x.size < 2:
        raise ConvergenceError(f"φ' vanishes on ({lower:.6g}, {upper:.6g})")
    side = 1 if t[-1] > t[0] else -1
    with np.errstate(divide="ignore", over="ignore"):
        turning = TURN * np.abs(slope / (2.0 * branch.curvature(x)))
    height = np.minimum(STEEPNESS * np.minimum(x - lower, upper - x), np.minimum(turning, 0.5 * width))
    limits = (float(t.min()), float(t.max()))
    # Heights only fall: what was safe once is looked at no more.
    open_ = np.arange(x.size)
    for _ in range(30):
        height = _gentle(x, height)
        open_ = open_[_unsafe(branch, x[open_], height[open_], side, limits)]
        if not open_.size:
            scales = _scale_at(branch, lower, x), _scale_at(branch, upper, x[::-1])
            kept = _spread(x, height)
            return MonotonePiece(branch, lower, upper, side, x[kept], height[kept], np.log(t[kept]), scales)
        height[open_] *= 0.6
    raise ConvergenceError(
        f"no integration path off the real axis was found for φ' on ({lower:.6g}, {upper:.6g}); "
        "give the activation as an expression that is analytic between its kinks"
    )


def _spread(x: Array, height: Array) -> list[int]:
    """Which points of a grid are enough to know the height by."""
    kept = [0]
    for k in range(1, x.size - 1):
        if x[k + 1] - x[kept[-1]] > SPACING * min(height[k], height[kept[-1]]):
            kept.append(k)
    return [*kept, x.size - 1]


def _scale_at(branch: Branch, end: float, x: Array) -> float:
    """Distance from `end` at which φ'² stops moving away from its value there like a power of the distance."""
    slope = branch.slope(x)
    start = square_at(branch, end)
    distance, change = np.abs(x - end), np.abs(slope**2 - start)
    level = (distance * np.abs(2.0 * slope * branch.curvature(x)) < 0.5 * change) & (
        change > 1e-6 * np.maximum(start, slope**2)
    )
    return float(distance[np.argmax(level)]) if level.any() else math.inf


def _gentle(x: Array, height: Array) -> Array:
    """The largest function below `height` whose slope stays within ±`STEEPNESS`."""
    up = np.minimum.accumulate(height - STEEPNESS * x) + STEEPNESS * x
    down = np.minimum.accumulate((up + STEEPNESS * x)[::-1])[::-1] - STEEPNESS * x
    return np.maximum(np.minimum(up, down), 1e-3 * height)


def _unsafe(branch: Branch, x: Array, height: Array, side: int, limits: tuple[float, float]) -> Array:
    """Where Im φ'² ≤ 0, or φ'² turns by more than 2.2 radians, on some path between the axis and this one.

    Also where it turns too far about its `limits`, the values where it levels off, beyond which poles may lie as well;
    and where its modulus changes by more than it does without a singularity in between.
    """
    unsafe = np.zeros(x.size, bool)
    on_axis = branch.slope(x) ** 2
    for fraction in (1.0, 0.2, 0.4, 0.6, 0.8):
        with np.errstate(all="ignore"):
            image = branch.slope(x + 1j * side * fraction * height) ** 2
        counted = ~(np.abs(image) < 1e-300)
        bad = (image.imag < -1e-12 * np.abs(image)) | (np.angle(image) > 2.2) | ~np.isfinite(image)
        with np.errstate(all="ignore"):
            far = np.abs(np.log(np.abs(image) / on_axis)) > MODULUS
            for away in (image - limits[0], np.conj(limits[1] - image)):
                bad |= (np.angle(away) > LEVEL_TURN) & (np.abs(away) > 1e-9 * limits[1])
        unsafe |= (counted & bad) | (far & (on_axis > TINY_SLOPE_SQUARE))
    return unsafe | _is_rough(branch, x, height, side)


def _is_rough(branch: Branch, x: Array, height: Array, side: int) -> Array:
    """Where the Taylor series of φ' on circles from the axis to half as high again above the path do not converge.

    A branch point, where φ' is finite, is seen by that alone.
    """
    radius = 0.75 * height[:, None]
    with np.errstate(all="ignore"):
        values = branch.slope((x[:, None] + 1j * side * radius + radius * _CIRCLE).ravel()).reshape(-1, _CIRCLE.size)
        terms = np.abs(np.fft.fft(values, axis=1))
        return np.max(terms[:, 9:13], axis=1) > ROUGH * np.max(terms[:, :4], axis=1)


def _period_ends(branch: Branch, period: float) -> list[float]:
    """Critical points of φ'² over one period, from one of them to its repetition."""
    from scipy.optimize import brentq

    grid = np.linspace(-0.5 * period, 0.5 * period, 401) + 0.123456789e-3 * period
    roots: list[float] = []
    # One by one: of a triple zero of φ'φ'' a third of the digits could be told.
    for function in (branch.curvature, branch.slope):
        values = function(grid)
        for k in np.flatnonzero(values[:-1] * values[1:] < 0):
            at = partial(_at, function)
            root = cast(float, brentq(at, grid[k], grid[k + 1], xtol=1e-15, maxiter=1000))
            if all(abs(root - other) > 1e-9 * period for other in roots):
                roots.append(root)
    roots.sort()
    return [*roots, roots[0] + period]


def _at(function: Callable[[Array], Array], x: float) -> float:
    return float(function(np.array([x]))[0])


@lru_cache(maxsize=256)
def last_above(branch: Branch, inside: float, outside: float, limit: float) -> float:
    """The last x between `inside`, where φ'² > `limit`, and `outside` before it falls below that."""
    # Four binary digits at a time.
    for _ in range(15):
        points = inside + (outside - inside) * np.arange(1, 17) / 16.0
        above = branch.slope(points[:-1]) ** 2 > limit
        first = int(np.argmin(np.append(above, False)))
        inside, outside = float(points[first - 1]) if first else inside, float(points[first])
    return inside


def _where_slope_counts(branch: Branch, lower: float, upper: float) -> tuple[float, float]:
    """Shrink the piece to where φ'² is above the underflow limit."""

    def counts(x: Array | list[float]) -> Array:
        return branch.slope(np.asarray(x, float)) ** 2 > TINY_SLOPE_SQUARE

    bounds = []
    for near, far in ((upper, lower), (lower, upper)):
        beside = near + 1e-3 * (far - near)
        # A zero of φ' at a turning point is an end like any other: only long tails are cut.
        at_far, beside_far, at_near = counts([far, far + 1e-3 * (near - far), near])
        if at_far or beside_far:
            bounds.append(far)
            continue
        inside, outside = near if at_near else beside, far
        bounds.append(last_above(branch, inside, outside, TINY_SLOPE_SQUARE))
    return bounds[0], bounds[1]
