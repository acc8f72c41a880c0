"""The equation whose root is the spectrum: log u as a function of ζ = w/(w + rank), w = ψ_{JJᵀ}(u).

log u = constant + log ζ + Σ_i e_i log(1 − d_i ζ) + Σ_k n_k log S_k,      S_k = v_k (1 + ψ_k(v_k))/ψ_k(v_k),
with 1 + ψ_k(v_k) = (1 − d_k ζ)/(1 − ζ) and all d in [0, 1].

Weight matrices, dimensions and projections are the (d_i, e_i); every other mean-one factor is a law known through
ψ_k, of multiplicity n_k.  `rank` is the mass of the law off zero, so that ζ runs from 0 (λ = ∞) to ∞ (λ = 0), through
1 where w passes a pole; both ends keep all digits.  All logarithms are principal.  A solution with Im ζ > 0, all
Im v_k > 0 and real left side is the right one, and the only one: the summed-argument condition (for two factors:
Belinschi and Bercovici, J. Anal. Math. 101 (2007); each further factor has arg S ≤ 0, so that it applies step by step).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from ._types import Array
from .compiled import CompiledEquation
from .effort import spend
from .laws.nodes import LawStack, NodeLaw
from .ratio import digits, gap, is_hidden, largest

# Where |ζ| and |ψ_k/v_k| are below this, ζ passes 0 between two poles of ψ_k.
CROSSING = 0.1


@dataclass(frozen=True)
class Factor:
    """A mean-one law without atom at zero, taken `count` times, seen through w_k = ratio·w.

    Laws of one `family` depend on a parameter, at `place` on its line; `thinned` where it stands for several of them.
    """

    law: NodeLaw
    ratio: float
    count: float
    family: Hashable = None
    place: float = 0.0
    thinned: bool = False


@dataclass(frozen=True)
class Point:
    """The equation at n trial points: ζ (n,), v (K, n).

    `log_u` is the right side; `slope` its derivative along the constraint, `bend` the second; `rates` and `curls` are
    dv_k/dζ, d²v_k/dζ² on it, `mismatch` = ψ_k(v_k) − (1 − d_k) ζ/(1 − ζ), `pull` ∂ log S_k/∂v_k,
    `steepness` ψ_k', all (K, n).
    """

    zeta: Array
    v: Array
    log_u: Array
    slope: Array
    bend: Array
    rates: Array
    curls: Array
    mismatch: Array
    pull: Array
    steepness: Array

    def put(self, which: Array, others: Point) -> None:
        """Write others in place of the points picked by a mask."""
        for f in fields(self):
            getattr(self, f.name)[..., which] = getattr(others, f.name)


def split_log(z: Array, *, branch: int) -> tuple[Array, Array, Array]:
    """log|z|, the angle from the nearer real half-axis, and the number of half turns to add (−1, 0 or 1).

    The angle keeps its relative accuracy beside the negative axis as well, which arg z itself cannot.  On the
    negative axis the limit is from above for branch = 1, from below for branch = −1.
    """
    x, y = z.real, z.imag
    left = x < 0
    if not left.any():
        return np.log(np.abs(z)), np.arctan2(y, x), np.zeros(z.shape)
    turns = np.where(left, np.where(y == 0, branch, np.sign(y)), 0.0)
    return np.log(np.abs(z)), np.arctan2(np.where(left, -y, y), np.abs(x)), turns


@dataclass(frozen=True)
class MasterEquation:
    """log u = constant + log w + Σ e_i log(1 + r_i w) + Σ n_k log S_k(r_k w), in the variable ζ.

    Parameters
    ----------
    shifts : pairs (r_i, e_i), r_i > 0.
    factors : the laws known through ψ, none with an atom at zero.
    constant : real; with every factor of mean one it is −log m_1.
    """

    shifts: tuple[tuple[float, float], ...]
    factors: tuple[Factor, ...] = ()
    constant: float = 0.0
    rank: float = field(init=False)
    lost: float = field(init=False)

    def __post_init__(self) -> None:
        merged: dict[tuple[float, float], tuple[float, float]] = {}
        for ratio, exponent in self.shifts:
            first, before = merged.setdefault(digits(ratio), (ratio, 0.0))
            merged[digits(ratio)] = first, before + exponent
        kept = [(r, e) for r, e in merged.values() if e != 0.0]
        top = largest([1.0, *(r for r, _ in kept), *(f.ratio for f in self.factors)])
        total = 1.0 + sum(e for _, e in kept)
        terms = sorted((d, e) for d, e in ((gap(r, top), e) for r, e in kept) if d > 0.0)
        if total:
            terms.append((np.longdouble(1.0), -total))
        put = object.__setattr__
        put(self, "shifts", tuple(sorted(kept)))
        put(self, "rank", 1.0 / top)
        put(self, "lost", float(gap(1.0, top)))
        put(self, "_top", top)
        put(self, "_d", np.array([d for d, _ in terms], float if self.factors else np.longdouble).reshape(-1, 1))
        put(self, "_e", np.array([e for _, e in terms]).reshape(-1, 1))
        put(self, "_omega", np.array([f.ratio / top for f in self.factors], float).reshape(-1, 1))
        put(self, "_gap", np.array([gap(f.ratio, top) for f in self.factors], float).reshape(-1, 1))
        put(self, "_n", np.array([f.count for f in self.factors], float).reshape(-1, 1))

    @cached_property
    def stack(self) -> LawStack:
        """All laws side by side; not every equation is evaluated."""
        return LawStack([factor.law for factor in self.factors])

    @cached_property
    def compiled(self) -> CompiledEquation | None:
        """The equation in compiled code, where there is any for so many laws."""
        if not CompiledEquation.fits(len(self.factors)):
            return None
        constant = self.constant + math.log(self.rank)
        return CompiledEquation(constant, *self.arrays, self.stack, self.counts, self.omegas, self.gaps)

    @cached_property
    def beside(self) -> dict[tuple[Any, ...], Any]:
        """What `spectra.pole` knows of the equation beside its poles, by the places of these, and of either side."""
        return {}

    @cached_property
    def terms(self) -> list[tuple[float, float]]:
        """Pairs (d_i, e_i) of the terms e_i log(1 − d_i ζ)."""
        return list(zip(self._d.ravel().tolist(), self._e.ravel().tolist(), strict=True))  # type: ignore[attr-defined]

    @property
    def arrays(self) -> tuple[Array, Array]:
        """The d_i and the e_i, each of shape (n, 1), in the arithmetic in use."""
        return self._d, self._e  # type: ignore[attr-defined]

    @property
    def hides_loss(self) -> bool:
        """Whether what some projection loses must be told from a ratio of widths."""
        return is_hidden((r for r, _ in self.shifts), self._top)  # type: ignore[attr-defined]

    @property
    def counts(self) -> Array:
        """Multiplicities n_k, (K, 1)."""
        return self._n  # type: ignore[attr-defined]

    @property
    def omegas(self) -> Array:
        """Ratios r_k·rank = 1 − d_k, (K, 1)."""
        return self._omega  # type: ignore[attr-defined]

    @property
    def gaps(self) -> Array:
        """All d_k, (K, 1), with the digits that 1 − ω_k may have lost."""
        return self._gap  # type: ignore[attr-defined]

    @property
    def is_explicit(self) -> bool:
        """No factor is known only through ψ: u is an elementary function of ζ, cheap in extended precision."""
        return not self.factors

    @property
    def is_algebraic(self) -> bool:
        """No law has a density of its own: none of the tails is exponentially thin."""
        return all(factor.law.cut_density is None for factor in self.factors)

    @property
    def precision(self) -> float:
        """Rounding unit of the arithmetic in use."""
        return float(np.finfo(np.longdouble if self.is_explicit else float).eps)

    def exact(self, x: float) -> np.floating:
        """A real number in the arithmetic in use."""
        return np.longdouble(x) if self.is_explicit else np.float64(x)

    def complex_type(self) -> type:
        """Complex type of the arithmetic in use: extended where nothing but logarithms is evaluated."""
        return np.clongdouble if self.is_explicit else np.complex128

    def moment_function(self, zeta: Array) -> Array:
        """W = ψ_{JJᵀ} = rank·ζ/(1 − ζ)."""
        return self.rank * zeta / (1.0 - zeta)

    def log_density(self, zeta: Array) -> Array:
        """Log of λρ(λ) = Im w/π, the density in log λ."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(self.rank / math.pi * zeta.imag) - 2.0 * np.log(np.abs(1.0 - zeta))

    def log_density_along(self, zeta: Array, step: Array) -> Array:
        """By how much `log_density` changes with a step in ζ, to first order."""
        return step.imag / zeta.imag + 2.0 * (step / (1.0 - zeta)).real

    def mass_above(self, zeta: Array, v: Array) -> Array:
        """P(λ > 1/u) at solutions on the real axis from above: Im ∫ w d log u/π, and every term has a primitive.

        It is −Im ∫ log(1 − uλ) dρ(λ)/π, whatever lies between λ = ∞ and here.
        """

        # The angle of 1 + r w = (1 − dζ)/(1 − ζ), which keeps its digits where w → −1/r.
        def angle(ratio: float) -> Array:
            return np.angle(1.0 - float(gap(ratio, self._top)) * zeta) - np.angle(1.0 - zeta)  # type: ignore[attr-defined]

        height = self.moment_function(zeta).imag
        total = height.copy()
        for ratio, exponent in self.shifts:
            total += exponent * (height - angle(ratio) / ratio)
        for factor, y in zip(self.factors, v, strict=True):
            # ∫ w d log S: with S = v(1 + ψ)/ψ and ψ(v) = w.
            logs = np.log(1.0 - y[:, None] * factor.law.points) @ factor.law.weights
            total -= factor.count / factor.ratio * (logs.imag + angle(factor.ratio))
        return (total / math.pi).astype(float)

    def log_share(self, zeta: Array) -> Array:
        """Log of the density in log λ given λ ≠ 0: what decides how much a point matters."""
        return self.log_density(zeta) - math.log(self.rank)

    def weight(self, zeta: Array) -> Array:
        """How much an error at a solution counts in the density, in [0, 1]: thin tails, by what they hold."""
        return np.minimum(30.0 * np.exp(np.minimum(self.log_share(zeta), 0.0)), 1.0) ** 1.5

    def target(self, zeta: Array) -> tuple[Array, Array]:
        """ψ_k and 1 + ψ_k demanded at ζ, (K, n)."""
        return self.omegas * zeta / (1.0 - zeta), self.gaps + self.omegas / (1.0 - zeta)

    def evaluate(self, zeta: Array, v: Array, *, curvature: bool = False, rough: bool = False) -> Point:
        """Everything that Newton's method, the continuation and the search for edges need at (ζ, v).

        `rough`: see `LawStack.evaluate`.
        """
        spend(self.stack.size * zeta.size, len(self.factors))
        if self.compiled is None or self.is_explicit:
            return self._evaluate(zeta, v, curvature=curvature, rough=rough)
        rows, done = self.compiled.evaluate(zeta, v, curvature=curvature, rough=rough)
        point = Point(zeta, v, *rows[:3], *rows[3:].reshape(5, len(v), zeta.size))
        if not done.all():
            point.put(~done, self._evaluate(zeta[~done], v[:, ~done], curvature=curvature, rough=rough))
        return point

    def _evaluate(self, zeta: Array, v: Array, *, curvature: bool, rough: bool) -> Point:
        d, e = self._d, self._e  # type: ignore[attr-defined]
        base = 1.0 - d * zeta
        ratio = d / base
        slope = 1.0 / zeta - _total(e, ratio)
        bend = -1.0 / zeta**2 - _total(e, ratio * ratio)
        modulus, angle, turns = split_log(zeta, branch=1)
        more_modulus, more_angle, more_turns = split_log(base, branch=-1)
        real = self.constant + math.log(self.rank) + modulus + _total(e, more_modulus)
        imag = angle + _total(e, more_angle)
        half_turns = turns + _total(e, more_turns)
        pi = np.arccos(self.exact(-1.0))
        if not self.factors:
            none = np.zeros((0, zeta.size), complex)
            log_u = real + 1j * (imag + pi * half_turns)
            return Point(zeta, v, log_u, slope, bend, none, none, none, none, none)
        psi, plus, excess, derivatives = self.stack.evaluate(v, 2 if curvature else 1, rough=rough)
        first = derivatives[0]
        n, omega = self.counts, self.omegas
        s_modulus, s_angle, s_turns = _log_s(v, psi, plus, excess)
        real = real + _total(n, s_modulus)
        imag = imag + _total(n, s_angle)
        half_turns = half_turns + _total(n, s_turns)
        away = 1.0 - zeta
        rates = omega / (away**2 * first)
        pull = 1.0 / v - first / (psi * plus)
        slope = slope + _total(n, pull * rates)
        curls = np.zeros_like(rates)
        if curvature:
            second = derivatives[1]
            curls = (2.0 * omega / away**3 - second * rates**2) / first
            tug = -1.0 / v**2 - second / (psi * plus) + first**2 * (psi + plus) / (psi * plus) ** 2
            bend = bend + _total(n, tug * rates**2 + pull * curls)
        log_u = real + 1j * (imag + pi * half_turns)
        through = (np.abs(zeta) < CROSSING) & np.all(np.abs(psi) < CROSSING * np.abs(v), axis=0)
        if through.any():
            through_zero = self._through_zero(zeta[through], v[:, through], rates[:, through], curls[:, through])
            log_u[through], slope[through], pull[:, through], bend_there = through_zero
            bend = np.where(through, 0.0, bend)
            bend[through] = bend_there
        # Of ψ and 1 + ψ the smaller has the more digits.
        psi_target, plus_target = self.target(zeta)
        mismatch = np.where(np.abs(plus_target) < 0.5, plus - plus_target, psi - psi_target)
        return Point(zeta, v, log_u, slope, bend, rates, curls, mismatch, pull, first)

    def _through_zero(self, zeta: Array, v: Array, rates: Array, curls: Array) -> tuple[Array, Array, Array, Array]:
        """Log u, its slope, ∂ log S_k/∂v_k and its bend where ζ passes 0 but no v_k does.

        There log ζ and log S_k are large and cancel; S_k = v_k (1 − d_k ζ)/((1 − d_k) ζ) leaves (1 − Σ n_k) log ζ.
        """
        n, omega, d, e = self.counts, self.omegas, self._d, self._e  # type: ignore[attr-defined]
        plain = 1.0 - float(n.sum())
        d_all, e_all = np.concatenate([d, self.gaps]), np.concatenate([e, n])
        base = 1.0 - d_all * zeta
        ratio = d_all / base
        relative = rates / v
        log_u = self.constant + math.log(self.rank) + _total(e_all, np.log(base)) + _total(n, np.log(v) - np.log(omega))
        slope = _total(n, relative) - _total(e_all, ratio)
        bend = _total(n, curls / v - relative**2) - _total(e_all, ratio**2)
        if plain:
            log_u, slope, bend = log_u + plain * np.log(zeta), slope + plain / zeta, bend - plain / zeta**2
        return log_u, slope, 1.0 / v, bend

    @property
    def single_factor(self) -> Factor | None:
        """The one law that this is the law of, up to scale and an atom at zero; None otherwise."""
        plain = self._d.size == 0 and len(self.factors) == 1  # type: ignore[attr-defined]
        one = plain and self.factors[0].count == 1.0 and self.omegas[0, 0] == 1.0
        return self.factors[0] if one else None

    def real_point(self, zeta: float, index: int, v_index: float) -> float | None:
        """Log u at real ζ left of all supports, with v_index known; None where another v_k has no real value."""
        v = (zeta * self.omegas / (1.0 - zeta * self.gaps)).ravel().astype(complex)
        v[index] = v_index
        here = np.array([zeta], complex)
        for _ in range(200):
            point = self.evaluate(here, v.reshape(-1, 1))
            step = -(point.mismatch / point.steepness)[:, 0]
            step[index] = 0.0
            if not np.all(np.isfinite(step)):
                return None
            tops = np.array([1.0 / f.law.largest for f in self.factors])
            # From below ψ_k is convex: a step may overshoot the end of its interval, never more than half the way.
            new = np.minimum((v + step).real, 0.5 * (v.real + tops))
            new[index] = v_index
            if np.all(np.abs(new - v) <= 1e-15 * np.abs(v)):
                break
            v = new.astype(complex)
        residual = np.abs(point.mismatch / (point.v * point.steepness))[:, 0]
        residual[index] = 0.0
        return float(point.log_u[0].real) if np.all(residual < 1e-9) else None

    def newton_step(self, point: Point, log_u: Array) -> tuple[Array, Array]:
        """Increments (dζ, dv) of Newton's method for the equation and its K constraints together."""
        miss = log_u - point.log_u
        if not self.factors:
            return miss / point.slope, point.v
        mend = point.mismatch / point.steepness
        step = (miss + _total(self.counts, point.pull * mend)) / point.slope
        return step, point.rates * step - mend


def _total(weights: Array, rows: Array) -> Array:
    """Σ weights_i rows_i; one row, the usual case, without the cost of a reduction."""
    if len(rows) == 1:
        return weights[0, 0] * rows[0]
    return (weights * rows).sum(0)


def _log_s(v: Array, psi: Array, plus: Array, excess: Array) -> tuple[Array, Array, Array]:
    """Log S = log(v(1 + ψ)/ψ) = log1p(−A/ψ), which keeps its digits when S is raised to a large power."""
    z = -excess / psi
    near = np.abs(z) < 0.3
    if not near.all():
        z = np.where(near, z, v * plus / psi - 1.0)
    x, y = z.real, z.imag
    modulus = 0.5 * np.log1p(2.0 * x + x * x + y * y)
    if not near.all():
        modulus = np.where(near, modulus, np.log(np.abs(v * plus / psi)))
    left = x < -1.0
    # arg S lies in (−π, 0]; on the negative axis the limit is −π.
    turns = np.where(left, np.where(y > 0, 1, -1), 0)
    return modulus, np.arctan2(np.where(left, -y, y), np.abs(1.0 + x)), turns


def combine(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    """Merge equal factors by adding their counts."""
    merged: dict[tuple[int, float], Factor] = {}
    for factor in factors:
        key = (id(factor.law), factor.ratio)
        merged[key] = replace(factor, count=merged[key].count + factor.count) if key in merged else factor
    return tuple(merged.values())
