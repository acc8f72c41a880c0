"""The two limits of great depth as laws: S = exp(−σ_0² w) and S = exp(−σ_0² w/(1 + w)), of mean 1 and variance σ_0²."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._types import Array
from ..line.assembly import Found
from ..line.law import LineLaw
from ..line.numbers import Number, exactly
from ..line.trace import FLAT, Trace, same_side
from ..spectrum import SingularValueLaw, Spectrum
from ..transforms import moments, s_transform, stieltjes
from .bernoulli_arc import BernoulliArc
from .smooth_arc import SmoothArc

if TYPE_CHECKING:
    from ..exact.power_series import Ring
    from ..law import Law


@dataclass(frozen=True)
class DeepLimit(LineLaw):
    """Law of JJᵀ of orthogonal nets on the edge of chaos, L → ∞ with σ_0² = L · Var fixed.

    Var = E φ'⁴/(E φ'²)² − 1 is what one layer adds to the relative variance of JJᵀ.  What survives of the activation is
    σ_0² and how φ'² gathers at its mean: in steps of 0 and 1 (`BernoulliLimit`), or ever closer (`SmoothLimit`).

    Parameters
    ----------
    variance : σ_0² > 0, the variance of the law; its mean is 1.
    """

    variance: Number

    def __post_init__(self) -> None:
        if not (math.isfinite(self.variance) and self.variance > 0):
            raise ValueError(
                f"`{type(self).__name__}(variance={self.variance})`: `variance` must be positive and finite; "
                "at 0 the limit is the point mass `Dirac(1)`."
            )

    @property
    def mean(self) -> float:
        """1."""
        return 1.0

    @property
    def unknowns(self) -> int:
        """One: w, or w/(1 + w)."""
        return 1

    @property
    def singular_values(self) -> SingularValueLaw:
        """Law of the singular values s = √λ."""
        return SingularValueLaw(self.spectrum())

    def spectrum(self) -> Spectrum:
        """Density, distribution function, quantiles, bulk and atom; computed once, by closed forms.

        Raises
        ------
        ConvergenceError : a root, when it is asked for, failed its certificate.
        """
        return self._spectrum

    @cached_property
    def _spectrum(self) -> Spectrum:
        arc = self._arc
        atoms = tuple((-math.log(place), mass) for place, mass in self.marks if mass > 0.0)
        log_support = arc.high, min([arc.low, *(u for u, _ in atoms)])
        return Spectrum((arc,), atoms, 0.0, log_support, self._log_moments, 0.0)

    @cached_property
    def _found(self) -> Found:
        return Found(self._spectrum, self._arc.residual, ())

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """m_n = (1/n) Σ_{k<n} a_k (n σ_0²)^k/k!, exactly."""
        t = exactly(self.variance)
        found = []
        for n in range(1, order + 1):
            term, total = Fraction(1), Fraction(0)
            for k in range(n):
                total += self._weight(n, k) * term
                term = term * n * t / (k + 1)
            found.append(ring.number(total / n))
        return found

    @staticmethod
    def _weight(n: int, k: int) -> int:
        """a_k."""
        raise NotImplementedError

    def _log_moments(self, order: int) -> Array:
        """Log m_n, n = 1 … order: a sum of positive terms."""
        log_t = math.log(self.variance)
        found = []
        for n in range(1, order + 1):
            k = range(n)
            terms = [math.log(self._weight(n, j)) + j * (math.log(n) + log_t) - math.lgamma(j + 1) for j in k]
            top = max(terms)
            found.append(top + math.log(math.fsum(math.exp(term - top) for term in terms) / n))
        return np.array(found)

    @cached_property
    def _arc(self) -> SmoothArc | BernoulliArc:
        raise NotImplementedError


@dataclass(frozen=True)
class SmoothLimit(DeepLimit):
    """S(w) = exp(−σ_0² w): the limit for activations that are smooth at 0, as erf, tanh, SiLU.

    With t = σ_0²: support [λ_min, λ_max] = e^{−t/2 ∓ (a + sinh a)}, cosh a = 1 + t/2; λ_min λ_max = e^{−t}; moments
    m_n = (1/n) Σ binom(n, k + 1) (nt)^k/k!; log λ is symmetric about −t/2.  In terms of B ∈ (0, π) and
    cosh A = cos B + (t/2) sin B/B: log λ = A + B sinh A/sin B − t/2 and λρ = B/(πt).

    S = exp(−c (1 + 2w)), the limit of residual nets with fresh masks, is this law with t = 2c times e^c.

    Parameters
    ----------
    variance : σ_0² > 0.

    Accuracy
    --------
    Edges and moments 1e-14 (of order 60 1e-12); density 1e-13 relative where that is more than 1e-19 over the distance
    to the edge; mass 1e-14 (tests/test_deep_limits.py).

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, eq. 36-38 (which names the edges the wrong way round); residual nets:
    Tarnowski, Warchoł, Jastrzębski, Tabor, Nowak, AISTATS 2019.

    Examples
    --------
    >>> low, high = SmoothLimit(0.25).spectrum().support()
    >>> print(f"{low:.9f} {high:.9f}")
    0.321318921 2.423762600
    """

    def trace(self, t: Array) -> Trace:
        """At η = w/(1 + w), which keeps the digits of 1 + w: z = e^{σ_0² w}/η, G = w e^{−σ_0² w}."""
        eta, n = t[0], float(self.variance)
        stretch = 1.0 / (1.0 - eta)
        w, dw = eta * stretch, stretch**2
        g = w * np.exp(-n * w)
        log_eta = np.log(eta)
        log_u = log_eta - n * w
        z = np.exp(-log_u)
        dz = z * (n * dw - 1.0 / eta)
        dg = (1.0 - n * w) * np.exp(-n * w) * dw
        sizes = np.abs(z) * (1.0 + np.abs(log_eta) + n * np.abs(w * stretch))
        return _trace(z, g, w, dz[None], dg[None], dw[None], log_u, sizes)

    def start(self, z: Array) -> Array:
        """W = 1/z."""
        return (1.0 / (1.0 + z))[None]

    @property
    def hull(self) -> tuple[float, float]:
        """The support."""
        return math.exp(-self._arc.high), math.exp(-self._arc.low)

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """None."""
        return ()

    @staticmethod
    def _weight(n: int, k: int) -> int:
        return math.comb(n, k + 1)

    @cached_property
    def _arc(self) -> SmoothArc:
        return SmoothArc(float(self.variance))


@dataclass(frozen=True)
class BernoulliLimit(DeepLimit):
    """S(w) = exp(−σ_0² w/(1 + w)): the limit for hard-tanh, shifted ReLU and all that is linear at 0 and flat beyond.

    With t = σ_0²: a bulk [0, e t] of mass min(1, t), and for t < 1 an atom of mass 1 − t at e^t; none at 0, where
    ρ ~ t/(λ log²λ); moments m_n = (1/n) Σ (n − k) (nt)^k/k!; λ = t (sin θ/θ) e^{θ cot θ} and
    λρ = tθ/(π ((t − θ cot θ)² + θ²)), 0 < θ < π; G(z) = t/(z (t + W(−t/z))), Lambert's W.

    Parameters
    ----------
    variance : σ_0² > 0.

    Accuracy
    --------
    Edges and moments 1e-14 (of order 60 1e-12); density 1e-13 relative where that is more than 1e-19 over the distance
    to the edge; mass 1e-14 (tests/test_deep_limits.py).

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, eq. 29-34 (which has an atom at 0 that nets of finite depth alone
    have, of mass σ_0²/L).

    Examples
    --------
    >>> law = BernoulliLimit(0.25).spectrum()
    >>> [(round(a, 9), round(b, 9)) for a, b in law.bulks], [(round(x.location, 9), x.mass) for x in law.atoms]
    ([(0.0, 0.679570457)], [(1.284025417, 0.75)])
    """

    def trace(self, t: Array) -> Trace:
        """At η = w/(1 + w): z = e^{σ_0² η}/η, G = η e^{−σ_0² η}/(1 − η)."""
        eta, n = t[0], float(self.variance)
        away = 1.0 - eta
        w, g = eta / away, eta * np.exp(-n * eta) / away
        log_eta = np.log(eta)
        log_u = log_eta - n * eta
        z = np.exp(-log_u)
        dz = z * (n - 1.0 / eta)
        dg = g * (1.0 / eta - n + 1.0 / away)
        sizes = np.abs(z) * (1.0 + np.abs(log_eta) + n * np.abs(eta))
        return _trace(z, g, w, dz[None], dg[None], (1.0 / away**2)[None], log_u, sizes)

    def start(self, z: Array) -> Array:
        """W = 1/z."""
        return (1.0 / (1.0 + z))[None]

    @property
    def hull(self) -> tuple[float, float]:
        """From 0 to the edge or the atom."""
        t = float(self.variance)
        return 0.0, math.e * t if t >= 1.0 else math.exp(t)

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """0, where the density diverges, and the atom."""
        t = float(self.variance)
        return ((0.0, 0.0), (math.exp(t), float(1 - self.variance))) if t < 1.0 else ((0.0, 0.0),)

    @staticmethod
    def _weight(n: int, k: int) -> int:
        return n - k

    @cached_property
    def _arc(self) -> BernoulliArc:
        return BernoulliArc(float(self.variance))


def joined(laws: Sequence[Law]) -> list[Law]:
    """The laws, those of one class multiplied: exp(−a w) exp(−b w) = exp(−(a + b) w)."""
    rest: list[Law] = [law for law in laws if not isinstance(law, DeepLimit)]
    for kind in (SmoothLimit, BernoulliLimit):
        variances = [law.variance for law in laws if isinstance(law, kind)]
        if variances:
            rest.append(kind(sum(variances)))
    return rest


def _trace(z: Array, g: Array, w: Array, dz: Array, dg: Array, dw: Array, log_u: Array, sizes: Array) -> Trace:
    """Without equations; valid where the sum of principal arguments is that of u = 1/z, and Im w on the side of u."""
    side = np.where(w.imag > 0.0, 1.0, -1.0)
    turn = side * log_u.imag
    # On the axis the logarithm of a negative number is the limit from above, whatever the side.
    turn = np.where(w.imag == 0.0, np.abs(turn), turn)
    relative = sizes / np.abs(z)
    valid = (turn >= -FLAT * relative) & (turn <= np.pi + FLAT * relative)
    valid &= same_side(-w, np.abs(w), z, sizes) & same_side(-g, np.abs(g) * relative, z, sizes)
    nothing = np.empty((0, z.size))
    return Trace(
        z, g, w, dz, dg, dw, nothing, np.empty((0, 1, z.size)), valid, ((-dw[None], dz),), sizes[None], np.abs(w)
    )


@s_transform.register
def _(law: SmoothLimit, w: ArrayLike) -> Array:
    return np.exp(-float(law.variance) * np.asarray(w))[()]


@s_transform.register
def _(law: BernoulliLimit, w: ArrayLike) -> Array:
    w = np.asarray(w)
    return np.exp(-float(law.variance) * w / (1.0 + w))[()]


@stieltjes.register
def _(law: DeepLimit, z: ArrayLike) -> Array:
    """On the bulk by closed forms, however near 0; elsewhere from the curve."""
    flat: Array = np.atleast_1d(np.asarray(z, complex)).ravel()
    real = (flat.imag == 0.0) & (flat.real > 0.0)
    u = -np.log(np.where(real, flat.real, 1.0).astype(np.longdouble))
    on_bulk = real & law._arc.holds(u)
    result = np.empty(flat.size, complex)
    result[on_bulk] = (1.0 + law._arc.moment_function(u[on_bulk]).conj()) / flat[on_bulk]
    if not on_bulk.all():
        result[~on_bulk] = stieltjes.dispatch(LineLaw)(law, flat[~on_bulk])
    return result.reshape(np.shape(z))[()]


@moments.register
def _(law: DeepLimit, order: int) -> Array:
    with np.errstate(over="ignore"):
        return np.exp(law._log_moments(order))
