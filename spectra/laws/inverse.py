"""The law of φ'(h)² on the real axis itself: density and distribution function through the real inverse of φ'²."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from .._types import Array
from ..activations import Branch
from ..errors import ConvergenceError
from ..native import NATIVE
from . import gauss
from .fade import Taken, is_cut, kept
from .path import around_zero
from .zero import SlopeZero, slope_zero

# Bisections of an interval between two points of a table bring Newton's method home.
MAX_STEPS = 100
# Steps of log t over which nothing is interpolated.
COARSE = 2.0
# Places around 0.  Of an interval: points that are fine towards both ends, and even ones.
_OCTAVES = np.concatenate([-(2.0 ** np.arange(12.0, -5.0, -1.0)), [0.0], 2.0 ** np.arange(-4.0, 13.0)])
_TOWARDS = np.geomspace(1e-9, 0.5, 120)
_FRACTIONS = np.concatenate([[0.0], _TOWARDS, 1.0 - _TOWARDS[:-1], [1.0], np.linspace(0.0, 1.0, 240)[1:-1]])

_GAUSS = np.polynomial.legendre.leggauss(20)


class SlopeDensity:
    """Density on the cut of the law of t = φ'(h)²/mean, h ~ N(0, variance).

    Parameters
    ----------
    pieces : (branch, lower, upper), φ'² monotone on each.
    even : φ'² is even and no piece crosses 0, so that one side is enough.
    variance, period : of h; `period` folds h where φ'² is periodic.
    faded : tiny slopes are let go gradually.
    mean, rank : E[φ'(h)² | φ' ≠ 0] and P(φ' ≠ 0); the density is that given φ' ≠ 0.
    """

    def __init__(
        self,
        pieces: tuple[tuple[Branch, float, float], ...],
        variance: float,
        period: float | None,
        mean: float,
        rank: float,
        even: bool,
        faded: bool = False,
    ) -> None:
        self.pieces, self.variance, self.period, self.mean, self.rank = pieces, variance, period, mean, rank
        self.even, self.faded = even, faded
        self._made: dict[int, tuple[Array, Array, Array]] = {}

    def __call__(self, v: Array, *, rough: bool = False) -> Array:
        """R(v) = π Σ_j g(x_j)/|d log t/dx|(x_j), t(x_j) = 1/v: what Im ψ(v + i0) is on the cut; v > 0 real.

        `rough`: good to some six digits only.
        """
        total: Array = np.zeros_like(v)
        copies = (2.0 if self.even else 1.0) * math.pi / self.rank
        for k, (branch, lower, _) in enumerate(self.pieces):
            if self.even and lower < 0.0:
                continue
            x, inside = self._solve(k, 1.0 / v, rough=rough)
            which: Any = slice(None) if inside.all() else inside
            here = x[which]
            if here.size:
                # |φ'| is √(mean/v) by definition; φ'(x) would have lost its digits beside a zero.
                rate = np.abs(2.0 * branch.curvature(here)) * np.sqrt(v[which] / self.mean)
                total[which] += copies * self._gauss(here) / rate
        return total * kept(self.mean / v) if self.faded else total

    def near(self, v: float) -> float:
        """R at one v to four digits or more, by cubic interpolation; fewer beside a top where R is infinite."""
        target, total = -math.log(v), 0.0
        for heights, logs, slopes in self._interpolated:
            if not heights[0] < target < heights[-1]:
                continue
            k = int(heights.searchsorted(target))
            gap = heights[k] - heights[k - 1]
            s, rise = (target - heights[k - 1]) / gap, logs[k] - logs[k - 1]
            bend = (1.0 - s) * (slopes[k - 1] * gap - rise) - s * (slopes[k] * gap - rise)
            value = logs[k - 1] + s * rise + s * (1.0 - s) * bend
            # Beside a zero of φ' the table has no points, and at the top of a law R may be infinite.
            if not (abs(value) < 700.0 and gap < COARSE):
                return float(self(np.array([v]), rough=True)[0])
            total += math.exp(value)
        return total * float(kept(np.array(self.mean / v))) if self.faded else total

    def tables(self) -> list[Array]:
        """Per piece: log t, the logarithm of its part of R and the slope of that in log t, (3, n); nothing let go."""
        return self._interpolated

    @cached_property
    def _interpolated(self) -> list[Array]:
        tables = []
        for k, (_, lower, _) in enumerate(self.pieces):
            if self.even and lower < 0.0:
                continue
            x, height, rate = self._table(k)
            with np.errstate(all="ignore"):
                logs = np.log((2.0 if self.even else 1.0) * math.pi / self.rank * self._gauss(x) * np.abs(rate))
                tables.append(np.array([height, logs, _slopes(height, logs)]))
        return tables

    def density(self, t: Array) -> Array:
        """Density of the continuous part at t > 0 (mean-one units)."""
        return self(1.0 / t) / (math.pi * t)

    def mass_below(self, t: Array) -> Array:
        """P(continuous part ≤ t | φ' ≠ 0), by the Gaussian mass of {x : φ'(x)² ≤ t·mean}."""
        total = np.zeros_like(t)
        with np.errstate(divide="ignore"):
            target = np.log(t)
        for k, (_, lower, upper) in enumerate(self.pieces):
            x_table, height, _ = self._table(k)
            x, inside = self._solve(k, t)
            rising = x_table[-1] > x_table[0]
            full = target >= height[-1]
            ends = np.where(inside, x, lower if not rising else upper)
            part = self._mass(np.full_like(t, lower), ends) if rising else self._mass(ends, np.full_like(t, upper))
            zero = self._zeros[k]
            if zero is not None:
                beside = inside & (np.sqrt(t * self.mean) < zero[0].reach)
                part[beside] = self._mass_beside(*zero, t[beside])
            total += np.where(inside | full, part, 0.0)
            taken = self._taken[k]
            if taken is not None:
                total -= np.where(inside, taken.up_to(x), np.where(full, taken.mass, 0.0))
        return total / self.rank

    def quadrature(self) -> tuple[Array, Array]:
        """Values t and weights of a composite Gauss rule in x for the continuous part."""
        nodes, weights = np.polynomial.legendre.leggauss(24)
        t, w = [], []
        for branch, lower, upper in self.pieces:
            count = max(8, math.ceil((upper - lower) / (0.4 * math.sqrt(self.variance))))
            fine = 2.0 ** -np.arange(1.0, 20.0)
            cuts = np.unique(np.concatenate([np.linspace(0, 1, count + 1), fine / count, 1 - fine / count]))
            # φ' has its structure near 0, however far h reaches.
            middle = _OCTAVES[(lower < _OCTAVES) & (upper > _OCTAVES)]
            edges = np.unique(np.concatenate([lower + (upper - lower) * cuts, middle]))
            half = 0.5 * np.diff(edges)[:, None]
            x = (edges[:-1, None] + half + half * nodes).ravel()
            t.append(branch.slope(x) ** 2 / self.mean)
            rule = (half * weights).ravel() * self._gauss(x) / self.rank
            w.append(rule * kept(branch.slope(x) ** 2) if self.faded else rule)
        return np.concatenate(t), np.concatenate(w)

    def _mass(self, lower: Array, upper: Array) -> Array:
        """P(lower < h < upper), folded over the period where there is one."""
        return gauss.mass(lower, upper, self.variance, self.period)

    def _mass_beside(self, zero: SlopeZero, side: int, t: Array) -> Array:
        """P(h between a zero of φ' and where φ'² = t·mean), with relative accuracy however small t is."""
        distance = zero.displacement(zero.towards(side) * np.sqrt(t * self.mean))
        nodes, weights = _GAUSS
        x = zero.place + distance[:, None] * (0.5 * (1.0 + nodes))
        return 0.5 * np.abs(distance) * (self._gauss(x.ravel()).reshape(x.shape) @ weights)

    @cached_property
    def _zeros(self) -> list[tuple[SlopeZero, int] | None]:
        """Per piece: the zero of φ' at one of its ends, if there is one, and on which side of it the piece lies."""
        found: list[tuple[SlopeZero, int] | None] = []
        for branch, lower, upper in self.pieces:
            sides = [(slope_zero(branch, end), side) for end, side in ((lower, 1), (upper, -1))]
            found.append(next(((zero, side) for zero, side in sides if zero is not None), None))
        return found

    @cached_property
    def _taken(self) -> list[Taken | None]:
        """Per piece: what fading takes from it."""
        return [
            Taken(branch, lower, upper, self._gauss)
            if self.faded and any(is_cut(branch, end) for end in (lower, upper))
            else None
            for branch, lower, upper in self.pieces
        ]

    def _gauss(self, x: Array) -> Array:
        return gauss.density(x, self.variance, self.period)

    def _table(self, k: int) -> tuple[Array, Array, Array]:
        """Of piece k: x on a grid that is fine towards both ends, log t and dx/d log t there, sorted by log t."""
        if k not in self._made:
            self._made[k] = self._tabulated(*self.pieces[k], self._zeros[k])
        return self._made[k]

    def _tabulated(
        self, branch: Branch, lower: float, upper: float, zero: tuple[SlopeZero, int] | None
    ) -> tuple[Array, Array, Array]:
        # Far beyond the scale of φ', too.
        middle = around_zero(lower, upper)
        middle = middle[(middle > lower) & (middle < upper)]
        x = np.sort(np.concatenate([lower + (upper - lower) * _FRACTIONS, middle]))
        x = x[np.append(True, x[1:] > x[:-1])]
        x[0], x[-1] = lower, upper
        slope = branch.slope(x)
        with np.errstate(all="ignore"):
            height = 2.0 * np.log(np.abs(slope)) - math.log(self.mean)
            rate = slope / (2.0 * branch.curvature(x))
        rate[~np.isfinite(rate)] = 0.0
        if zero is not None:
            # What stands there is the rounding of x₀.
            height[0 if zero[1] > 0 else -1] = -math.inf
        height[0], height[-1] = _clamp(height[0], height[1]), _clamp(height[-1], height[-2])
        if height[-1] > height[0]:
            return x, np.maximum.accumulate(height), rate
        x, height, rate = (np.ascontiguousarray(row[::-1]) for row in (x, height, rate))
        return x, np.maximum.accumulate(height), rate

    def _solve(self, k: int, t: Array, *, rough: bool = False) -> tuple[Array, Array]:
        """The x with φ'(x)²/mean = t on piece k, by safeguarded Newton on log t; mask of the t it takes.

        `rough`: as the table has it.
        """
        table = self._table(k)
        height = table[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            target = np.log(t)
            inside = (target > height[0]) & (target < height[-1])
            all_inside = bool(inside.all())
            if not (all_inside or inside.any()):
                return np.zeros_like(t), inside
            goal = target if all_inside else target[inside]
            x, low, high = _between(*table, goal)
            if not rough:
                x = self._polished(k, goal, x, low, high)
        zero = self._zeros[k]
        if zero is not None:
            root = np.sqrt((t if all_inside else t[inside]) * self.mean)
            beside = root < zero[0].reach
            if beside.any():
                x[beside] = zero[0].place + zero[0].displacement(zero[0].towards(zero[1]) * root[beside])
        if all_inside:
            return x, inside
        solution = np.zeros_like(t)
        solution[inside] = x
        return solution, inside

    def _polished(self, k: int, goal: Array, x: Array, low: Array, high: Array) -> Array:
        """The x between `low` and `high` with log t = `goal`, by safeguarded Newton from x."""
        branch, table = self.pieces[k][0], self._table(k)[0]
        offset = math.log(self.mean)
        least = 1e-9 * min(1.0, abs(table[-1] - table[0]))
        for count in range(MAX_STEPS):
            slope = branch.slope(x)
            residual = 2.0 * np.log(np.abs(slope)) - offset - goal
            newton = x - residual * slope / (2.0 * branch.curvature(x))
            # Newton's error is the square of its last step.
            small = np.maximum(1e-8 * np.abs(x), least)
            if not count and (np.abs(newton - x) <= 0.1 * small).all():
                return newton
            low, high = np.where(residual < 0, x, low), np.where(residual < 0, high, x)
            trapped = (newton - low) * (newton - high) <= 1e-26 * x**2
            before, x = x, np.where(trapped, newton, 0.5 * (low + high))
            if count and (np.abs(x - before) <= small).all():
                return x
        raise ConvergenceError(f"φ'² could not be inverted on ({table.min():.6g}, {table.max():.6g})")


def _slopes(x: Array, y: Array) -> Array:
    """Dy/dx at uneven x, of the parabola through each point and its neighbours; of chords at the ends."""
    step = x[1:] - x[:-1]
    chord = (y[1:] - y[:-1]) / step
    middle = (step[1:] * chord[:-1] + step[:-1] * chord[1:]) / (step[1:] + step[:-1])
    return np.concatenate([chord[:1], middle, chord[-1:]])


def _between(x: Array, height: Array, rate: Array, goal: Array) -> tuple[Array, Array, Array]:
    """Hermite's cubic for x as a function of the height at `goal`, kept between its neighbours, and these two."""
    if NATIVE is not None:
        out = np.empty((3, goal.size))
        NATIVE.invert(x, height, rate, goal, out)
        return out[0], out[1], out[2]
    index = height.searchsorted(goal)
    low, high = x[index - 1], x[index]
    gap = height[index] - height[index - 1]
    s = (goal - height[index - 1]) / gap
    bend = s * (1 - s)
    found = low + (high - low) * s
    found = found + bend * ((1 - s) * (rate[index - 1] * gap - (high - low)) - s * (rate[index] * gap - (high - low)))
    between = (found - low) * (found - high) < 0
    return np.where(between, found, low + (high - low) * s), low, high


def _clamp(edge: float, neighbour: float) -> float:
    """A finite stand-in for log 0 at a zero of φ': forty decades below the nearest grid point."""
    return edge if math.isfinite(edge) else neighbour - 92.0
