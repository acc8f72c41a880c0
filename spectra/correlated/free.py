"""The equation of JJᵀ for blocks that are free of each other: a product of S-transforms, for many λ at once.

J = J_L ⋯ J_1, J_l = β_l + X_l, X_l = √s_l W_l D_l with diagonals that are independent from block to block, is a product
of free factors. With w = ψ(u), and in every block w = w_X + w_1 with

    T = w_1 (1 + w_1)/β² = (1 + w_X)^h y/s,   w_X = ψ_{D²}(y),   h = 1 (Gaussian W), 2 (orthogonal W),

    log u = log(w/(1 + w)) + Σ_l log(T_l/(w (1 + w))).

β = 0, w_1 = 0 is a dense layer. Unknown are q = log(w/(w + 1 − m_0)), m_0 the mass at λ = 0, and log y of every block
that is not like another, so that both w and w + 1 − m_0 have all their digits.

A root counts as the right one by signs alone. With u below the real axis, so are w and v_l = T_l/(1 + w)²,
the place where the law of J_l J_lᵀ has ψ = w; the principal arguments of the equation add up to that of u; within a
block the subordination functions ω_1 = (1 + w_1)/√T, ω_X = (1 + w_X)/√T of the sum of the two symmetrised laws are
above the axis; and y is the place of the law of X Xᵀ at 1/ω_X², with arguments that add up. Where all is
real, w must increase with u.

Source
------
Haagerup, Larsen, J. Funct. Anal. 176 (2000), 331-367, for sums with R-diagonal elements; Belinschi, Bercovici, J. Anal.
Math. 101 (2007), for the one pair of subordination functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..errors import ConvergenceError
from .known import FEW, NO_MASS, Atom
from .solution import SOLVED, STOP, Solution

# Newton's steps at a point, the longest one in any logarithm, and residual that lets a step of the way pass.
STEPS, LONGEST, PASSES = 40, 1.0, 1e-6
# The way from u → 0: where it starts, relative to what is known to bound u from below, the ray it goes along, and steps
# of log |u| and of arg u, the shortest relative to these.
BEGIN, RAY, OUTWARD, TURN, SHORTEST = 1e-3, -0.6 * np.pi, 1.0, 0.2 * np.pi, 1e-3
# Newton's steps towards an edge, by the secant; the last one in log w is as short as that.
EDGE_STEPS, EDGE_SETTLED = 30, 1e-9
# Points on the circle of the moments at least, and its radius relative to m_1/λ_max, a bound of w at the edge.
FEWEST, CIRCLE = 64, 1.0
# Rounding that signs are allowed, and by how much arguments may be off, which are so by multiples of 2π.
ROUNDING, ANGLE = 1e-9, 1e-4


@dataclass(frozen=True, eq=False)
class FreeBlock:
    """`count` blocks β 1 + √gain · W D, D² with atoms `places`, of masses `share`."""

    skip: float
    gain: float
    haar: bool
    places: Array
    share: Array
    count: float = 1.0

    @property
    def zero(self) -> float:
        """Mass of λ = 0 that one such block makes."""
        return float(self.share[self.places == 0.0].sum()) if self.skip == 0.0 else 0.0

    @property
    def mean(self) -> float:
        """m_1 of one block."""
        return self.skip**2 + self.gain * float(self.share @ self.places)


class FreeEquation:
    """Equation of JJᵀ for these blocks, in any order, square ones."""

    def __init__(self, blocks: Sequence[FreeBlock]) -> None:
        self.blocks = tuple(blocks)
        size = max(block.places.size for block in blocks)
        self._places, self._share = np.zeros((2, len(blocks), size))
        for k, block in enumerate(blocks):
            self._places[k, : block.places.size] = block.places
            self._share[k, : block.share.size] = block.share
        self._square = np.array([block.skip**2 for block in blocks])
        self._gain = np.array([block.gain for block in blocks])
        self._power = np.array([2.0 if block.haar else 1.0 for block in blocks])
        self._count = np.array([block.count for block in blocks])
        self.zero = max(block.zero for block in blocks)
        at_zero = np.where(self._places == 0.0, self._share, 0.0).sum(axis=1)
        # Of dense layers ψ is −(1 − P(D = 0)) + Σ over the other values.
        self._apart = at_zero - self.zero

    @property
    def unknowns(self) -> int:
        """Numbers that are solved for at each λ."""
        return 1 + len(self.blocks)

    @property
    def log_mean(self) -> float:
        """Log m_1."""
        return float(self._count @ np.log([block.mean for block in self.blocks]))

    @property
    def log_range(self) -> tuple[float, float]:
        """U = −log λ between which all of the support lies; infinite where it reaches 0, or all but."""
        most = least = 0.0
        for block in self.blocks:
            noise = (1.0 if block.haar else 2.0) * np.sqrt(block.gain * block.places.max())
            most += 2.0 * block.count * np.log(abs(block.skip) + noise)
            # A diagonal matrix times noise may be bounded from below, too.
            below = abs(block.skip) - noise
            if block.haar:
                below = max(below, np.sqrt(block.gain * block.places.min()) - abs(block.skip))
            least += 2.0 * block.count * np.log(below) if below > 0.0 else -np.inf
        return -most, -least

    @property
    def atom(self) -> Atom | None:
        """At Π β² what neither W nor D reaches: 1 − 2p of a block with D ≠ 0 on a part p, its kernel and its image."""
        missed = 1.0 - 2.0 * float(self._count @ (1.0 - self._apart - self.zero))
        if not self._square.all() or missed < -NO_MASS:
            return None
        return Atom(-float(self._count @ np.log(self._square)), missed if missed > NO_MASS else 0.0)

    @property
    def skipped(self) -> float | None:
        """−log Π β² of one block or two; None of more, or where β = 0."""
        few = self._square.all() and self._count.sum() <= FEW
        return -float(self._count @ np.log(self._square)) if few else None

    def solve(self, u: Array, start: Array | None = None, *, stop: float = STOP) -> Solution:
        """Solve at u (M,), Im u ≤ 0; `start`: unknowns (M, K + 1) nearby, else the way from u → 0 is gone."""
        # The last step costs next to nothing, and signs are known by it.
        stop = min(stop, STOP)
        u = np.asarray(u, complex)
        log_u = np.log(np.abs(u)) + 1j * _angle(u)
        if start is None:
            return self._from_afar(log_u, stop)
        found = self._newton(log_u, start, stop)
        missed = np.flatnonzero(~found.solved)
        return found.with_rows(missed, self._from_afar(log_u[missed], stop)) if missed.size else found

    @property
    def spread(self) -> float:
        """m_2/m_1² − 1."""
        total = 0.0
        for block in self.blocks:
            first, second = (block.gain**k * float(block.share @ block.places**k) for k in (1, 2))
            # The variance of the law of X Xᵀ, W Gaussian or orthogonal, and what β adds.
            own = second - (first**2 if block.haar else 0.0) + 2.0 * block.skip**2 * first
            total += block.count * own / block.mean**2
        return total

    def near_bulk(self, count: int) -> tuple[Array, Array] | None:
        """U and unknowns at `count` places from one edge to the other, roughly; None unless all is one narrow bulk.

        With many blocks, each near β, log S is linear in w: S = e^{−v w}/m_1, v = m_2/m_1² − 1.
        """
        if not self._square.all():
            return None
        v = self.spread
        if not v > 0.0:
            return None
        # On the real axis w = −½ ± x − iy, x² = ¼ − y² + y/tan(vy), up to y where that is 0.
        low, high = 0.0, np.pi / v
        for _ in range(60):
            middle = 0.5 * (low + high)
            inside = 0.25 - middle**2 + middle / np.tan(v * middle) > 0.0
            low, high = (middle, high) if inside else (low, middle)
        angle = np.linspace(0.0, np.pi, count)
        y = low * np.sin(angle)
        with np.errstate(all="ignore"):
            square = 0.25 - y**2 + np.where(v * y < 1e-8, 1.0 / v, y / np.tan(v * y))
        x = np.sqrt(np.maximum(square, 0.0)) * np.sign(np.cos(angle))
        w = -0.5 + x - 1j * y
        log_w, log_one = _log(w), _log(1.0 + w)
        log_u = (log_w - log_one - v * w).real - self.log_mean
        inner = (log_w + log_one)[:, None] + np.log(self._gain / self._square)
        return log_u, np.concatenate([(log_w - log_one)[:, None], inner], axis=1)

    def edge_near(self, u: float, x: Array) -> float | None:  # noqa: ARG002
        """U where d log u/dq vanishes, from unknowns (K + 1,) nearby; None where no such place is found."""
        at: Array = np.stack([x, x])
        at[1, 0] += 1e-4
        # Real but for their place on the logarithms' sheets.
        at = at.real + 1j * np.pi * np.round(at.imag / np.pi)
        with np.errstate(all="ignore"):
            slope, _, at = self._slope_at(at)
            before, here = at[:1], at[1:]
            slope_before, slope_here = slope[0], slope[1]
            for _ in range(EDGE_STEPS):
                turn = (slope_here - slope_before) / (here[0, 0] - before[0, 0])
                step = -slope_here / turn
                if not np.abs(step) < 1.0:
                    return None
                before, slope_before = here, slope_here
                guess = here.copy()
                guess[:, 0] += step
                slope, log_u, here = self._slope_at(guess)
                slope_here = slope[0]
                if np.abs(step) < EDGE_SETTLED or slope_here == slope_before:
                    return float(log_u[0].real)
        return None

    def moments(self, order: int, radius: float) -> Array:
        """m_1 … m_order on a circle in w; λ_max is 1/`radius`.

        Raises
        ------
        ConvergenceError : the blocks' own equations were not solved somewhere on it.
        """
        half = max(FEWEST, 2 * order) // 2
        # At u = 1/λ_max a square root of w branches; m_1 u < w there.
        size = CIRCLE * radius * math.exp(self.log_mean)
        w = size * np.exp(-1j * np.pi * (np.arange(half) + 0.5) / half)
        x = np.empty((half, self.unknowns), complex)
        x[:, 0] = np.log(w / (w + 1.0 - self.zero))
        for k, block in enumerate(self.blocks):
            x[:, k + 1] = np.log(w) + np.log(block.gain / block.mean)
        with np.errstate(all="ignore"):
            _, log_u, x = self._slope_at(x)
            point = _Point(self, x)
        if not np.max(np.abs(point.f) / point.scale) < SOLVED:
            raise ConvergenceError("moments: the equation of the blocks was not solved")
        ratio = np.log(w) - log_u
        k = np.arange(1, order + 1)
        # (w/u)^k over its value at 0, m_1^k, which may be far beyond doubles.
        terms = np.exp(k * (ratio[:, None] - self.log_mean) - (k - 1) * np.log(w)[:, None])
        return np.exp(k * self.log_mean) * np.real(np.mean(terms, axis=0)) / k

    def _slope_at(self, x: Array) -> tuple[Array, Array, Array]:
        """D log u/dq (M,), log u, and the unknowns, solved for log y at the given q."""
        for _ in range(STEPS):
            point = _Point(self, x)
            step = -point.f / point.f_slope
            x[:, 1:] += step
            if np.max(np.abs(step)) < 1e-13:
                break
        point = _Point(self, x)
        return point.slope, point.log_u, x

    def _from_afar(self, log_u: Array, stop: float) -> Solution:
        """From u → 0 along a ray, then towards the real axis: all points at once, each as far along as the others."""
        first = min(self.log_range[0], -self.log_mean) + np.log(BEGIN)
        begin = np.minimum(first, log_u.real) + 1j * np.minimum(RAY, log_u.imag)
        turn = log_u.real + 1j * begin.imag
        w = np.exp(begin + self.log_mean)
        x = np.empty((w.size, self.unknowns), complex)
        x[:, 0] = np.log(w / (1.0 - self.zero))
        for k, block in enumerate(self.blocks):
            x[:, k + 1] = begin + self.log_mean - np.log(block.mean / block.gain)
        at = begin
        for goal, longest in ((turn, OUTWARD), (log_u, TURN)):
            x, at = self._walk(x, at, goal, longest)
        return self._newton(log_u, x, stop)

    def _walk(self, x: Array, begin: Array, goal: Array, longest: float) -> tuple[Array, Array]:
        length = float(np.max(np.abs(goal - begin), initial=0.0))
        if length == 0.0:
            return x, goal
        part, step, before = 0.0, min(1.0, longest / length), None
        while part < 1.0:
            ahead = min(1.0, part + step)
            # Along the line from the point before, where there is one.
            guess = x if before is None else x + (x - before[1]) * ((ahead - part) / (part - before[0]))
            # On the real axis signs tell right from wrong only where all is solved.
            found = self._newton(begin + ahead * (goal - begin), guess, STOP if ahead == 1.0 else PASSES)
            if np.all(found.inside & (found.residual < PASSES)):
                before, x, part = (part, x), found.x, ahead
                step = min(1.4 * step, 4.0 * longest / length)
            else:
                step *= 0.4
                if step < SHORTEST * longest / length:
                    # Points that were lost are reported as such at the end.
                    break
        return x, goal

    def _newton(self, log_u: Array, start: Array, stop: float) -> Solution:
        x = start.astype(complex)
        best, residual = x.copy(), np.full(log_u.size, np.inf)
        active = np.arange(log_u.size)
        with np.errstate(all="ignore"):
            for _ in range(STEPS):
                step, miss = self._step(x[active], log_u[active])
                better = miss < residual[active]
                rows = active[better]
                best[rows], residual[rows] = x[rows], miss[better]
                # Below `stop`, or where rounding lets it fall no more.
                going = better & ~(miss < stop)
                if not going.all():
                    settled = (residual[active] < 1e-9) | (miss < stop) | ~np.isfinite(miss)
                    going = ~settled | going
                if not going.any():
                    break
                active, step = active[going], step[going]
                size = np.max(np.abs(step), axis=1)
                x[active] += step * np.minimum(1.0, LONGEST / np.maximum(size, 1e-300))[:, None]
            point = _Point(self, best)
            inside = point.certified(log_u)
        return Solution(best, np.where(inside, point.w, np.nan), residual, inside)

    def _step(self, x: Array, log_u: Array) -> tuple[Array, Array]:
        """Newton's step (M, K + 1), and the relative residual (M,)."""
        point = _Point(self, x)
        miss = point.log_u - log_u
        miss.imag -= 2.0 * np.pi * np.round(miss.imag / (2.0 * np.pi))
        weight = self._count * point.log_t_slope / point.f_slope
        move = -(miss - np.sum(weight * point.f, axis=1)) / point.slope
        inner = -(point.f + point.f_q * move[:, None]) / point.f_slope
        size = np.maximum(np.abs(miss), np.max(np.abs(point.f) / point.scale, axis=1))
        return np.concatenate([move[:, None], inner], axis=1), size


class _Point:
    """Everything in the equation at unknowns x (M, K + 1), with derivatives by q and by log y."""

    def __init__(self, equation: FreeEquation, x: Array) -> None:
        self.equation, rank = equation, 1.0 - equation.zero
        e, y = np.exp(x[:, :1]), np.exp(x[:, 1:])
        # w → ∞ beside an atom, where q → 0.
        off = -rank / np.expm1(x[:, :1])
        w = e * off
        self.one = off + equation.zero
        terms = equation._share / (1.0 - y[:, :, None] * equation._places)
        ratio = y[:, :, None] * equation._places
        parts = terms * ratio
        psi = parts.sum(axis=2)
        psi_slope = (parts / (1.0 - ratio)).sum(axis=2)
        plus = np.where(equation._places > 0.0, terms, 0.0).sum(axis=2) + (equation._apart + equation.zero)
        t = plus**equation._power * y / equation._gain
        # 1 + w_X is on the side of the real axis where y is.
        self.log_plus = _log(plus, x[:, 1:].imag > -np.pi)
        self.log_t = equation._power * self.log_plus + x[:, 1:] - np.log(equation._gain)
        self.log_t_slope = 1.0 + equation._power * psi_slope / plus
        # w − w_X, from the small ones of each pair.
        w_1 = np.where(np.abs(w) < np.abs(off), w - psi, off - (plus - equation.zero))
        square_t = equation._square * t
        beside = 1.0 + w_1
        self.f = w_1 - square_t / beside
        self.f_slope = -psi_slope - square_t * (self.log_t_slope / beside + psi_slope / beside**2)
        w_slope = w * off / rank
        self.f_q = w_slope * (1.0 + square_t / beside**2)
        self.scale = np.where(
            equation._square == 0.0,
            np.minimum(np.abs(w), np.abs(off)),
            np.abs(w / self.one) * np.maximum(1.0, np.abs(w)),
        )
        self.scale = np.maximum(self.scale, 1e-300)
        count = equation._count
        log_w, log_one = _log(w[:, 0]), _log(self.one[:, 0])
        total = count.sum()
        self.log_u = self.log_t @ count + (1.0 - total) * log_w - (1.0 + total) * log_one
        own = w_slope[:, 0] * ((1.0 - total) / w[:, 0] - (1.0 + total) / self.one[:, 0])
        self.slope = own - np.sum(count * self.log_t_slope * self.f_q / self.f_slope, axis=1)
        self.w, self.y, self.t, self.w_1, self.plus = w[:, 0], y, t, w_1, plus
        self.log_w, self.log_one, self.log_y = log_w, log_one, x[:, 1:]

    def certified(self, log_u: Array) -> Array:
        """Whether signs and arguments are those of the right root, (M,)."""
        equation, eps = self.equation, ROUNDING
        ok = (np.abs(self.log_u.imag - log_u.imag) < ANGLE) & (self.w.imag <= eps * np.abs(self.w))
        angle = self.log_t.imag - 2.0 * self.log_one.imag[:, None]
        ok &= np.all((angle > -np.pi - eps) & (angle < eps), axis=1)
        # √T in the half plane that belongs to z = (1 + w)/√T, Im z ≥ 0.
        root = np.exp(0.5 * self.log_t)
        one, other = (1.0 + self.w_1) / root, self.plus / root
        ok &= np.all((one.imag >= -eps * np.abs(one)) | (equation._square == 0.0), axis=1)
        ok &= np.all(other.imag >= -eps * np.abs(other), axis=1)
        # Of X alone: y below the axis, or above where 1/ω_X² is, and the argument of that.
        above = self.log_y.imag < -np.pi
        y = self.log_y.imag + np.where(above, 2.0 * np.pi, 0.0)
        x = y - np.where(equation._power == 1.0, self.log_plus.imag, 0.0)
        side = np.where(above, 1.0, -1.0)
        ok &= np.all((side * y > -eps) & (side * x > -eps) & (side * x < np.pi + eps), axis=1)
        # Off the support ψ is real and increases: ψ′(u) = E λ/(1 − uλ)².
        real = np.abs(self.w.imag) <= eps * np.abs(self.w)
        rising = (self.w * self.one[:, 0] / self.slope).real > -eps
        return ok & np.isfinite(self.w) & (rising | ~real)


def _angle(x: Array) -> Array:
    """Arguments of numbers below the real axis, −π … 0; above it, by rounding, they are those of the conjugate."""
    return -np.abs(np.arctan2(x.imag, x.real))


def _log(x: Array, below: Array | bool = True) -> Array:
    """Logarithm on one side of the real axis, −π ≤ Im ≤ 0 below it, continued a quarter turn beyond."""
    angle = np.angle(x)
    side = np.where(below, -1.0, 1.0)
    # Analytic across the negative axis, too: Newton's steps there and back would else grow.
    beyond = (np.abs(angle) > 0.5 * np.pi) & (side * angle < 0.0)
    return np.log(np.abs(x)) + 1j * np.where(beyond, angle + 2.0 * np.pi * side, angle)
