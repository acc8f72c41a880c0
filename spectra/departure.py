"""Where bulks begin: from a point of the real axis into the upper half plane beside it."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from ._types import Array
from .continuation import locate
from .errors import ConvergenceError
from .series import relative_variance
from .solve import solve
from .thin import LOST, TailWalker
from .walker import Edge

# Residual that is good enough for a first point beside an edge, where the square root is the first of many terms.
BESIDE = 1e-4
# And relative to the distance from it.
AWAY = 0.1
# Distances in log u from an atom at which an arc beside it is begun, the next where the last is beyond a narrow bulk:
# where the log density is lower than this.
LEAVING, BESIDE_POLE = (0.03, 0.01, 1e-3, 1e-4, 1e-5), -9.0
# Standard deviations, relative to the mean, that an arc of a narrow law is long, or more.
NARROWS = 2.0
# Distances in log u from an edge at which a solution is sought without a starting value; beside an atom the farthest
# first.
BESIDE_EDGE = (1e-4, 1e-3, 0.01, 0.03, 0.1)
# Share of the mass beyond an atom, or in a tail, that is none.
EMPTY = 1e-12


class Departure(TailWalker):
    """Leaves edges, atoms and gaps for the upper half plane."""

    @cached_property
    def _breadth(self) -> float:
        """How broad the law is in log λ, where it is narrow, else 1."""
        return min(1.0, NARROWS * math.sqrt(relative_variance(self.equation)))

    def _leave(self, edge: Edge) -> tuple[complex, Array, float] | None:
        """A first point in the upper half plane beside an edge where a bulk begins; None where nothing does."""
        if edge.at_pole and self.laws:
            return self._leave_pole(edge)
        base = edge.zeta.real
        point = self._point(complex(base), edge.v.real)
        second = abs(complex(point.bend) * base**2)
        offset = 0.15
        while offset > 1e-7 * min(1.0, abs(1.0 - base)):
            guess = base * np.exp(1j * offset * (1.0 if base > 0 else -1.0))
            step = guess - base
            guess_v = edge.v.real.astype(complex)
            if guess_v.size:
                guess_v = guess_v + point.along(step, real=True)
            target = edge.log_u + 0.5 * second * offset**2
            if np.all(guess_v.imag > 0):
                # A narrow bulk is over soon: on its scale the first point must be one, too.
                rough = min(BESIDE, AWAY * 0.5 * second * offset**2 / (1.0 + abs(edge.log_u)))
                found = self._evaluator.follow(float(target), complex(guess), guess_v.tolist(), rough)
                if found is not None and abs(np.log(found.zeta / guess)) < 0.5 * offset:
                    return found.zeta, np.array(found.v, complex), target
            offset *= 0.5
        # A square root that exponentially little of a law makes is one on no scale that steps can see.
        return self._located_beside(edge, BESIDE_EDGE)

    def _leave_pole(self, edge: Edge) -> tuple[complex, Array, float] | None:
        pole = self._pole(edge.v)
        found: list[tuple[float, tuple[complex, Array, float]]] = []
        for far in LEAVING if pole is not None else ():
            assert pole is not None
            distance = far * self._breadth
            start = pole.leave(distance)
            spot = start and self._evaluator.follow(edge.log_u + distance, complex(start[0]), start[1].tolist(), BESIDE)
            if spot:
                found.append(
                    (self._log_density(spot.zeta), (spot.zeta, np.array(spot.v, complex), edge.log_u + distance))
                )
                if found[-1][0] > BESIDE_POLE:
                    break
        if found:
            density, densest = max(found, key=lambda one: one[0])
            if density > LOST:
                return densest
            above = self.equation.mass_above(np.array([densest[0]]), densest[1][:, None])
            if float(above[0]) > (1.0 - EMPTY) * self.equation.rank:
                return None
        return self._located_beside(edge, BESIDE_EDGE[::-1])

    def _located_beside(self, edge: Edge, distances: tuple[float, ...]) -> tuple[complex, Array, float]:
        """A point beyond an edge by the sure way, which needs no starting value."""
        for step in distances:
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
        log_u = float(point.log_u.real)
        for height in (1e-12, 1e-8, 1e-4, 1e-2, 1e-1):
            guess = zeta * np.exp(1j * height)
            guess_v = (v + point.along(zeta * 1j * height, bent=False, real=True)) if v.size else v.astype(complex)
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
        for step in BESIDE_EDGE[::-1]:
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
