"""⊞, its powers, and what follows from them: G stays, and z − 1/G adds up.

g = G_i(ω_i) for all parts, z = 1/g + Σ t_i (ω_i − 1/g).  For z in the upper half plane there is one solution with all
ω_i there (ω_i is the fixed point of a map of the half plane into itself: Im 1/G(ω) ≤ −Im ω for every law).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from .._types import Array
from ..exact.chain import cumulants_from_moments, moments_from_cumulants
from ..law import Law
from ..laws.atomic import constant, point
from ..laws.marchenko_pastur import MarchenkoPastur
from ..laws.semicircle import Semicircle
from .affine import Affine
from .law import LineLaw
from .marks import added, kept
from .numbers import Number, exactly
from .trace import Trace, same_side, side_by_side

if TYPE_CHECKING:
    from ..exact.power_series import Ring


@runtime_checkable
class Divisible(Protocol):
    """A law that is freely infinitely divisible and whose R is a formula: it adds no unknown to a sum."""

    def r_and_slope(self, g: Array) -> tuple[Array, Array]:
        """R(g) and R'(g)."""
        ...


@dataclass(frozen=True)
class FreeSum(LineLaw):
    """⊞ μ_i^{⊞t_i}: the law of a sum of free elements; R = Σ t_i R_i.

    Parameters
    ----------
    terms : pairs (μ_i, t_i), t_i ≥ 1, or t_i > 0 where μ_i is freely infinitely divisible (`Divisible`).

    Source
    ------
    Voiculescu, J. Funct. Anal. 66 (1986), 323-346; subordination: Biane, Math. Z. 227 (1998), 143-174; real t: Nica and
    Speicher, Amer. J. Math. 118 (1996), 799-837; atoms: Bercovici and Voiculescu, Regularity questions for free
    convolution (1998).
    """

    terms: tuple[tuple[Law, Number], ...]

    @cached_property
    def _ordered(self) -> tuple[list[tuple[Law, float]], list[tuple[Any, float]]]:
        """Terms with unknowns of their own, and those that are a formula in g."""
        pairs = [(law, float(t)) for law, t in self.terms]
        return (
            [pair for pair in pairs if not isinstance(pair[0], Divisible)],
            [pair for pair in pairs if isinstance(pair[0], Divisible)],
        )

    @property
    def mean(self) -> float:
        """Σ t_i m_1."""
        return sum(float(t) * law.mean for law, t in self.terms)

    @property
    def unknowns(self) -> int:
        """Those of the terms that are no formula in g; g itself where there are none."""
        return max(1, sum(law.unknowns for law, _ in self._ordered[0]))

    def trace(self, t: Array) -> Trace:
        """At z = 1/g + Σ t_i (ω_i − 1/g), g = G_i(ω_i)."""
        bases, formulas = self._ordered
        starts = np.cumsum([0, *(law.unknowns for law, _ in bases)])
        traces = side_by_side([law.trace(t[a:b]) for (law, _), a, b in zip(bases, starts, starts[1:], strict=False)])
        points = t.shape[1]
        if traces:
            g, dg = traces[0].g, traces[0].dg
        else:
            g, dg = t[0], np.ones((1, points), complex)
        f, df = 1.0 / g, -(dg / g) / g
        w, dw, w_size = np.zeros(points, complex), np.zeros_like(df), np.zeros(points)
        total, slope = np.zeros(points, complex), np.zeros_like(df)
        # ω − 1/g = w/g: the terms of the sum keep their digits where ω and 1/g are large.
        places, rests = [(f, df)], [(total, slope)]
        for trace, (_, times) in zip(traces, bases, strict=True):
            rest = trace.w / trace.g, (trace.dw - trace.w * trace.dg / trace.g) / trace.g
            total, slope = total + times * rest[0], slope + times * rest[1]
            w, dw, w_size = w + times * trace.w, dw + times * trace.dw, w_size + times * trace.w_size
            places.append((trace.z, trace.dz))
            rests.append(rest)
        for law, times in formulas:
            r, dr = law.r_and_slope(g)
            total, slope = total + times * r, slope + times * dr * dg
            w, w_size = w + times * g * r, w_size + times * np.abs(g * r)
            dw = dw + times * (r + g * dr) * dg
            places.append((f + times * r, df + times * dr * dg))
            rests.append((times * r, times * dr * dg))
        # What is left stands beside the smallest of 1/g and all ω.
        pick = np.argmin(np.abs([place for place, _ in places]), axis=0)
        z, dz = _beside(pick, places, rests, (total, slope))
        size = np.min(np.abs([place for place, _ in places]), axis=0) + w_size * np.abs(f)
        places = places[1:]
        valid = same_side(-g, np.abs(g), z, size)
        for trace in traces:
            valid &= trace.valid
        for place, _ in places:
            valid &= same_side(place, size + np.abs(place), z, size)
        equations = [trace.equations for trace in traces]
        slopes = [trace.slopes for trace in traces]
        # 1/G is nearly linear, beside atoms and far away.
        for trace in traces[1:]:
            equations.append((1.0 / trace.g - f)[None])
            slopes.append((-(trace.dg / trace.g) / trace.g - df)[None])
        inner = [pair for trace in traces for pair in trace.inner]
        inner.append((np.array([slope for _, slope in places]), dz))
        none = np.empty((0, points), complex)
        return Trace(
            z,
            g,
            w,
            dz,
            dg,
            dw,
            np.concatenate([none, *equations]),
            np.concatenate([np.empty((0, *dz.shape), complex), *slopes]),
            valid,
            tuple(inner),
            np.stack(
                [*(size for trace in traces for size in trace.sizes[:-1]), *[np.abs(f)] * (len(traces) - 1), size]
            ),
            w_size,
        )

    def start(self, z: Array) -> Array:
        """ω_i = z less the means of all others."""
        bases = self._ordered[0]
        if not bases:
            return (1.0 / (z - self.mean))[None]
        return np.concatenate([law.start(z - self.mean + law.mean) for law, _ in bases])

    @cached_property
    def hull(self) -> tuple[float, float]:
        """Sum of the terms' own: μ^{⊞t} is that of tPAP, P a projection of rank 1/t, seen from its range."""
        ends = [(law.hull, float(t)) for law, t in self.terms]
        stretch = [max(t, 1.0) for _, t in ends]
        low = sum(a * s if t >= 1.0 else min(a, a * t, 0.0) for ((a, _), t), s in zip(ends, stretch, strict=True))
        high = sum(b * s if t >= 1.0 else max(b, b * t, 0.0) for ((_, b), t), s in zip(ends, stretch, strict=True))
        return low, high

    @cached_property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """Σ t_i a_i of mass 1 − Σ t_i (1 − p_i)."""
        # Term by term: what has lost its mass is dropped, or there would be products of all.
        powers = (kept((float(t) * a, 1.0 - float(t) * (1.0 - p)) for a, p in law.marks) for law, t in self.terms)
        return reduce(added, powers)

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """From κ_k = Σ t_i κ_k(μ_i)."""
        total = [ring.number(0)] * order
        for law, t in self.terms:
            cumulants = cumulants_from_moments(ring, law.moment_list(ring, order))
            total = [a + b * ring.number(exactly(t)) for a, b in zip(total, cumulants, strict=True)]
        return moments_from_cumulants(ring, total)

    @property
    def is_rational(self) -> bool:
        """Whether all terms are."""
        return all(law.is_rational for law, _ in self.terms)


def _family(law: Law) -> Any:
    """What laws have in common whose sum is one law of the same name; the law itself where there is no such name."""
    if isinstance(law, Semicircle):
        return Semicircle
    if isinstance(law, MarchenkoPastur):
        return MarchenkoPastur, exactly(law.ratio) * exactly(law.scale)
    return law


def _sum_in_family(group: Sequence[tuple[Any, Number]]) -> tuple[Law, Number]:
    """Semicircles add up their variances, free Poisson laws of rates 1/c and the same jump c v their rates."""
    law, t = group[0]
    if isinstance(law, Semicircle):
        return Semicircle(sum(exactly(one.variance) * exactly(times) for one, times in group)), 1
    if isinstance(law, MarchenkoPastur) and (len(group) > 1 or t != 1):
        rate = sum(exactly(times) / exactly(one.ratio) for one, times in group)
        return MarchenkoPastur(1 / rate, rate * exactly(law.ratio) * exactly(law.scale)), 1
    return law, t


def _beside(
    pick: Array, places: Sequence[tuple[Array, Array]], rests: Sequence[tuple[Array, Array]], total: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Place + (total − rest) of the one picked at each point, and the derivative."""
    found = []
    for part, whole in enumerate(total):
        sums = np.array([place[part] - rest[part] for place, rest in zip(places, rests, strict=True)])
        # The picked axis goes first beside the points'.
        found.append(whole + sums[pick, ..., np.arange(pick.size)].T)
    return found[0], found[1]


def sum_of(terms: Sequence[tuple[Law, Number]]) -> Law:
    """The terms as one law: sums among them opened, equal ones counted, shifts gathered, a single law left as it is.

    Semicircles are one semicircle, and free Poisson laws of the same jump one free Poisson law.
    """
    merged: dict[Law, Any] = {}
    shift: Any = 0
    stack = list(reversed(list(terms)))
    while stack:
        law, t = stack.pop()
        if isinstance(law, FreeSum):
            stack += [(inner, times * t) for inner, times in reversed(law.terms)]
        elif (place := constant(law)) is not None:
            shift = shift + place * t
        elif isinstance(law, Affine) and law.scale == 1:
            shift = shift + law.shift * t
            stack.append((law.law, t))
        else:
            merged[law] = merged.get(law, 0) + t
    if not merged:
        return point(shift)
    families: dict[Any, list[tuple[Law, Any]]] = {}
    for law, t in merged.items():
        families.setdefault(_family(law), []).append((law, t))
    gathered = [_sum_in_family(group) for group in families.values()]
    whole = gathered[0][0] if len(gathered) == 1 and gathered[0][1] == 1 else FreeSum(tuple(gathered))
    return whole if shift == 0 else Affine(whole, 1, shift)
