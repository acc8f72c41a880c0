"""Closed forms and moments of spectra of JJᵀ, each from its definition: oracles beside `reference`.

Conventions: laws of JJᵀ under the normalised trace; fan-in variances, Var W_ij = σ²/N_in; edges and densities of the
Bernoulli laws at σ_w² = 1/p, so that the mean is one.

Source: Marchenko and Pastur 1967; Penson and Życzkowski 2011 (Fuss-Catalan); Pennington, Schoenholz, Ganguli 2018
(arXiv 1802.09979) for the Bernoulli and smooth limits of great depth, with the real parametrisations of (★).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from mpmath import mp


def marchenko_pastur(lam: Any, ratio: Any, scale: Any = 1) -> Any:
    """Density of WWᵀ, W of size N_out×N_in, Var = scale/N_in, ratio = N_out/N_in; atom max(0, 1 − 1/ratio) at 0."""
    lam, c = mp.mpf(lam) / scale, mp.mpf(ratio)
    inside = ((1 + mp.sqrt(c)) ** 2 - lam) * (lam - (1 - mp.sqrt(c)) ** 2)
    return mp.sqrt(max(inside, mp.zero)) / (2 * mp.pi * c * lam * scale)


def fuss_catalan(angle: Any, depth: int) -> tuple[Any, Any]:
    """(λ, ρ) of a product of `depth` square Gaussians at 0 < angle < π/(depth + 1)."""
    s, wide, narrow = mp.sin(angle), mp.sin((depth + 1) * angle), mp.sin(depth * angle)
    return wide ** (depth + 1) / (s * narrow**depth), s**2 * narrow ** (depth - 1) / (mp.pi * wide**depth)


def fuss_catalan_edge(depth: int) -> Any:
    """λ_max = (L+1)^{L+1}/L^L."""
    return mp.mpf(depth + 1) ** (depth + 1) / mp.mpf(depth) ** depth


def fuss_catalan_moment(depth: int, k: int) -> int:
    """m_k = binom((L+1)k, k)/(Lk+1)."""
    return math.comb((depth + 1) * k, k) // (depth * k + 1)


def bernoulli_density(lam: Any, p: Any, weights: str, depth: int) -> Any:
    """Density for D² ∈ {0, 1}, P(1) = p, σ_w² = 1/p, from the roots w of a polynomial.

    S_{D²} = (1+w)/(p+w) turns (★) into λ p^L w = (1+w)(p+w)^L (Gaussian), λ p^L w(1+w)^{L−1} = (p+w)^L (orthogonal);
    of the roots above the axis, the one whose arguments sum to zero, not to a multiple of 2π.
    """
    with mp.workdps(4 * mp.dps):  # the expanded (p+w)^L is ill-conditioned near w = −p
        p, lam, more = mp.mpf(p), mp.mpf(lam), 1 if weights == "gaussian" else 1 - depth
        zero = [mp.zero] * (depth + 2)
        left, right = list(zero), [mp.binomial(depth, k) * p ** (depth - k) for k in range(depth + 1)] + [mp.zero]
        if weights == "gaussian":
            left[1] = lam * p**depth
            right = [x + y for x, y in zip(right, [mp.zero, *right], strict=False)]
        else:
            left[1 : depth + 1] = [lam * p**depth * mp.binomial(depth - 1, k) for k in range(depth)]
        coefficients = [x - y for x, y in zip(right, left, strict=True)][::-1]
        if weights == "orthogonal":
            coefficients = coefficients[1:]  # degree L, not L + 1
        for w in mp.polyroots(coefficients, maxsteps=500, extraprec=200):
            turn = mp.arg(w) - more * mp.arg(1 + w) - depth * mp.arg(p + w)
            if w.imag > mp.eps ** mp.mpf("0.25") and abs(turn) < mp.mpf("0.01"):
                return w.imag / (mp.pi * lam)
        return mp.zero


def bernoulli_edge(p: Any, weights: str, depth: int) -> Any:
    """λ_max of the bulk at σ_w² = 1/p; orthogonal needs L(1−p) > 1. From d log u/dw = 0."""
    p, n = mp.mpf(p), depth
    if weights == "orthogonal":
        return (1 - p) / p * mp.mpf(n) ** n / mp.mpf(n - 1) ** (n - 1)
    m = (-(n - 1) + mp.sqrt((n - 1) ** 2 + 4 * n * p)) / (2 * n)
    return (1 + m) / m * (1 + m / p) ** n


def bernoulli_atoms(p: Any, weights: str, depth: int) -> list[tuple[Any, Any]]:
    """(location, mass): 1 − p at 0; for orthogonal weights 1 − L(1−p) at p^{-L} if positive."""
    p, top = mp.mpf(p), 1 - depth * (1 - mp.mpf(p))
    return [(mp.zero, 1 - p)] + ([(p**-depth, top)] if weights == "orthogonal" and top > 0 else [])


def bernoulli_limit(theta: Any, t: Any) -> tuple[Any, Any]:
    """(λ, ρ) of S = exp(−t w/(1+w)), 0 < θ < π; atom 1 − t at e^t if t < 1; bulk [0, et]. Source: arXiv 1802.09979."""
    lam = t * mp.sin(theta) / theta * mp.exp(theta * mp.cot(theta))
    return lam, t * theta / (mp.pi * lam * ((t - theta * mp.cot(theta)) ** 2 + theta**2))


def smooth_limit(y: Any, sign: int, t: Any) -> tuple[Any, Any]:
    """(λ, ρ) of S = exp(−t w), w = −½ + x − iy, sign = ±1 that of x, 0 < y < y_max. Source: arXiv 1802.09979."""
    x = sign * mp.sqrt(max(mp.mpf("0.25") - y**2 + y * mp.cot(t * y), mp.zero))
    log_lam = mp.log(((x + 0.5) ** 2 + y**2) / ((x - 0.5) ** 2 + y**2)) / 2 + t * x - t / mp.mpf(2)
    return mp.exp(log_lam), y / (mp.pi * mp.exp(log_lam))


def smooth_limit_edges(t: Any) -> tuple[Any, Any]:
    """λ_min, λ_max of S = exp(−t w): e^{−σ_±²/2}(1 + σ_∓²/2), σ_±² = √t(√t ± √(t+4))."""
    t = mp.mpf(t)
    plus, minus = t + mp.sqrt(t * (t + 4)), t - mp.sqrt(t * (t + 4))
    return mp.exp(-plus / 2) * (1 + minus / 2), mp.exp(-minus / 2) * (1 + plus / 2)


def limit_moment(kind: str, n: int, t: Fraction) -> Fraction:
    """m_n of either limit: (1/n) Σ_k a_k (nt)^k/k!, a_k = n − k (Bernoulli) or binom(n, k+1) (smooth)."""
    weight = {"bernoulli": lambda k: n - k, "smooth": lambda k: math.comb(n, k + 1)}[kind]
    return sum((weight(k) * (n * t) ** k / Fraction(math.factorial(k)) for k in range(n)), Fraction(0)) / n


def _times(p: list, q: list) -> list:
    return [sum((p[i] * q[k - i] for i in range(k + 1)), 0 * p[0]) for k in range(len(p))]


def revert(p: list) -> list:
    """Coefficients r_1.. of the inverse of p_1 t + p_2 t² + …, by Lagrange: r_n = [t^{n−1}] (t/p(t))^n/n."""
    inverse = [1 / p[0]]
    for k in range(1, len(p)):
        inverse.append(-sum(p[i] * inverse[k - i] for i in range(1, k + 1)) / p[0])
    result, power = [], inverse
    for n in range(1, len(p) + 1):
        result.append(power[n - 1] / n)
        power = _times(power, inverse)
    return result


def moments(factors: Sequence[tuple], count: int, first: int = 1, last: int = 1) -> list:
    """m_1..m_count of JJᵀ from (★) as a power series in τ, exact if the numbers are Fractions.

    `factors`: per layer (μ_1..μ_count of D², weights, σ_w², repeat, fan_in, fan_out); first, last: N_0, N_L.
    """
    one = factors[0][0][0] / factors[0][0][0]

    def geometric(n: int) -> list:  # 1/(1 + τ/n)
        return [(-one / n) ** k for k in range(count)]

    series = [c / first for c in geometric(first)]  # u/τ so far
    for mu, weights, variance, repeat, fan_in, fan_out in factors:
        y = [c / (one * fan_out) ** (k + 1) for k, c in enumerate(revert(mu))]  # y_l/τ
        factor = [c * fan_in / variance for c in y]
        if weights == "orthogonal":
            factor = _times(factor, [one, one / max(fan_in, fan_out), *[0 * one] * (count - 2)][:count])
        for _ in range(repeat):
            series = _times(series, factor)
    return [c / last for c in revert(series)]
