"""Tails of bulks: where they fade, whether anything is still to come, and where they end too thin to show it."""

from __future__ import annotations

import math

import numpy as np

from ._types import Array
from .course import Course
from .gap import GapWalker
from .pointwise import Spot
from .solve import solve
from .walker import Edge

# log density in U, and log of the mass beyond, at which a fading arc is left: the mass is below 1e-16.
THIN = -37.0
# log density in U at which an arc is left whether it fades or not: e^{-37} is the rounding of ζ and v itself.
BURIED = -74.0
# Share of the mass beyond which what is still to come is more than a tail.
LEFT = 1e-2
# |log u| beyond which ROUGH, relative to it, is too rough to tell how much of the mass is to come.
LARGE = 100.0
# log density in U at which a fading arc is left where its laws are no longer resolved.
LOST = -18.5
# Squares of v must stay in the range of doubles; λ has left it long before.
LARGEST_V = 1e140
# Imaginary parts, relative, that are none.
SURFACED = 1e-12
# v_k that is as good as infinite for a second-order expansion in 1/v_k; 1e-16 of this is rounding.
FAR = 1e4
# Steps back from a gap to the edge where it began, at most.
MOST_BACK = 120
# And halvings of the way back to where a bulk began.
MOST_HALVED = 40


def columns(here: Course) -> tuple[Array, Array]:
    """ζ (1,) and v (K, 1)."""
    values = np.array(here.values)
    return values[:1], values[1:].reshape(-1, 1)


class TailWalker(GapWalker):
    """What a walk through the upper half plane asks about the tail it is in."""

    def _faded(self, log_u: float, here: Course, density: float, fading: float) -> bool:
        """Whether an arc that fades has nothing more to it, or its laws and doubles no more to say."""
        # So far down imaginary parts are rounding, and whether they fade is chance.
        buried = density < BURIED
        if fading >= 0.0 and not buried:
            return False
        v = [abs(x) for x in here.values[1:]]
        lost = any(x * law.resolved > 0.3 for x, law in zip(v, self.laws, strict=True))
        if any(x > LARGEST_V for x in v) or (lost and density < LOST):
            return True
        if not (buried or (density < THIN and density - math.log(-fading) < THIN)):
            return False
        # Between two bulks the density may dip as well.
        return not self._is_ahead(log_u, here)

    def _is_ahead(self, log_u: float, here: Course) -> bool:
        """Whether much of the mass is still to come."""
        zeta, v = columns(here)
        if abs(log_u) > LARGE:
            roots = solve(self.equation, np.array([log_u]), zeta, v, max_steps=10)
            if roots.certified[0]:
                zeta, v = roots.zeta, roots.v
        return float(self.equation.mass_above(zeta, v)[0]) < (1.0 - LEFT) * self.equation.rank

    def _is_whole(self, here: Course) -> bool:
        """Whether nothing is left beyond, but for the rounding of all the mass there is."""
        return float(self.equation.mass_above(*columns(here))[0]) > (1.0 - 1e-13) * self.equation.rank

    def _has_surfaced(self, here: Course) -> bool:
        """Whether all is real, off the cuts of all laws: in a gap.

        Its edge lies in a tail too thin to show it, or was stepped over where there are no tails.
        """
        flat = all(abs(x.imag) < SURFACED * abs(x) for x in here.values)
        return flat and not self._on_cut(np.array(here.values[1:]))

    def _passed(self, first: Edge | None, place: Edge) -> Edge | None:
        """The edge between the one where a bulk began and a place in the gap beyond it; None where none was found."""
        if first is None:
            return None
        start, zeta, v = float(first.zeta.real), float(place.zeta.real), place.v.real
        # From the place on back: ever farther from it, and then ever nearer to the beginning.
        parts = 2.0 ** np.arange(-float(MOST_HALVED), 0.0)
        for part in [*parts, *(1.0 - parts[-2::-1])]:
            new = float(place.zeta.real) + part * (start - float(place.zeta.real))
            found = self._project(new, v)
            if found is None or self._on_cut(found):
                return None
            if self._point(complex(new), found.real).slope.real <= 0.0:
                edge = self._risen(new, found.real, zeta, v)
                return edge if edge is not None and first.log_u < edge.log_u < place.log_u else None
            zeta, v = new, found.real
        return None

    def _risen(self, low: float, v_low: Array, high: float, v_high: Array) -> Edge | None:
        """The point between real `low` and `high` where d log u/dζ rises through 0, as well as rounding tells it."""
        for _ in range(MOST_HALVED):
            middle = 0.5 * (low + high)
            edge = self._critical(complex(middle), 0.5 * (v_low + v_high))
            if edge is not None and low <= edge.zeta.real <= high and edge.zeta.imag == 0.0:
                return edge
            between = self._project(middle, 0.5 * (v_low + v_high))
            if between is None:
                return None
            if self._point(complex(middle), between.real).slope.real > 0.0:
                high, v_high = middle, between.real
            else:
                low, v_low = middle, between.real
        return Edge(complex(high), v_high.astype(complex), float(self._point(complex(high), v_high).log_u.real))

    def _edge_before(self, zeta: float, v: Array) -> float:
        """Log u of the edge where the gap at real ζ began; inf where none was found.

        That is a critical point, or the place where the v_k of a law that fades towards 0 is infinite.
        """
        fades = np.array([law.infimum == 0.0 and law.cut_density is not None for law in self.laws])
        beyond = np.array([x * law.smallest > 1.0 for law, x in zip(self.laws, v, strict=True)], bool) & fades
        # Off the cut only because its law has no nodes there: the edge is ahead.
        step = 0.5 if beyond.any() else -0.1
        for _ in range(MOST_BACK):
            d = max((self.equation.gaps.ravel()[k] for k in np.flatnonzero(beyond)), default=0.0)
            room = 1.0 / d - zeta if d > 1e-12 and zeta < 1.0 / d else max(abs(zeta), 0.05)
            new = zeta + step * room
            found = self._project(new, v)
            if found is None or self._on_cut(found):
                step *= 0.25
                if abs(step) < 1e-6:
                    return math.inf
                continue
            point = self._point(complex(new), found.real)
            if point.slope.real <= 0.0:
                middle = complex(0.5 * (new + zeta))
                edge = self._critical(middle, 0.5 * (found.real + v))
                low, high = sorted((new, zeta))
                if edge is not None and low <= edge.zeta.real <= high and edge.zeta.imag == 0.0:
                    return float(edge.log_u)
                step *= 0.25
                continue
            zeta, v = new, found.real
            if np.any(fades & (np.abs(v) > FAR)):
                # log u is a series in 1/v_k beside its infinity, or as large as its logarithm.
                rest = (1.0 / d - zeta) if d > 1e-12 and abs(d * zeta - 1.0) < 0.5 else None
                first, second = float(point.slope.real), float(point.bend.real)
                if rest is None:
                    change = 2.0 * first * zeta + 0.5 * second * zeta**2
                else:
                    change = first * rest + 0.5 * second * rest**2
                return float(point.log_u.real) + change if abs(change) < 1e-2 else math.inf
            step = math.copysign(min(2.0 * abs(step), 0.5 if d > 1e-12 else 1.0), step)
        return math.inf

    def _log_density(self, zeta: complex) -> float:
        """Log of the density in log λ given λ ≠ 0, as `MasterEquation.log_share`."""
        if not (zeta.imag > 0.0 and math.isfinite(zeta.imag)):
            return -math.inf
        return math.log(zeta.imag / math.pi) - 2.0 * math.log(abs(1.0 - zeta))

    def _fading(self, spot: Spot) -> float:
        """D log(density in log λ)/d log u."""
        zeta = spot.zeta
        dw = self.equation.rank / (1.0 - zeta) ** 2 / spot.slope
        w = self.equation.rank * (zeta.imag / abs(1.0 - zeta)) / abs(1.0 - zeta)
        return float(dw.imag / w) if w > 0.0 else -math.inf
