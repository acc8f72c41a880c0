"""The gap between λ = 0 and the lowest bulk, entered from λ = 0: where a tail ends that is too thin to show it.

There 1 < ζ < ∞ is real and log u ~ log ζ at its end.  With y_k = 1/v_k and G_k(y) = E 1/(t − y), all is smooth in ζ,
also where v_k passes infinity:

    log u = const + log ζ + Σ_i e_i log(1 − d_i ζ) + Σ_k n_k log S_k,
    S_k = G_k(y_k) (ζ − 1)/(ω_k ζ),        −y_k G_k(y_k) = (1 − d_k ζ)/(1 − ζ),

and every y_k lies below the support of its law.  The bulk ends where d log u/dζ = 0, or where the interval ends: a
slope that comes as near to 0 as one likes, however rarely, leaves y_k ≤ 0, ζ ≥ 1/d_k alone.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import numpy as np

from ._types import Array
from .laws.nodes import NodeLaw
from .master import MasterEquation
from .pole import pole_near
from .walker import Arc, Survey

# Gaps d_k that are none: the law reaches down to 0 if that of one such D² does.
NONE = 1e-12
# Where all is asymptotic, times the largest place where something is singular, and how well d log u/d log ζ is 1 there.
FAR, ASYMPTOTIC = 1e4, 1e-2
# How near the end of the interval, relative, the march goes; by what factor a step brings it nearer; and y, relative to
# the least slope squared that the nodes know, that is as good as 0.
NEAREST, NEARER, AT_END = 1e-13, 0.4, 1e-2
# What of E 1/t, or of E 1/t², may lie beyond the nodes of a law.
UNKNOWN, UNSURE = 1e-14, 1e-3
ROUNDING, MAX_STEPS = 1e-15, 200


class Untold(Exception):
    """The laws are not known well enough there."""


def with_end(equation: MasterEquation, found: Survey) -> Survey:
    """The survey with the place where the last tail ends, or with the word that this could not be told."""
    last = found.arcs[-1] if found.arcs else None
    if last is None or not _fades(equation, last) or any(u > _reached(last) for u, _ in found.atoms):
        return found
    try:
        end = lowest_edge(equation)
    except Untold:
        return replace(found, doubtful=last.last is None and math.isinf(last.until))
    if end is None:
        return found
    if end <= (_shown(equation, last) if last.last is None else _reached(last)):
        return found if last.last is not None else replace(found, doubtful=True)
    return replace(found, arcs=(*found.arcs[:-1], replace(last, until=end)))


def _fades(equation: MasterEquation, arc: Arc) -> bool:
    """Whether there is a density beyond its end, if not much."""
    edge = arc.last
    if edge is None:
        return True
    if edge.at_pole:
        pole = pole_near(equation, edge.v)
        return pole is not None and pole.touched(1)
    pairs = [(f.law, x.real) for f, x in zip(equation.factors, edge.v.ravel(), strict=True)]
    # Also where it is thinner than what the nodes of its law know.
    return any(law.has_density_at(x) or _infimum(law) * x < 1.0 < law.smallest * x for law, x in pairs if x > 0.0)


def _reached(arc: Arc) -> float:
    return float(arc.log_u[-1] if arc.last is None else arc.last.log_u)


def _shown(equation: MasterEquation, arc: Arc) -> float:
    """The largest log u of an arc where its density is more than rounding."""
    shown = np.flatnonzero(equation.log_share(arc.zeta) > -30.0)
    return float(arc.log_u[shown[-1]]) if shown.size else -math.inf


def lowest_edge(equation: MasterEquation) -> float | None:
    """Log u where the lowest bulk ends, or an atom is; None where the law reaches down to 0.

    Raises
    ------
    Untold : a law of D² has too much beyond its nodes to say.
    """
    if not equation.factors or equation.is_algebraic:
        return None
    gap = _Gap(equation)
    if gap.begin is None:
        return None
    return gap.edge()


class _Gap:
    """The real solutions of one equation; `begin` is the end of the interval of ζ, None where there is no gap."""

    def __init__(self, equation: MasterEquation) -> None:
        self.equation = equation
        self.begin: float | None = 1.0
        self.ending: list[NodeLaw] = []
        self.laws = [factor.law for factor in equation.factors]
        # Where the y_k were last.
        self._y = [math.nan] * len(self.laws)
        self.gaps = equation.gaps.ravel().tolist()
        self.omegas, self.counts = equation.omegas.ravel().tolist(), equation.counts.ravel().tolist()
        for law, d in zip(self.laws, self.gaps, strict=True):
            if law.cut_density is None or _infimum(law) > 0.0:
                continue
            if d < NONE:
                self.begin = None
                return
            if 1.0 / d > self.begin:
                self.begin, self.ending = 1.0 / d, []
            if 1.0 / d == self.begin:
                self.ending.append(law)

    def edge(self) -> float | None:
        """See `lowest_edge`."""
        assert self.begin is not None
        start = FAR * max([self.begin, *(1.0 / d for d, _ in self.equation.terms if d > NONE)])
        log_u, slope = self.at(start)
        if slope <= 0.0:
            return None
        if abs(slope * start - 1.0) > ASYMPTOTIC:
            raise Untold
        # From λ = 0 up, ever nearer to the end of the interval.
        high = start - self.begin
        while high > NEAREST * self.begin and not self.at_end:
            low, before = high * NEARER, log_u
            log_u, slope = self.at(self.begin + low)
            if slope <= 0.0:
                return self.critical(low, high)
            if not log_u < before:
                raise Untold
            high = low
        if not self.ending:
            raise Untold
        for law in self.ending:
            _verify_known(law)
        log_u, slope = self.at(self.begin)
        if slope <= 0.0:
            raise Untold
        return log_u

    @property
    def at_end(self) -> bool:
        """Whether the y_k that are to be 0 at the end of the interval are so."""
        pairs = [(law, y) for law, y in zip(self.laws, self._y, strict=True) if law in self.ending]
        return bool(pairs) and all(-y < AT_END * law.smallest for law, y in pairs)

    def critical(self, low: float, high: float) -> float:
        """Log u where d log u/dζ rises through 0, ζ − begin between `low` and `high`."""
        from scipy.optimize import brentq

        assert self.begin is not None
        begin = self.begin
        found = brentq(lambda x: self.at(begin + x)[1], low, high, xtol=1e-15 * begin, maxiter=200)
        return self.at(begin + cast(float, found))[0]

    def at(self, zeta: float) -> tuple[float, float]:
        """Log u and d log u/dζ."""
        equation = self.equation
        log_u = equation.constant + math.log(equation.rank) + math.log(zeta)
        slope = 1.0 / zeta
        for d, e in equation.terms:
            base = 1.0 - d * zeta
            if base == 0.0:
                raise Untold
            log_u += e * math.log(abs(base))
            slope -= e * d / base
        away = 1.0 / (zeta - 1.0)
        rows = zip(self.laws, self.gaps, self.omegas, self.counts, strict=True)
        for k, (law, d, omega, count) in enumerate(rows):
            # To the end of the interval itself, with all digits of the distance.
            target = 0.0 if abs(1.0 - d * zeta) < 4e-16 else (d * zeta - 1.0) * away
            y, g, rate = _below(law, target, self._y[k])
            self._y[k] = y
            log_u += count * (math.log(g) - math.log(omega * zeta * away))
            rise = omega * away**2
            slope += count * (rate / g * rise / (-g - y * rate) + away - 1.0 / zeta)
        return log_u, slope


def _infimum(law: NodeLaw) -> float:
    return law.smallest if law.infimum is None else law.infimum


def _below(law: NodeLaw, target: float, near: float) -> tuple[float, float, float]:
    """Real y below the support with −y G(y) = `target` < 1, and G(y), G'(y) there; `near`: where it may be, or NaN."""
    if target == 0.0:
        return (0.0, *_stieltjes(law, 0.0))
    # −y G(y) falls from 1 at −∞ to 0 at 0, and on: by Newton's method on the logarithm of one or the other.
    y = -(target / (1.0 - target)) if target > 0.0 else 0.5 * _infimum(law)
    low, high = (-math.inf, 0.0) if target > 0.0 else (0.0, _infimum(law))
    y = near if low < near < high else y
    for _ in range(MAX_STEPS):
        g, rate = _stieltjes(law, y)
        miss = -y * g - target
        low, high = (y, high) if miss > 0.0 else (low, y)
        step = miss / (g + y * rate) if g + y * rate > 0.0 else math.nan
        new = y + step
        if not low < new < high:
            new = 2.0 * y if math.isinf(low) else 0.5 * (low + high)
        if abs(new - y) <= ROUNDING * abs(y):
            return y, g, rate
        y = new
    if abs(miss) < 1e-13 * (abs(target) + abs(y * g)):
        return y, g, rate
    raise Untold


def _stieltjes(law: NodeLaw, y: float) -> tuple[float, float]:
    """G(y) = E 1/(t − y) and G'(y)."""
    parts: Array = 1.0 / (law.points - y)
    return float((law.weights @ parts).real), float((law.weights @ (parts * parts)).real)


def _verify_known(law: NodeLaw) -> None:
    """Whether next to nothing of E 1/t and E 1/t² is in slopes smaller than any that the nodes know."""
    if law.neglected > 0.0 or law.resolved > 0.0 or law.cut_density is None:
        raise Untold
    g, rate = _stieltjes(law, 0.0)
    t = 1.01 * law.smallest
    # Of E 1/t beyond t, for a density that falls off.
    beyond = float(law.cut_density(np.array([1.0 / t]))[0]) / (math.pi * t)
    if not (beyond < UNKNOWN * g and beyond / t < UNSURE * rate):
        raise Untold
