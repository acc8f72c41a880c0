"""Gaps of the spectrum: real solutions followed from one end to the other, and the atoms inside."""

from __future__ import annotations

import math

import numpy as np

from ._types import Array
from .errors import ConvergenceError
from .master import MasterEquation, Point
from .walker import Edge, Walker

# An atom of less mass than this is none: the density has an inverse square root there instead.
MARGINAL = 1e-11


class GapWalker(Walker):
    """Marches along gaps; collects the atoms it passes."""

    def __init__(self, equation: MasterEquation) -> None:
        super().__init__(equation)
        self.atoms: list[tuple[float, float]] = []
        # A gap that reaches this far down reaches λ = 0.
        self._end_of_gaps = equation.constant + 600.0

    def _gap(self, zeta: float, v: Array, after: Edge | None) -> tuple[str, float, Array, Edge | None]:
        """March along a gap from real (ζ, v): to the next edge ("edge"), the cut ("cut") or to u = ∞ ("end").

        ζ moves up: in log ζ where positive, linearly where negative (w between −rank and 0).
        """
        zeta, v = float(zeta), v.reshape(-1).real.astype(float)
        stride = 0.05 if after is not None else 0.7
        point: Point | None = None
        while True:
            self._count()
            if point is None:
                point = self._point(zeta, v)
            span = zeta if zeta > 0.0 else max(-zeta, 0.05)
            first = float((point.slope[0] * span).real)
            second = float((point.bend[0] * span**2).real) + (first if zeta > 0.0 else 0.0)
            if first <= 0.0 and after is None:
                raise ConvergenceError("a gap of the spectrum was entered where d log u/dζ < 0")
            if zeta > 1.0 and (float(point.log_u[0].real) > self._end_of_gaps or zeta > 1e60):
                return "end", zeta, v, None
            if 0.0 < 1.0 - zeta < 1e-4:
                pole = self._pole(v)
                if pole is not None and pole[1] > -MARGINAL:
                    total, mass, places = pole
                    if mass < MARGINAL:
                        poles = np.array([1.0 / p for p, _, _ in places], complex)
                        return "edge", zeta, v, Edge(1.0 + 0j, poles, total, -0.5)
                    self.atoms.append((total, mass))
                    zeta, v = self._step_over(zeta, places)
                    if self._on_cut(v):
                        return "cut", zeta, v, None
                    after, stride, point = None, 0.05, None
                    continue
            if zeta > 1e4 and after is None and abs(second + first) < 0.1 * first < 1e-4:
                # d log u/d log ζ falls off as 1/ζ: log u stays finite as w passes −rank; a v_k that is large there
                # passes infinity with it.
                far = np.abs(v) > 100.0
                crossed = self._project(-zeta, np.where(far, -v, v))
                if crossed is not None and self._monotone(v, np.where(far, v, crossed)) and not self._on_cut(crossed):
                    zeta, v, after = -zeta, crossed.real, None
                    stride, point = 0.3, None
                    continue
            ahead = -first / second if second < 0 else math.inf
            step = min(stride, 1.5 * ahead)
            # No further than half way to the next singularity: ζ = 1, or ζ = 1/d of some term.
            ahead_of = [1.0, *(1.0 / d for d, _ in self.equation.terms if d > 0.0)]
            distance = min((x - zeta for x in ahead_of if x > zeta), default=math.inf)
            if zeta > 0.0:
                step = min(step, 0.5 * distance / zeta)
            while True:
                new = zeta * math.exp(step) if zeta > 0 else zeta + step * span * (0.5 if zeta < -0.05 else 1.0)
                guess = self._extrapolate(point, v, new - zeta) if abs(new) > 1e-9 else None
                found = self._project(new, guess) if guess is not None else None
                if found is not None and self._monotone(v, found):
                    if self._on_cut(found):
                        return self._entered(zeta, v, new, found.real)
                    ahead_point = self._point(new, found.real)
                    if ahead_point.slope[0].real > 0.0:
                        break
                    edge = self._bracketed(zeta, v, new, found.real)
                    if edge is not None:
                        return "edge", zeta, v, edge
                step *= 0.5
                if step < 1e-12:
                    return "cut", zeta, v, None
            zeta, v, point = new, found.real, ahead_point
            # Beyond all singularities log u is linear in log ζ but for powers of 1/ζ.
            beyond = all(x * law.smallest > 1.0 for law, x in zip(self.laws, v, strict=True))
            stride = min(2.0 * step, max(2.0, 0.1 * first / abs(second)) if beyond and second else 2.0)
            after = None

    def _entered(self, zeta: float, v: Array, new: float, found: Array) -> tuple[str, float, Array, None]:
        """The first stretch of a step that reached the cut of some law: as near to its beginning as matters."""
        low, high, v_low, v_high = zeta, new, v, found
        for _ in range(60):
            middle = 0.5 * (low + high)
            between = self._project(middle, 0.5 * (v_low + v_high))
            if between is None or abs(high - low) < 1e-13 * abs(high):
                break
            if self._on_cut(between):
                high, v_high = middle, between.real
            else:
                low, v_low = middle, between.real
        return "cut", high, v_high, None

    def _bracketed(self, low: float, v_low: Array, high: float, v_high: Array) -> Edge | None:
        """The point between real `low` and `high` where d log u/dζ falls through 0."""
        start, stop = low, high
        for _ in range(80):
            edge = self._critical(complex(0.5 * (low + high)), 0.5 * (v_low + v_high)) if high - low < 0.3 else None
            if edge is not None and start <= edge.zeta.real <= stop and edge.zeta.imag == 0.0:
                return edge
            middle = 0.5 * (low + high)
            between = self._project(middle, 0.5 * (v_low + v_high))
            if between is None:
                return None
            if self._point(middle, between).slope[0].real > 0.0:
                low, v_low = middle, between.real
            else:
                high, v_high = middle, between.real
        return None

    def _step_over(self, zeta: float, places: list[tuple[float, float, float]]) -> tuple[float, Array]:
        beyond = 1.0 / zeta
        found = self._project(beyond, self._beside_pole(beyond, places))
        if found is None:
            raise ConvergenceError("the sweep could not step over an atom of the spectrum")
        return beyond, found.real
