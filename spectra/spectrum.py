"""The law of JJᵀ as one object: arcs, atoms, and everything that is asked of them.

Inside, the coordinate is U = −log λ, so that spectra over hundreds of decades neither overflow nor lose digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from ._types import Array
from .distribution import Atom, Distribution

# What `effective_support` leaves out at each end.
OUTSIDE = 5e-13
# U of a place that is known exactly is off by rounding alone, relative to 1 + |U|.
SAME = 2e-14


class ArcDensity(Protocol):
    """What the law asks of one arc of its continuous part (see `spectra.chart.Chart`)."""

    @property
    def low(self) -> float:
        """Smaller end in U."""
        ...

    @property
    def high(self) -> float:
        """Larger end in U."""
        ...

    @property
    def mass(self) -> float:
        """Mass of the arc."""
        ...

    def log_density(self, u: Array, correction: Array | float = 0.0) -> Array:
        """Log of the density in U."""
        ...

    def mass_beyond(self, u: Array) -> Array:
        """Mass at larger U, that is, smaller λ."""
        ...

    def invert(self, mass: Array) -> Array:
        """U beyond which `mass` lies."""
        ...

    def quadrature(self) -> tuple[Array, Array]:
        """Nodes U and weights."""
        ...


@dataclass(frozen=True, eq=False)
class Spectrum(Distribution):
    """Law of JJᵀ on [0, ∞).

    Parameters
    ----------
    arcs : continuous part, U increasing (λ decreasing).
    log_atoms : (U, mass) of the atoms off zero.
    atom_at_zero : mass at λ = 0.
    log_support : (U at λ_min, U at λ_max); U = inf for λ_min = 0.
    log_scaled_moments : order → log m_k/m_1^k, by the exact series.
    log_mean : log m_1.
    places : λ that are known exactly, as products of atoms: ends and atoms that are these but for rounding are these.

    Notes
    -----
    `pdf` is the density of the absolutely continuous part; `cdf` is right-continuous and counts the atoms.  Arrays of
    any shape in, arrays of that shape out; scalars for scalars; NaN in, NaN out.  λ and all its powers are without
    units: ratios of squared lengths.

    Accuracy
    --------
    1e-10 relative in the density 1 % off the edges, 1e-12 in edges and moments, 1e-10 in the mass, for laws that
    `predict` certifies (tests/test_golden.py, benchmarks/accuracy.py).
    """

    arcs: tuple[ArcDensity, ...]
    log_atoms: tuple[tuple[float, float], ...]
    atom_at_zero: float
    log_support: tuple[float, float]
    log_scaled_moments: Callable[[int], Array]
    log_mean: float
    places: tuple[float, ...] = ()

    # -- in U ---------------------------------------------------------------------------------------------------

    def log_density_at(self, u: Array, correction: Array | float = 0.0) -> Array:
        """Log of the density in U; −inf where there is none."""
        if not self.arcs:
            return np.full(u.shape, -np.inf)
        result = self.arcs[0].log_density(u, correction)
        for arc in self.arcs[1:]:
            other = arc.log_density(u, correction)
            # As a rule no two of them have a density at one place.
            apart = (result == -np.inf) | (other == -np.inf)
            result = np.maximum(result, other) if apart.all() else np.logaddexp(result, other)
        return result

    def mass_at_or_below(self, u: Array) -> Array:
        """P(λ ≤ e^{−u})."""
        return self.mass_of(u, [(place >= u, mass) for place, mass in self.log_atoms])

    def mass_of(self, u: Array, atoms: Sequence[tuple[Array, float]]) -> Array:
        """Mass of the continuous part at or below e^{−u}, of zero, and of the `atoms` (where they count, mass)."""
        result = np.full(u.shape, self.atom_at_zero)
        for arc in self.arcs:
            result = result + arc.mass_beyond(u)
        for counts, mass in atoms:
            result = result + np.where(counts, mass, 0.0)
        # By rounding the series may leave the range of a distribution function.
        top = self.log_support[1]
        return np.where(u < top - SAME * (1.0 + abs(top)), 1.0, np.clip(result, self.atom_at_zero, 1.0))

    @cached_property
    def _segments(self) -> list[tuple[ArcDensity | None, float, float, float]]:
        """In order of increasing λ: (arc, mass beyond its start, U of an atom, mass)."""
        segments: list[tuple[float, ArcDensity | None, float, float, float]] = []
        for arc in self.arcs:
            cuts = sorted({u for u, _ in self.log_atoms if arc.low < u < arc.high}, reverse=True)
            start = 0.0
            for u in cuts:
                mass = float(arc.mass_beyond(np.array([u]))[0])
                segments.append((u + 1e-300, arc, start, math.nan, mass - start))
                start = mass
            segments.append((arc.low, arc, start, math.nan, arc.mass - start))
        segments += [(u, None, 0.0, u, mass) for u, mass in self.log_atoms]
        # At equal U an atom comes after (at larger λ than) the arc that ends there from below.
        segments.sort(key=lambda s: (-s[0], s[1] is None))
        return [segment[1:] for segment in segments]

    def quantile_at(self, p: Array) -> Array:
        """U of the p-quantile; inf on the atom at zero."""
        shape, p = p.shape, p.ravel()
        result = np.full(p.shape, np.inf)
        if not self._segments:
            return result.reshape(shape)
        before = self.atom_at_zero
        remaining = p > before
        last = len(self._segments) - 1
        for k, (arc, start, place, mass) in enumerate(self._segments):
            here = remaining & ((p <= before + mass) | (k == last))
            if here.any():
                if arc is None:
                    result[here] = place
                else:
                    inside = np.clip(p[here] - before, 0.0, mass)
                    result[here] = arc.invert(start + inside)
            remaining &= ~here
            before += mass
        # What rounding leaves between the last node and an end of the support is nothing.
        result[p == 0.0], result[p == 1.0] = self.log_support
        result[~((p >= 0.0) & (p <= 1.0))] = np.nan
        return result.reshape(shape)

    # -- in λ ---------------------------------------------------------------------------------------------------

    def log_pdf(self, x: ArrayLike) -> Array:
        """Log of `pdf`."""
        at, u, correction = _logarithm(x)
        with np.errstate(invalid="ignore"):
            inside = np.where(at > 0.0, self.log_density_at(u, correction) + u, _nowhere(at, -np.inf))
        # Towards 0 the density in log λ goes like λ^−slope, ρ like λ^(−slope − 1).
        diverges = any(-1.0 < getattr(arc, "slope", -1.0) < 0.0 for arc in self.arcs)
        return np.where((at == 0.0) & diverges, np.inf, inside)[()]

    def pdf(self, x: ArrayLike) -> Array:
        """Density ρ(λ) of the absolutely continuous part; 0 off the bulks, exactly; inf at 0 where it diverges."""
        with np.errstate(over="ignore"):
            return np.exp(self.log_pdf(x))[()]

    def cdf(self, x: ArrayLike) -> Array:
        """P(λ ≤ x), atoms included."""
        at, u, _ = _logarithm(x)
        u = self._known_at(at, u, 1.0)
        # At an atom its location decides, as `atoms` and `icdf` give it: its logarithm is a rounding away.
        atoms = [(at >= self._at(place), mass) for place, mass in self.log_atoms]
        inside = np.where(at == 0.0, self.atom_at_zero, self.mass_of(u, atoms))
        return np.where(at >= 0.0, inside, _nowhere(at, 0.0))[()]

    def icdf(self, p: ArrayLike) -> Array:
        """Smallest λ with cdf(λ) ≥ p, λ_min for p = 0; nan for p outside [0, 1]."""
        return self.location(self.quantile_at(np.asarray(p, float)))[()]

    def moment(self, k: float) -> float:
        """m_k = ∫ λ^k dρ: by the exact series for integer k ≥ 1, by quadrature otherwise.

        Real k. For k < 0: inf where λ = 0 carries mass or ρ diverges there too fast; NaN where the law reaches 0
        otherwise (of order λ^−slope in log λ, or less), which quadrature does not follow. inf beyond the range of
        doubles. 1e-12 relative for integer k ≥ 1, otherwise as accurate as the density.
        """
        if k == 0:
            return 1.0
        with np.errstate(over="ignore"):
            if k > 0 and float(k).is_integer():
                return float(np.exp(k * self.log_mean + self.log_scaled_moments(int(k))[-1]))
            return float(np.exp(self.log_moment_by_quadrature(float(k))))

    def log_moment_by_quadrature(self, k: float) -> float:
        """Log ∫ λ^k dρ from the density and the atoms."""
        if k < 0 and (self.atom_at_zero > 0 or math.isinf(self.log_support[0])):
            slopes = [getattr(arc, "slope", 0.0) for arc in self.arcs]
            return math.inf if self.atom_at_zero > 0 or any(k <= slope < 0.0 for slope in slopes) else math.nan
        return float(self.log_moments_by_quadrature(np.array([k]))[0])

    def log_moments_by_quadrature(self, k: Array) -> Array:
        """Log ∫ λ^k dρ for every k (n,) for which it is finite."""
        rules = [arc.quadrature() for arc in self.arcs]
        if self.log_atoms:
            rules.append((np.array([u for u, _ in self.log_atoms]), np.array([mass for _, mass in self.log_atoms])))
        u, weights = (np.concatenate([rule[i] for rule in rules] or [np.empty(0)]) for i in (0, 1))
        good = weights > 0.0
        if not good.all():
            u, weights = u[good], weights[good]
        if not u.size:
            return np.full(k.shape, -np.inf)
        logs = np.log(weights) - np.multiply.outer(k, u)
        largest = logs.max(axis=1)
        return largest + np.log(np.exp(logs - largest[:, None]).sum(axis=1))

    def quadrature(self) -> tuple[Array, Array]:
        """Nodes λ and weights of the continuous part."""
        rules = [arc.quadrature() for arc in self.arcs]
        for arc in self.arcs:
            # What is left beyond an arc that fades stands where its mean is.
            slope, beyond = getattr(arc, "slope", 0.0), float(arc.mass_beyond(np.array([arc.high]))[0])
            if slope < 0.0 and beyond > 0.0:
                rules.append((np.array([arc.high - math.log(slope / (slope - 1.0))]), np.array([beyond])))
        u, weights = (np.concatenate([rule[k] for rule in rules] or [np.empty(0)]) for k in (0, 1))
        with np.errstate(over="ignore"):
            return np.exp(-u), weights

    @property
    def total_mass(self) -> float:
        """Sum of all parts; 1 up to the error of the density."""
        return self.atom_at_zero + math.fsum([a.mass for a in self.arcs] + [m for _, m in self.log_atoms])

    def support(self) -> tuple[float, float]:
        """Smallest interval that holds the whole law, atoms included."""
        low, high = self.log_support
        return self._at(low), self._at(high)

    @cached_property
    def _exact(self) -> tuple[tuple[float, float], ...]:
        """Pairs (U, λ) of atoms and ends whose λ is known exactly."""
        ends = {u for u, _ in self.log_atoms} | set(self.log_support) | {x for a in self.arcs for x in (a.low, a.high)}
        known = [(u, place) for u in ends for place in self.places if abs(u + math.log(place)) < SAME * (1.0 + abs(u))]
        return tuple(known)

    def location(self, u: Array, power: float = 1.0) -> Array:
        """λ^power at U, exact where it is an atom or an end that is known exactly."""
        with np.errstate(over="ignore"):
            result = np.exp(-power * u)
        for at, place in self._exact:
            result = np.where(u == at, place**power, result)
        return result

    def _known_at(self, x: Array, u: Array, power: float) -> Array:
        """U of λ^power = x: that of an atom or an end where x is one, as `location` gives it, not a rounding beside."""
        for at, place in self._exact:
            u = np.where(x == place**power, at, u)
        return u

    def _at(self, u: float) -> float:
        return float(self.location(np.array(u)))

    @cached_property
    def atoms(self) -> tuple[Atom, ...]:
        """Atoms in ascending order, the one at zero first."""
        zero = (Atom(0.0, self.atom_at_zero),) if self.atom_at_zero > 0 else ()
        return (*zero, *(Atom(self._at(u), mass) for u, mass in sorted(self.log_atoms, reverse=True)))

    @cached_property
    def bulks(self) -> tuple[tuple[float, float], ...]:
        """Intervals of the continuous part, ascending."""
        joined: list[list[float]] = []
        for arc in sorted(self.arcs, key=lambda a: a.low):
            until = getattr(arc, "until", math.inf)
            fades = getattr(arc, "slope", 0.0) < 0.0 or math.isfinite(until)
            reaches = min(until, self.log_support[0]) if fades else arc.high
            if joined and arc.low <= joined[-1][1]:
                joined[-1][1] = max(joined[-1][1], reaches)
            else:
                joined.append([arc.low, reaches])
        if joined:
            joined[0][0] = min(joined[0][0], self.log_support[1]) if not self.log_atoms else joined[0][0]
            if self.atom_at_zero == 0.0 and math.isinf(self.log_support[0]):
                # A tail too thin to be followed reaches 0.
                joined[-1][1] = math.inf
        return tuple((self._at(b), self._at(a)) for a, b in reversed(joined))

    @cached_property
    def effective_support(self) -> tuple[float, float]:
        """Interval with all but 1e-12 of the mass, half of the rest on each side."""
        low, high = self.quantile_at(np.array([OUTSIDE, 1.0 - OUTSIDE]))
        return self._at(float(low)), self._at(float(high))


@dataclass(frozen=True, eq=False)
class SingularValueLaw:
    """Law of the singular values s = √λ of J; the same names, shapes and accuracy as `Spectrum`, which it wraps.

    All N_L eigenvalues of JJᵀ count: where N_L > N_0, the zeros that J has not are in `atom_at_zero`.
    """

    spectrum: Spectrum

    def pdf(self, s: ArrayLike) -> Array:
        """2 s ρ(s²), the density of the absolutely continuous part; at 0 its limit, inf where it diverges."""
        at, u, correction = _logarithm(s)
        with np.errstate(over="ignore", invalid="ignore"):
            inside = np.where(at > 0, np.exp(self.log_pdf_at(u, correction)), _nowhere(at, 0.0))
        return np.where(at == 0, self._density_at_zero, inside)[()]

    @cached_property
    def _density_at_zero(self) -> float:
        """Lim pdf(s), s → 0: the density in log λ goes like λ^−slope, that of s like s^(−2 slope − 1)."""
        values = [0.0]
        for arc in self.spectrum.arcs:
            slope = getattr(arc, "slope", 0.0)
            if abs(slope + 0.5) < 1e-6:
                values.append(float(np.exp(self.log_pdf_at(np.array([0.5 * arc.high]))[0])))
            elif -0.5 < slope < 0.0:
                values.append(math.inf)
        return max(values)

    def log_pdf_at(self, u: Array, correction: Array | float = 0.0) -> Array:
        """Log pdf at s = e^{−u}."""
        return self.spectrum.log_density_at(2.0 * u, 2.0 * np.asarray(correction)) + math.log(2.0) + u

    def cdf(self, s: ArrayLike) -> Array:
        """P(singular value ≤ s)."""
        at, u, _ = _logarithm(s)
        u = self.spectrum._known_at(at, 2.0 * u, 0.5) / 2.0
        zero = self.spectrum.atom_at_zero
        atoms = [(at >= self._at(place), mass) for place, mass in self.spectrum.log_atoms]
        inside = np.where(at == 0, zero, self.spectrum.mass_of(2.0 * u, atoms))
        return np.where(at >= 0, inside, _nowhere(at, 0.0))[()]

    def icdf(self, p: ArrayLike) -> Array:
        """Smallest s with cdf(s) ≥ p; nan for p outside [0, 1]."""
        return self.spectrum.location(self.spectrum.quantile_at(np.asarray(p, float)), 0.5)[()]

    def _at(self, u: float) -> float:
        return float(self.spectrum.location(np.array(u), 0.5))

    def moment(self, k: float) -> float:
        """E s^k, real k: `Spectrum.moment(k/2)`, by the exact series where k is even and positive."""
        return self.spectrum.moment(0.5 * k)

    def support(self) -> tuple[float, float]:
        """Smallest interval with all singular values."""
        low, high = self.spectrum.log_support
        return self._at(low), self._at(high)

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """Atoms, ascending."""
        zero = (Atom(0.0, self.atom_at_zero),) if self.atom_at_zero > 0 else ()
        return (*zero, *(Atom(self._at(u), mass) for u, mass in sorted(self.spectrum.log_atoms, reverse=True)))

    @property
    def bulks(self) -> tuple[tuple[float, float], ...]:
        """Intervals of the continuous part, ascending."""
        return tuple((math.sqrt(a), math.sqrt(b)) for a, b in self.spectrum.bulks)

    @property
    def atom_at_zero(self) -> float:
        """Mass at s = 0."""
        return self.spectrum.atom_at_zero


def _logarithm(x: ArrayLike) -> tuple[Array, Array, Array]:
    """x, U = −log x in double, and what rounding took from U (for points very near an edge)."""
    x = np.asarray(x, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = -np.log(x.astype(np.longdouble))
        u = exact.astype(float)
        correction = np.where(np.isfinite(u), (exact - u).astype(float), 0.0)
    return x, np.where(x > 0, u, np.inf), correction


def _nowhere(at: Array, value: float) -> Array:
    """`value`, and NaN for NaN: what a function of a point is off [0, ∞)."""
    return np.where(np.isnan(at), np.nan, value)
