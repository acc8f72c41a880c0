"""The master equation at one point in plain complex arithmetic.

The sweep evaluates one point at a time, where the fixed cost of array operations is ten times that of the mathematics.
Same formulas as `MasterEquation.evaluate` (tests/test_pointwise.py holds the two against each other), but for Im ψ
close above the cut: as for `rough` there, it may have an error of 1e-13 |ψ|.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._types import Array
from .effort import spend
from .laws.nodes import ROUGH_HEIGHT, TAIL_HEIGHT
from .master import CROSSING, MasterEquation, Point

# With more laws than this the array version is the faster one.
FEW = 8
# In a gap what Newton's method leaves of Im v below this is none.
ROUNDING = 1e-15


@dataclass(slots=True)
class Spot:
    """The equation at one trial point in plain numbers, named as in `Point`."""

    zeta: complex
    v: list[complex]
    log_u: complex
    slope: complex
    bend: complex
    rates: list[complex]
    curls: list[complex]
    mismatch: list[complex]
    pull: list[complex]
    steepness: list[complex]

    def as_point(self) -> Point:
        """Return the same as arrays of one column."""
        one = np.array([self.zeta, self.log_u, self.slope, self.bend], complex)[:, None]
        rows = [self.v, self.rates, self.curls, self.mismatch, self.pull, self.steepness]
        v, *rest = np.array(rows, complex).reshape(6, len(self.v), 1)
        return Point(one[0], v, one[1], one[2], one[3], *rest)

    @classmethod
    def of(cls, point: Point) -> Spot:
        """The single column of `point`."""
        values = [point.zeta, point.log_u, point.slope, point.bend]
        zeta, log_u, slope, bend = (complex(x[0]) for x in values)
        columns = (point.rates, point.curls, point.mismatch, point.pull, point.steepness)
        return cls(zeta, point.v[:, 0].tolist(), log_u, slope, bend, *(x[:, 0].tolist() for x in columns))


class PointEvaluator:
    """`MasterEquation.evaluate(…, curvature=True)` at single points."""

    def __init__(self, equation: MasterEquation) -> None:
        self.equation = equation
        stack = equation.stack
        self._terms = [(float(d), float(e)) for d, e in equation.terms]
        self._counts = [float(n) for n in equation.counts.ravel()]
        self._omegas = [float(o) for o in equation.omegas.ravel()]
        self._tables = [
            (stack.points(k), _by_rows(*stack.tables(k)), stack.poles(k), law.cut_density is not None)
            for k, law in enumerate(stack.laws)
        ]
        self._constant = equation.constant + math.log(equation.rank)

    def __call__(self, zeta: complex, v: Array) -> Point:
        """Evaluate at ζ and v (K,)."""
        # Extended precision in means extended precision out: edges of explicit equations are found so.
        if not _is_extended(zeta):
            spot = self._plain(complex(zeta), v.tolist(), exact=True)
            if spot is not None:
                return spot.as_point()
        return self._general(zeta, v)

    def spot(self, zeta: complex, v: Sequence[complex]) -> Spot:
        """Evaluate at ζ and v (K,), in plain numbers; rounding of the sums not kept least."""
        return self._plain(zeta, v, exact=False) or Spot.of(self._general(zeta, np.array(v, complex)))

    def size(self, spot: Spot, log_u: float) -> float:
        """Largest relative residual, as `solve.measure`."""
        size = abs(spot.log_u - log_u) / (1.0 + abs(log_u))
        if spot.zeta == 1.0:
            return math.inf
        away = 1.0 / (1.0 - spot.zeta)
        for omega, x, slope, miss in zip(self._omegas, spot.v, spot.steepness, spot.mismatch, strict=True):
            scale = min(abs(omega * spot.zeta * away), abs((1.0 - omega) + omega * away), 1.0)
            scale = max(scale, 1e-4 * abs(x * slope))
            # Written so that NaN does not pass for small.
            if not (scale > 0.0 and abs(miss) <= size * scale):
                size = abs(miss) / scale if scale > 0.0 else math.inf
            if math.isnan(size):
                return math.inf
        return size

    def newton_step(self, spot: Spot, log_u: float) -> tuple[complex, list[complex]]:
        """Increments (dζ, dv), as `MasterEquation.newton_step`."""
        mends = [miss / slope for miss, slope in zip(spot.mismatch, spot.steepness, strict=True)]
        miss = log_u - spot.log_u
        for n, pull, mend in zip(self._counts, spot.pull, mends, strict=True):
            miss += n * pull * mend
        step = miss / spot.slope
        return step, [rate * step - mend for rate, mend in zip(spot.rates, mends, strict=True)]

    def _general(self, zeta: complex, v: Array) -> Point:
        here = np.array([zeta], self.equation.complex_type())
        return self.equation.evaluate(here, v.reshape(-1, 1).astype(complex), curvature=True, rough=True)

    def _plain(self, zeta: complex, v: Sequence[complex], *, exact: bool) -> Spot | None:
        if len(self._counts) > FEW or zeta == 1.0:
            return None
        spend(self.equation.stack.size, len(self._counts))
        try:
            return self._few(zeta, v, exact)
        except (OverflowError, ZeroDivisionError):
            # λ beyond the range in which powers of ζ or v are doubles.
            return None

    def _on_cut(self, k: int, v: float) -> bool:
        law = self.equation.stack.laws[k]
        return v * law.largest > 1.0 and v * law.smallest < 1.0

    def _jump(self, k: int, v: float) -> float:
        density = self.equation.stack.laws[k].cut_density
        assert density is not None
        return float(density(np.array([v]))[0])

    def _few(self, zeta: complex, v: Sequence[complex], exact: bool) -> Spot | None:
        if zeta == 0.0:
            return None
        real, imag = _principal(zeta, 1)
        slope, bend = 1.0 / zeta, -1.0 / zeta**2
        for d, e in self._terms:
            base = 1.0 - d * zeta
            if base == 0.0:
                return None
            modulus, angle = _principal(base, -1)
            real, imag = real + e * modulus, imag + e * angle
            ratio = d / base
            slope -= e * ratio
            bend -= e * ratio * ratio
        away = 1.0 - zeta
        rows: list[tuple[complex, ...]] = []
        for k, (points, (first_table, slope_table, second_table), poles, continuous) in enumerate(self._tables):
            x = complex(v[k])
            if zeta.imag == 0.0 and abs(x.imag) < ROUNDING * abs(x) and not self._on_cut(k, x.real):
                x = complex(x.real)
            inverse = 1.0 / (1.0 - x * points)
            # Edges are multiplied by the depth, and so is their rounding: summed pairwise.
            sums = (first_table * inverse).sum(1) if exact else first_table @ inverse
            square = inverse * inverse
            first, second = complex(square @ slope_table), complex((square * inverse) @ second_table)
            psi, spread, plus = x * complex(sums[0]), complex(sums[1]), complex(sums[2])
            repaired: float | None = None
            if continuous and (x.imag == 0.0 or abs(psi.imag) < ROUGH_HEIGHT * abs(psi)):
                if x.imag == 0.0 and not self._on_cut(k, x.real):
                    # A gap: all is real.
                    psi, spread, plus = complex(psi.real), complex(spread.real), complex(plus.real)
                elif abs(x.imag) < TAIL_HEIGHT * float(np.min(np.abs(x - poles))):
                    # As `LawStack._repair_tail`.
                    beside = inverse / (1.0 - x.real * points)
                    jump = self._jump(k, x.real) if self._on_cut(k, x.real) else 0.0
                    height = jump + x.imag * complex(beside @ slope_table).real
                    psi, plus = complex(psi.real, height), complex(plus.real, height)
                    repaired = height * (1.0 - x.real) - plus.real * x.imag
            if first == 0.0 or plus == 0.0 or psi == 0.0 or (abs(zeta) < CROSSING and abs(psi) < CROSSING * abs(x)):
                return None
            beyond = 1.0 - x
            excess = (
                x * x * spread / beyond if abs(beyond) >= 0.3 or self.equation.stack.is_narrow(k) else psi * beyond - x
            )
            if repaired is not None:
                excess = complex(excess.real, repaired)
            n, omega = self._counts[k], self._omegas[k]
            z = -excess / psi
            if abs(z) >= 0.3:
                z = x * plus / psi - 1.0
            one = 1.0 + z
            s_real = 0.5 * math.log1p(2.0 * z.real + abs(z) ** 2) if abs(z) < 0.3 else math.log(abs(one))
            # arg S lies in (−π, 0]; on the negative axis the limit is −π.
            s_imag = -math.pi if one.imag == 0.0 and one.real < 0.0 else cmath.phase(one)
            real, imag = real + n * s_real, imag + n * s_imag
            rate = omega / (away * away * first)
            pull = 1.0 / x - first / (psi * plus)
            curl = (2.0 * omega / away**3 - second * rate * rate) / first
            tug = -1.0 / x**2 - second / (psi * plus) + first * first * (psi + plus) / (psi * plus) ** 2
            slope += n * pull * rate
            bend += n * (tug * rate * rate + pull * curl)
            demanded = (1.0 - omega) + omega / away
            mismatch = plus - demanded if abs(demanded) < 0.5 else psi - omega * zeta / away
            rows.append((rate, curl, mismatch, pull, first))
        columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(5)]
        return Spot(zeta, [complex(x) for x in v], complex(self._constant + real, imag), slope, bend, *columns)


def _by_rows(first: Array, slope: Array, second: Array) -> tuple[Array, Array, Array]:
    return np.ascontiguousarray(first.T), slope, second


def _is_extended(zeta: complex) -> bool:
    return getattr(zeta, "dtype", None) == np.clongdouble


def _principal(z: complex, branch: int) -> tuple[float, float]:
    """log|z| and arg z, on the negative axis from above (branch 1) or below (−1)."""
    angle = branch * math.pi if z.imag == 0.0 and z.real < 0.0 else cmath.phase(z)
    return math.log(abs(z)), angle
