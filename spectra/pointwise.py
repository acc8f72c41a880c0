"""The master equation at one point in plain complex arithmetic.

The sweep evaluates one point at a time, where the fixed cost of array operations is ten times that of the mathematics.
Same formulas as `MasterEquation.evaluate` (tests/test_pointwise.py holds the two against each other), but for Im ψ
close above the cut: as for `rough` there, it may have an error of 1e-13 |ψ|.
"""

from __future__ import annotations

import cmath
import math

import numpy as np

from ._types import Array
from .effort import spend
from .laws.nodes import ROUGH_HEIGHT, TAIL_HEIGHT
from .master import CROSSING, MasterEquation, Point

# With more laws than this the array version is the faster one.
FEW = 8
# In a gap what Newton's method leaves of Im v below this is none.
ROUNDING = 1e-15


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
        if len(self._counts) <= FEW and not _is_extended(zeta) and zeta != 1.0:
            spend(self.equation.stack.size, len(self._counts))
            try:
                values = self._few(complex(zeta), v)
            except OverflowError:
                # λ beyond the range in which powers of ζ or v are doubles.
                values = None
            if values is not None:
                return values
        here = np.array([zeta], self.equation.complex_type())
        return self.equation.evaluate(here, v.reshape(-1, 1).astype(complex), curvature=True)

    def _on_cut(self, k: int, v: float) -> bool:
        law = self.equation.stack.laws[k]
        return v * law.largest > 1.0 and v * law.smallest < 1.0

    def _jump(self, k: int, v: float) -> float:
        density = self.equation.stack.laws[k].cut_density
        assert density is not None
        return float(density(np.array([v]))[0])

    def _few(self, zeta: complex, v: Array) -> Point | None:
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
            # Summed pairwise: edges are multiplied by the depth, and so is their rounding.
            sums = (first_table * inverse).sum(1)
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
                    repaired = height * (1.0 - x.real) - psi.real * x.imag - x.imag
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
        columns = np.array(rows, complex).reshape(len(rows), 5).T[:, :, None]
        one_value = np.array([zeta, complex(self._constant + real, imag), slope, bend], complex)[:, None]
        return Point(one_value[0], v.reshape(-1, 1).astype(complex), one_value[1], one_value[2], one_value[3], *columns)


def _by_rows(first: Array, slope: Array, second: Array) -> tuple[Array, Array, Array]:
    return np.ascontiguousarray(first.T), slope, second


def _is_extended(zeta: complex) -> bool:
    return getattr(zeta, "dtype", None) == np.clongdouble


def _principal(z: complex, branch: int) -> tuple[float, float]:
    """log|z| and arg z, on the negative axis from above (branch 1) or below (−1)."""
    angle = branch * math.pi if z.imag == 0.0 and z.real < 0.0 else cmath.phase(z)
    return math.log(abs(z)), angle
