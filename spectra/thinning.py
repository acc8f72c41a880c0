"""Whether few laws that stand for many do so well enough: log u at the same ζ with more of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ._types import Array
from .guess import THIN
from .master import MasterEquation, Point
from .shift import as_shift, density_change
from .walker import Arc

_STEPS = 30
# log u must be the same, relative to 1 + |log u|, to this, and the density as far as such a shift changes it.
STABLE = 1e-12
# Where it is not below its peak by more than a factor e^PEAK, the density itself must be the same to this.
INTERIOR, PEAK = 1e-11, 4.0
# Newton's method is quadratic: steps as short as this leave rounding.
ARRIVED = 1e-7
# Nodes added to the rules at least, and at most, at a time.
EXTRA, MOST = 4, 1000
# Weights of an interpolation that add up to more than this in modulus are those of an extrapolation.
WILD = 2.0
# Arcs with fewer steps than this where the density counts say too little of what is between their edges.
FEW = 8

# Points along an arc: log u (n,), ζ (n,), v (K, n).
Stretch = tuple[Array, Array, Array]


def along(arc: Arc) -> Stretch:
    """Points that the sweep has met on an arc."""
    return arc.log_u, arc.zeta, arc.v


def is_told(equation: MasterEquation, arc: Arc) -> bool:
    """Whether the points that the sweep has met on an arc say what it is like, where anything is."""
    return int(np.count_nonzero(equation.log_share(arc.zeta) > THIN)) >= FEW


def is_thinned(equation: MasterEquation) -> bool:
    """Return whether some factors stand for more laws than they are."""
    return any(factor.thinned for factor in equation.factors)


def widened(
    equation: MasterEquation, refined: Callable[..., MasterEquation], extra: int, arcs: Sequence[Stretch]
) -> int:
    """How many nodes to add to the rules, no fewer than `extra`: as many as suffice along the arcs of `equation`.

    Parameters
    ----------
    refined : `refined(extra=m)` is the equation with m nodes added; `equation` is that of `extra`.
    """
    if not arcs:
        return extra
    here, added, last, before = _Along.of(equation, arcs), EXTRA, math.inf, EXTRA
    while is_thinned(here.equation):
        wider = refined(extra=extra + added)
        if not is_thinned(wider):
            return extra + added
        there = here.carried_to(wider)
        error = there.error(here)
        if error <= STABLE:
            break
        extra += added
        # The error falls by a factor a node, once it falls at all.
        rate = math.log(last / error) / before if math.isfinite(last) and 0.0 < error < last else 0.0
        before, last, here = added, error, there
        added = 2 * added if rate == 0.0 else min(max(math.ceil(math.log(error / STABLE) / rate) - added, EXTRA), MOST)
    return extra


@dataclass(frozen=True)
class _Along:
    """Solutions of the constraints at the ζ of some arcs, and whether they were found."""

    equation: MasterEquation
    point: Point
    found: Array

    @classmethod
    def of(cls, equation: MasterEquation, arcs: Sequence[Stretch]) -> _Along:
        zeta = np.concatenate([zeta for _, zeta, _ in arcs]).astype(complex)
        v = np.concatenate([v for _, _, v in arcs], axis=1)
        counted = equation.log_share(zeta) > THIN
        return cls._at(equation, zeta[counted], v[:, counted])

    @classmethod
    def _at(cls, equation: MasterEquation, zeta: Array, v: Array) -> _Along:
        return cls(equation, *_on_constraints(equation, zeta, v))

    def carried_to(self, wider: MasterEquation) -> _Along:
        """The same for an equation with other laws of the same families."""
        return self._at(wider, self.point.zeta, _carried(self.equation, wider, self.point.v))

    def error(self, before: _Along) -> float:
        """The largest shift of log u that would change the density as much, or change of it in terms of `INTERIOR`."""
        with np.errstate(all="ignore"):
            step = (self.point.log_u - before.point.log_u) / self.point.slope
            shift = as_shift(self.equation, before.point.log_u.real, self.point, step)
            # A narrow law is steep all over.
            change = density_change(self.equation, self.point, step) * (STABLE / INTERIOR)
            share = self.equation.log_share(self.point.zeta)
            dense = share > np.max(share, initial=-np.inf) - PEAK
        error = np.where(self.found, np.maximum(shift, np.where(dense, change, 0.0)), np.inf)
        return float(np.max(error[before.found], initial=0.0))


def _carried(equation: MasterEquation, wider: MasterEquation, v: Array) -> Array:
    """Starting values for the laws of `wider`: log v interpolated along each family."""
    rows = np.log(v)
    carried = np.zeros((len(wider.factors), v.shape[1]), complex)
    for k, factor in enumerate(wider.factors):
        kin = [j for j, one in enumerate(equation.factors) if one.family == factor.family]
        same = [j for j in kin if equation.factors[j].law is factor.law]
        known = same or kin
        places = np.array([equation.factors[j].place for j in known])
        order = np.argsort(places)
        near = order[np.argsort(np.abs(places[order] - factor.place))[:4]]
        weights = np.array([_lagrange(places[near], i, factor.place) for i in range(near.size)])
        if np.abs(weights).sum() > WILD:
            # Between two of them, or as at the nearest.
            rank = np.interp(factor.place, places[order], np.arange(float(order.size)))
            low = min(int(rank), order.size - 1)
            high = min(low + 1, order.size - 1)
            near, weights = order[[low, high]], np.array([1.0 - (rank - low), rank - low])
        carried[k] = np.exp(weights @ rows[[known[j] for j in near]])
    return carried


def _lagrange(places: Array, index: int, at: float) -> float:
    others = np.delete(places, index)
    return float(np.prod((at - others) / (places[index] - others)))


def _on_constraints(equation: MasterEquation, zeta: Array, v: Array) -> tuple[Point, Array]:
    """Solutions v of ψ_k(v_k) as ζ demands, and where Newton's method for them arrived, from nearby v."""
    size = np.full(zeta.size, np.inf)
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            point = equation.evaluate(zeta, v)
            step = -point.mismatch / point.steepness
            step = step / np.maximum(1.0, 2.0 * np.abs(step) / np.abs(v))
            size = np.max(np.abs(step) / np.abs(v), axis=0)
            new = v + step
            leaves = (new.imag <= 0.0) & (v.imag > 0.0)
            v = np.where(leaves, new.real + 0.2j * v.imag, new)
            if np.all(size < ARRIVED):
                break
        point = equation.evaluate(zeta, v)
    return point, size < ARRIVED
