"""Bulks of the spectrum: the complex solution, from where it leaves the real axis to where it lands on it."""

from __future__ import annotations

import math

import numpy as np

from ._types import Array
from .continuation import locate
from .errors import ConvergenceError
from .gap import GapWalker
from .master import MasterEquation, Point
from .pole import MARGINAL
from .solve import solve
from .walker import Arc, Edge

# Squares of v must stay in the range of doubles; λ has left it long before.
LARGEST_V = 1e140
# Residual that is good enough for a table of starting values.
ROUGH = 1e-4
# log density in U, and log of the mass beyond, at which a fading arc is left: the mass is below 1e-16.
THIN = -37.0


class BulkWalker(GapWalker):
    """Follows arcs through the upper half plane; collects them."""

    def __init__(self, equation: MasterEquation) -> None:
        super().__init__(equation)
        self.arcs: list[Arc] = []

    def _bulk(self, edge: Edge | None, zeta: complex, v: Array, log_u: float) -> tuple[str, Edge | None]:
        """Follow the solution through the upper half plane; returns how the arc ended, and the edge there."""
        table_u: list[float] = []
        table_zeta: list[complex] = []
        table_v: list[Array] = []
        table_rates: list[list[complex]] = []
        point = self._point(zeta, v)
        previous = math.inf
        ended: tuple[str, Edge | None] | None = None
        fading = 0.0
        while ended is None:
            self._count()
            table_u.append(log_u)
            table_zeta.append(complex(zeta))
            table_v.append(v.copy())
            rate_u = complex(point.slope[0]) * zeta
            table_rates.append([1.0 / rate_u, *(point.rates[:, 0] / (point.slope[0] * v)).tolist()])
            second = complex(point.bend[0]) * zeta**2 + rate_u
            landing = self._landing(point, zeta, v, log_u)
            if landing is not None:
                ended = ("edge", landing)
                break
            if abs(1.0 - zeta) < 0.05 and (rate_u * (1.0 - zeta)).real > 0.0:
                pole = self._pole(v)
                if pole is not None and abs(pole.mass) < MARGINAL and pole.log_u > log_u:
                    ended = ("edge", Edge(1.0 + 0j, pole.v, pole.log_u, -0.5))
                    break
            density = self._log_density(zeta)
            fading = self._fading(point, zeta)
            # The second term of an expansion in the step: small beside the first, or small.
            curving = max(abs(second) / abs(rate_u) ** 3, 1e-300)
            step = max(0.35 / (abs(rate_u) * curving), math.sqrt(0.1 / curving))
            if v.size:
                # d log v/d log u and its derivative along the curve.
                dv = point.rates[:, 0] / point.slope[0]
                ddv = (point.curls[:, 0] - point.rates[:, 0] * point.bend[0] / point.slope[0]) / point.slope[0] ** 2
                change = np.abs(ddv / v - (dv / v) ** 2)
                change = np.maximum(change, 1e-300)
                step = min(step, float(np.min(np.maximum(0.35 * np.abs(dv / v) / change, np.sqrt(0.1 / change)))))
            if density > THIN:
                step = min(step, 6.0 / max(abs(fading), 1e-300))
            step = min(step, 3.0 * previous)
            lost = any(abs(x) * law.resolved > 0.3 for x, law in zip(v, self.laws, strict=True))
            beyond = any(abs(x) > LARGEST_V for x in v)
            if fading < 0.0 and (beyond or (lost and density < -18.5)):
                ended = ("end", None)
                break
            if density < THIN and fading < 0.0 and density - math.log(-fading) < THIN:
                ended = ("end", None)
                break
            # In a thin tail the imaginary parts are small, and are to be known to a part in a hundred; log u must be
            # where it hardly changes with ζ.
            rough = ROUGH * min(1.0, abs(rate_u)) if density > -9.0 else 0.01 * math.exp(density)
            while True:
                target = log_u + step
                x = step / rate_u - 0.5 * second / rate_u**3 * step**2
                guess = zeta * np.exp(x)
                guess_v = v
                if v.size:
                    bend_v = (ddv / v - (dv / v) ** 2) * step**2 / 2.0
                    guess_v = v * np.exp(dv / v * step + bend_v)
                if guess.imag > 0 and (not v.size or np.all(guess_v.imag > 0)):
                    found = self._follow(target, guess, guess_v, rough)
                    if found is not None:
                        break
                step *= 0.4
                if not step > 1e-9 * (1.0 + abs(log_u)):
                    # Where dψ_k/dv_k = 0, ζ is no coordinate of the curve: pass that point by the sure way.
                    target, found = self._jump(log_u)
                    step = 0.05
                    break
            if found is None:
                if density > THIN / 2 or fading >= 0.0:
                    raise ConvergenceError(f"the sweep lost the solution at log u = {log_u:.6g}")
                ended = ("end", None)
                break
            previous = step
            log_u, point = target, found
            zeta, v = complex(point.zeta[0]), point.v[:, 0]
        arc_v = np.array(table_v).reshape(len(table_v), v.size).T
        rates = np.array(table_rates).T
        self.arcs.append(Arc(edge, ended[1], np.array(table_u), np.array(table_zeta), arc_v, rates, fading))
        return ended

    def _log_density(self, zeta: complex) -> float:
        """Log of λρ(λ), as `MasterEquation.log_density`."""
        if not (zeta.imag > 0.0 and math.isfinite(zeta.imag)):
            return -math.inf
        return math.log(self.equation.rank / math.pi * zeta.imag) - 2.0 * math.log(abs(1.0 - zeta))

    def _landing(self, point: Point, zeta: complex, v: Array, log_u: float) -> Edge | None:
        """The edge just ahead on the real axis, where Newton's method for d log u/dζ = 0 sees one."""
        slope, bend = complex(point.slope[0]), complex(point.bend[0])
        if bend == 0.0:
            return None
        ahead = -slope / bend
        # Forward along the curve dζ = d log u/slope, and within reach.
        if not (abs(ahead) < 0.6 * max(abs(zeta), 0.05) and (ahead * slope).real > 0.0):
            return None
        edge = self._critical(zeta, v)
        if edge is None or edge.log_u <= log_u or not self._flat(edge):
            return None
        return edge if abs(edge.zeta - zeta) < 3.0 * abs(ahead) + 1e-12 * abs(zeta) else None

    def _jump(self, log_u: float) -> tuple[float, Point | None]:
        """The solution a little further along the axis, found without a starting value, if at all."""
        for distance in (1e-4, 1e-3, 1e-2, 0.1):
            try:
                roots = locate(self.equation, np.array([log_u + distance]))
            except ConvergenceError:
                continue
            if roots.certified[0]:
                return log_u + distance, self._point(complex(roots.zeta[0]), roots.v[:, 0])
        return log_u, None

    def _fading(self, point: Point, zeta: complex) -> float:
        """D log(density in log λ)/d log u."""
        dw = self.equation.rank / (1.0 - zeta) ** 2 / complex(point.slope[0])
        w = self.equation.rank * zeta.imag / abs(1.0 - zeta) ** 2
        return float(dw.imag / w)

    def _leave(self, edge: Edge) -> tuple[complex, Array, float]:
        """A first point in the upper half plane beside an edge where a bulk begins."""
        if edge.exponent < 0.0 and self.laws:
            return self._leave_pole(edge)
        base = edge.zeta.real
        point = self._point(complex(base), edge.v.real)
        second = abs(complex(point.bend[0]) * base**2)
        offset = 0.15
        while offset > 1e-7:
            guess = base * np.exp(1j * offset * (1.0 if base > 0 else -1.0))
            step = guess - base
            guess_v = edge.v.real.astype(complex)
            if guess_v.size:
                guess_v = guess_v + point.rates[:, 0].real * step + 0.5 * point.curls[:, 0].real * step**2
            target = edge.log_u + 0.5 * second * offset**2
            if np.all(guess_v.imag > 0):
                found = self._follow(float(target), guess, guess_v, ROUGH)
                if found is not None and abs(np.log(found.zeta[0] / guess)) < 0.5 * offset:
                    return complex(found.zeta[0]), found.v[:, 0], target
            offset *= 0.5
        raise ConvergenceError(f"no solution was found beside the edge at log u = {edge.log_u:.6g}")

    def _leave_pole(self, edge: Edge) -> tuple[complex, Array, float]:
        for step in (0.1, 0.03, 0.01, 1e-3, 1e-4):
            try:
                roots = locate(self.equation, np.array([edge.log_u + step]))
            except ConvergenceError:
                continue
            if roots.certified[0]:
                return complex(roots.zeta[0]), roots.v[:, 0], edge.log_u + step
        raise ConvergenceError(f"no solution was found beside the edge at log u = {edge.log_u:.6g}")

    def _rise(self, zeta: float, v: Array) -> tuple[complex, Array, float]:
        """From a gap onto the cut: the point just beyond, its height found by Newton's method."""
        point = self._point(complex(zeta), v)
        log_u = float(point.log_u[0].real)
        for height in (1e-12, 1e-8, 1e-4, 1e-2, 1e-1):
            guess = zeta * np.exp(1j * height)
            guess_v = (v + point.rates[:, 0].real * zeta * 1j * height) if v.size else v.astype(complex)
            guess_v = guess_v.real + 1j * np.maximum(guess_v.imag, 1e-3 * height * np.abs(guess_v))
            roots = solve(
                self.equation, np.array([log_u]), np.array([guess]), guess_v.reshape(guess_v.size, 1), max_steps=30
            )
            if roots.certified[0] and abs(np.log(roots.zeta[0] / zeta)) < 0.3:
                return complex(roots.zeta[0]), roots.v[:, 0], log_u
        raise ConvergenceError(f"no solution was found where the spectrum begins, log u = {log_u:.6g}")

    def _descend(self, landing: Edge) -> tuple[complex, Array, float]:
        """Beyond an edge whose far side is not empty but a tail of exponentially small density."""
        base = landing.zeta.real
        for step in (0.1, 0.03, 0.01, 1e-3, 1e-4):
            zeta = base * math.exp(step if base > 0 else -step)
            point = self._point(complex(base), landing.v.real)
            guess = self._extrapolate(point, landing.v.real, zeta - base)
            if guess is None:
                continue
            found = self._project(zeta, guess.real)
            if found is None:
                continue
            try:
                return self._rise(zeta, found.real)
            except ConvergenceError:
                continue
        raise ConvergenceError(f"the tail beyond the edge at log u = {landing.log_u:.6g} could not be entered")
