"""Certified solutions on one bulk, each the start of those beside it."""

from __future__ import annotations

import numpy as np

from .._types import Array
from ..errors import ConvergenceError
from ..law import Law
from .beside_atoms import BesideAtom, beside_atom
from .bulks import Bulk
from .newton import Points, descend, inside, rounding_of_g, solve
from .slow_tail import SlowTail, slow_tail

# Towards 0, steps in log x, and the error of the mass that is left when it is taken for that of a power of x.
STEP, NEGLIGIBLE = 1.0, 1e-14
MAX_FOLLOWED = 600
# Where a bulk begins at so small a share of its end, unknowns go like powers of x.
FAR_BELOW = 1e-6
# The slope there, by how much it may still change in the last step.
STEADY = 1e-2


class GapInside(ConvergenceError):
    """What was taken for one bulk has a gap in it.

    Parameters
    ----------
    places : points certified to lie in the gap.
    """

    def __init__(self, places: Array) -> None:
        super().__init__(f"there is a gap about {float(places[0])}")
        self.places = places


class DoesNotFade(ConvergenceError):
    """A density that falls towards 0 slower than any power of the distance."""


class Solutions:
    """What is known on a bulk, in ascending order.

    Attributes
    ----------
    residual : largest of all, relative to the terms of the equations.
    """

    def __init__(self, law: Law, bulk: Bulk) -> None:
        if not bulk.x.size:
            raise ConvergenceError(f"no point is known between {bulk.low.place} and {bulk.high.place}")
        self.law, self.bulk = law, bulk
        self.x, self.t = bulk.x, bulk.t
        self.residual = 0.0
        self.atoms: list[BesideAtom] = []

    def has_atom(self, place: float) -> bool:
        """Whether the law has an atom there."""
        return any(mass > 0.0 for mark, mass in self.law.marks if mark == place)

    def know_atoms(self, *, below: bool, above: bool) -> None:
        """Continue the density to atoms at the ends of the bulk, at which it is finite."""
        low, high = self.bulk.low.place, self.bulk.high.place
        sides = [(low, 1.0)] * below + [(high, -1.0)] * above
        found = [beside_atom(self._solved, a, side, high - low) for a, side in sides if self.has_atom(a)]
        self.atoms = [one for one in found if one]

    def density(self, x: Array) -> tuple[Array, Array]:
        """ρ at x, NaN where no certified solution was found, and what rounding leaves open of it, relative.

        Raises
        ------
        GapInside : a point is certified to lie in a gap.
        """
        far = np.ones(x.size, bool)
        density, noise = np.empty(x.size), np.empty(x.size)
        for one in self.atoms:
            near = np.abs(x - one.place) < one.reach
            density[near], noise[near] = one.density(x[near]), one.noise
            far &= ~near
        density[far], noise[far] = self._solved(x[far])
        return density, noise

    def _solved(self, x: Array) -> tuple[Array, Array]:
        density, noise, good = np.full(x.size, np.nan), np.full(x.size, np.inf), np.zeros(x.size, bool)
        # What was found first lies nearer than what was known before.
        for find in (self._beside, self._beside, self._from_afar):
            rest = np.flatnonzero(~good)
            if not rest.size:
                break
            points = find(x[rest])
            ok = points.good & inside(points)
            here = rest[ok]
            found, rounding = _density(points)
            density[here], noise[here], good[here] = found[ok], rounding[ok], True
            self._keep(x[here], points.t[:, ok])
            self.residual = max([self.residual, *points.residual[ok].tolist()])
        return density, noise

    def _beside(self, x: Array) -> Points:
        return solve(self.law, self._guess(x), x.astype(complex))

    def _from_afar(self, x: Array) -> Points:
        points = descend(self.law, x)
        gap = points.good & ~inside(points)
        if gap.any():
            raise GapInside(x[gap])
        return points

    def follow_to_zero(self) -> tuple[float, float]:
        """Solve at ever smaller x > 0 until what is below is a power of x; x there, and −d log(xρ)/d log x.

        Raises
        ------
        ConvergenceError : lost on the way.
        DoesNotFade : no end of it.
        """
        x = float(self.x[0])
        before = None
        for _ in range(MAX_FOLLOWED):
            here = np.array([x])
            start = self.t[:, :1] if self.x.size == 1 else self._on_logarithm(here)
            points = solve(self.law, start, here.astype(complex))
            if not (points.good[0] and inside(points)[0]):
                raise ConvergenceError(f"the density was lost on the way to 0, at {x}")
            if x < self.x[0]:
                self._keep(here, points.t)
            log_p = float(np.log(_density(points)[0][0] * x))
            if before is not None:
                slope = (log_p - before[0]) / STEP
                if len(before) > 1 and slope < 0.0:
                    # The slope goes on changing by as much, or less, in every step.
                    change = max(abs(slope - before[1]) / -slope, np.finfo(float).eps)
                    if change < STEADY and np.exp(log_p) / -slope * change < NEGLIGIBLE:
                        return x, slope
                before = (log_p, slope)
            else:
                before = (log_p,)
            x *= float(np.exp(-STEP))
        raise DoesNotFade("the density was followed towards 0 and did not fade")

    def tail(self) -> SlowTail:
        """What is below all that was followed.

        Raises
        ------
        ConvergenceError : it is none that is known.
        """
        trace = self.law.trace(self.t)
        return slow_tail(-np.log(self.x)[::-1], (trace.z * trace.g).conj()[::-1])

    def _keep(self, x: Array, t: Array) -> None:
        order = np.argsort(np.concatenate([self.x, x]), kind="stable")
        self.x = np.concatenate([self.x, x])[order]
        self.t = np.concatenate([self.t, t], axis=1)[:, order]

    def _guess(self, x: Array) -> Array:
        if self.x.size == 1:
            return np.repeat(self.t, x.size, axis=1)
        low = self.bulk.low.place
        if low == 0.0 and x.min() < 1e-3 * self.bulk.high.place:
            return self._on_logarithm(x)
        if 0.0 < low < FAR_BELOW * self.bulk.high.place and self.x[0] > 0.0:
            ends = np.log([low, self.bulk.high.place])
            at, known = (_angle(np.log(places), *ends) for places in (x, self.x))
            return np.exp(_between(at, known, np.log(self.t), extrapolate=False))
        ends = self.bulk.low.place, self.bulk.high.place
        return _between(_angle(x, *ends), _angle(self.x, *ends), self.t, extrapolate=False)

    def _on_logarithm(self, x: Array) -> Array:
        """Powers of x between neighbours and beyond the first."""
        return np.exp(_between(np.log(x), np.log(self.x), np.log(self.t), extrapolate=True))


def _density(points: Points) -> tuple[Array, Array]:
    """ρ, and what the rounding of every equation makes of it, relative."""
    trace = points.trace
    with np.errstate(all="ignore"):
        noise = rounding_of_g(trace) / np.abs(trace.g.imag)
    return -trace.g.imag / np.pi, np.where(np.isfinite(noise), noise, np.inf)


def _angle(x: Array, a: float, b: float) -> Array:
    """The angle in which square-root edges are smooth."""
    return np.arccos(np.clip(1.0 - 2.0 * (x - a) / (b - a), -1.0, 1.0))


def _between(at: Array, known: Array, values: Array, *, extrapolate: bool) -> Array:
    """Linear interpolation of values (n, k) at ascending places (k,)."""
    k = np.clip(np.searchsorted(known, at), 1, known.size - 1)
    span = known[k] - known[k - 1]
    share = (at - known[k - 1]) / np.where(span > 0.0, span, 1.0)
    if not extrapolate:
        share = np.clip(share, 0.0, 1.0)
    return values[:, k - 1] * (1.0 - share) + values[:, k] * share
