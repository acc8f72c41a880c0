"""The two laws of great depth: against their definition in mpmath, published numbers, and one route against another."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import closed_forms
import numpy as np
import pytest
from mpmath import mp
from scipy.integrate import quad
from scipy.special import lambertw

from spectra import (
    affine,
    free_cumulants,
    free_power,
    free_product,
    moments,
    parse_law,
    r_transform,
    s_transform,
    stieltjes,
)
from spectra.errors import ConfigError
from spectra.laws import MarchenkoPastur
from spectra.limits import BernoulliLimit, SmoothLimit
from spectra.line.assembly import spectrum_of
from spectra.line.products import Product, ProductPower

LIMITS = {"smooth": SmoothLimit, "bernoulli": BernoulliLimit}
VARIANCES = (1e-6, 1e-2, 0.25, 0.9999, 1.0, 1.5, 4.0, 40.0)


def log_s(kind: str, w: Any, t: Any) -> Any:
    """The definition: log S."""
    return -t * w if kind == "smooth" else -t * w / (1 + w)


def twin_density(kind: str, lam: float, t: float) -> float:
    """ρ(λ) from z = (1 + w)/(w S(w)) alone: w ~ 1/z far above the axis, followed straight down to it."""
    with mp.workdps(30):
        lam, t = mp.mpf(lam), mp.mpf(t)
        height, w = mp.mpf(40) * (1 + t), None
        while True:
            z = mp.mpc(lam, height)
            w = 1 / z if w is None else w
            for _ in range(60):
                value = mp.log(1 + w) - mp.log(w) - log_s(kind, w, t) - mp.log(z)
                slope = 1 / (1 + w) - 1 / w + (t if kind == "smooth" else t / (1 + w) ** 2)
                step = value / slope
                w = w - step
                if abs(step) < mp.mpf(10) ** -26 * abs(w):
                    break
            if height == 0:
                return float(-w.imag / (mp.pi * lam))
            height = height / 2 if height > mp.mpf(10) ** -3 * lam else mp.zero


@pytest.mark.parametrize(
    ("law", "what", "at", "value"),
    [
        (BernoulliLimit(0.25), "pdf", 0.6, 0.0952393375535659007),
        (BernoulliLimit(1), "pdf", 1.0, 0.188916176890824022),
        (SmoothLimit(1), "pdf", 0.2, 1.29453736939835113),
        (SmoothLimit(0.25), "moment", 5, 5.40836588541666667),
        (SmoothLimit(0.25), "moment", 6, 10.127734375),
        (SmoothLimit(1), "moment", 6, 230.8),
        (BernoulliLimit(2), "moment", 4, 44.3333333333333333),
    ],
    ids=str,
)
def test_golden_values(law: Any, what: str, at: float, value: float) -> None:
    assert getattr(law.spectrum(), what)(at) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("t", "end", "value"),
    [
        (0.5, 1, 3.2974425414002563),
        (1, 1, 4.8571781361967818),
        (4, 1, 13.3454339321245),
        (4, 0, 0.0013724273771754725),
        (0.25, 0, 0.32131892081),
        (0.25, 1, 2.42376260044),
    ],
)
def test_golden_edges_of_the_smooth_limit(t: float, end: int, value: float) -> None:
    assert SmoothLimit(t).spectrum().support()[end] == pytest.approx(value, rel=3e-12 if t == 0.25 else 3e-16)


def test_published_edges_of_singular_values() -> None:
    """Pennington, Schoenholz, Ganguli, figure 4, σ_0² = 1/4: 0.57 and 1.56; 0.82 and a peak at 1.13."""
    assert SmoothLimit(0.25).singular_values.support() == pytest.approx((0.566850, 1.556844), abs=1e-6)
    law = BernoulliLimit(0.25).singular_values
    assert law.bulks[0] == pytest.approx((0.0, math.sqrt(math.e) / 2), rel=1e-15)
    assert law.atoms[0].location == pytest.approx(math.exp(1 / 8), rel=1e-15)
    assert law.atoms[0].mass == 0.75


@pytest.mark.parametrize("kind", LIMITS)
@pytest.mark.parametrize("t", [1e-2, 0.25, 1.0, 4.0])
def test_density_is_that_of_the_definition(kind: str, t: float) -> None:
    law = LIMITS[kind](t).spectrum()
    low, high = law.bulks[0]
    for share in (0.02, 0.4, 0.98):
        lam = low + share * (high - low)
        # Inverse functions near a square-root edge: the rounding of λ itself over its distance.
        assert law.pdf(lam) == pytest.approx(twin_density(kind, lam, t), rel=2e-14 + 1e-15 / (high / lam - 1))


@pytest.mark.parametrize("t", VARIANCES)
def test_edges_are_critical_points(t: float) -> None:
    """D log z/dw = 0, by mpmath's root finder; w = −1/2 ± √(1/4 + 1/t), and 1/(t − 1)."""
    with mp.workdps(40):
        number = mp.mpf(t)
        found = []
        for w in (-0.5 - math.sqrt(0.25 + 1 / t), -0.5 + math.sqrt(0.25 + 1 / t)):
            root = mp.findroot(lambda w: 1 / (1 + w) - 1 / w + number, mp.mpf(w) * (1 + mp.mpf("1e-4")))
            found.append(-mp.log((1 + root) / root) - number * root)
        arc = SmoothLimit(t).spectrum().log_support
        assert arc[0] == pytest.approx(float(found[0]), rel=1e-15)
        assert arc[1] == pytest.approx(float(found[1]), rel=1e-15)
        bulk = BernoulliLimit(t).spectrum().bulks[0]
        assert bulk == (0.0, pytest.approx(math.e * t, rel=1e-15))


@pytest.mark.parametrize("kind", LIMITS)
@pytest.mark.parametrize("t", [Fraction(1, 4), Fraction(1), Fraction(7, 3)])
def test_moments_are_those_of_the_series(kind: str, t: Fraction) -> None:
    """The inverse series of u(w) = w S(w)/(1 + w), in fractions; and the density's own moments."""
    order = 8
    exponent = [Fraction(0)] + [-t * ((-1) ** (k - 1) if kind == "bernoulli" else int(k == 1)) for k in range(1, order)]
    s = [Fraction(1)]
    for k in range(1, order):
        s.append(sum((j * exponent[j] * s[k - j] for j in range(1, k + 1)), Fraction(0)) / k)
    u = [sum((s[j] * (-1) ** (k - j) for j in range(k + 1)), Fraction(0)) for k in range(order)]
    exact = closed_forms.revert(u)
    law = LIMITS[kind](t)
    from spectra.exact.power_series import fractions_of, rationals

    assert fractions_of(law.moment_list(rationals(), order)) == exact
    assert exact[1] - 1 == t
    assert moments(law, order) == pytest.approx([float(m) for m in exact], rel=1e-14)
    x, weights = law.spectrum().quadrature()
    atoms = law.spectrum().atoms
    for k, m in enumerate(exact[:6], 1):
        value = float(weights @ x**k) + sum(a.mass * a.location**k for a in atoms)
        assert value == pytest.approx(float(m), rel=3e-15 * (k + 2))


@pytest.mark.parametrize("kind", LIMITS)
def test_moments_of_high_order(kind: str) -> None:
    exact = closed_forms.limit_moment(kind, 60, Fraction(1, 2))
    assert LIMITS[kind](0.5).spectrum().moment(60) == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize("kind", LIMITS)
@pytest.mark.parametrize("t", [1e-8, *VARIANCES, 1e3, 1e6])
def test_mass_and_variance_at_any_spread(kind: str, t: float) -> None:
    law = LIMITS[kind](t)
    found = law.spectrum()
    assert law.residual < 1e-15
    assert found.total_mass == pytest.approx(1.0, abs=1e-15)
    x, weights = found.quadrature()
    for k, m in ((0, 1.0), (1, 1.0), (2, 1.0 + t)):
        value = float(weights @ x**k) + sum(a.mass * a.location**k for a in found.atoms)
        # log λ + t/2 is of size t, in extended precision.
        assert value == pytest.approx(m, rel=1e-13 + 1e-18 * t)


@pytest.mark.parametrize("kind", LIMITS)
@pytest.mark.parametrize("t", [1e-2, 0.25, 1.0, 4.0, 40.0])
def test_distribution_function_is_the_integral_of_the_density(kind: str, t: float) -> None:
    found = LIMITS[kind](t).spectrum()
    mass = min(t, 1.0) if kind == "bernoulli" else 1.0
    # Of the Bernoulli class at 40 the rest is below the range of doubles.
    start = 0.7 if kind == "bernoulli" and t > 10 else 0.2
    p = mass * np.array([start, 0.75, 0.9, 0.999])
    lam = found.icdf(p)
    assert found.cdf(lam) == pytest.approx(p, rel=1e-11)
    for a, b, expected in zip(np.log(lam), np.log(lam[1:]), np.diff(p), strict=False):
        value = quad(lambda v: found.pdf(math.exp(v)) * math.exp(v), a, b, epsabs=0.0, epsrel=1e-11, limit=200)[0]
        assert value == pytest.approx(expected, rel=1e-9)


def test_quantiles_at_the_ends() -> None:
    for law in (SmoothLimit(0.25).spectrum(), BernoulliLimit(0.25).spectrum(), BernoulliLimit(3).spectrum()):
        assert tuple(law.icdf([0.0, 1.0])) == law.support()
        assert law.cdf(law.support()[1]) == 1.0
        assert law.cdf(0.999 * law.bulks[0][0] if law.bulks[0][0] else -1.0) == 0.0
        assert law.pdf(1.0001 * law.bulks[0][1]) == 0.0
        assert np.isnan(law.icdf(1.5))
    assert BernoulliLimit(0.25).spectrum().icdf([0.26, 0.9]) == pytest.approx(math.exp(0.25), rel=1e-15)


@pytest.mark.parametrize("t", [1e-6, 0.25, 4.0, 300.0])
def test_small_tails_of_the_smooth_limit(t: float) -> None:
    """The law of log λ + t/2 is symmetric, and tails keep their digits, λ_max too; median e^{−t/2}."""
    found = SmoothLimit(t).spectrum()
    p = np.array([1e-13, 1e-6, 0.1, 0.4])
    low, high = (found.quantile_at(x) for x in (p, 1 - p))
    # 1 − p is rounded to 1e-16.
    assert low - t / 2 == pytest.approx(t / 2 - high, rel=1e-14 + 3e-17 / p[0])
    assert found.quantile_at(np.array(0.5)) == pytest.approx(t / 2, abs=1e-15 * math.sqrt(t) + 1e-16 * t)
    assert found.mass_at_or_below(low[1:]) == pytest.approx(p[1:], rel=1e-8)


@pytest.mark.parametrize("t", [0.25, 1.0, 3.0])
def test_bernoulli_limit_by_lamberts_function(t: float) -> None:
    """G(z) = t/(z (t + W(−t/z))): Pennington, Schoenholz, Ganguli, eq. 30."""
    law = BernoulliLimit(t)
    z = np.array([0.3 + 0.2j, -1.0 + 0.1j, 2.0 + 1e-3j, 9.0 + 4.0j])
    assert stieltjes(law, z) == pytest.approx(t / (z * (t + lambertw(-t / z))), rel=1e-12)
    lam = math.e * t * np.array([1e-250, 1e-9, 0.2, 0.9])
    g = t / (lam * (t + lambertw(-t / lam)))
    # Lambert's function has its imaginary part to 1e-16 absolutely.
    assert law.spectrum().pdf(lam) == pytest.approx(np.abs(g.imag) / math.pi, rel=1e-12)


def test_bernoulli_limit_at_zero() -> None:
    """ρ ~ t/(λ log²λ): the mass below λ is about t/|log λ|, no atom; exactly π − θ − (1 − t) γ."""
    law = BernoulliLimit(0.5)
    found = law.spectrum()
    assert found.atom_at_zero == 0.0
    assert found.pdf(0.0) == math.inf
    assert law.singular_values.pdf(0.0) == math.inf
    assert found.moment(-1) == math.inf
    for lam in (1e-4, 1e-300):
        with mp.workdps(30):
            w = lambertw(-0.5 / lam)  # a start
            root = mp.findroot(
                lambda v, lam=lam: v + mp.log(v) - mp.log(mp.mpf(0.5) / lam) + 1j * mp.pi, mp.mpc(w.real, -w.imag)
            )
            theta = -root.imag
            below = (mp.pi - theta - mp.mpf("0.5") * mp.atan2(theta, mp.mpf("0.5") - theta * mp.cot(theta))) / mp.pi
        assert found.cdf(lam) == pytest.approx(float(below), rel=1e-13)
    assert found.cdf(1e-300) == pytest.approx(0.5 / 700, rel=0.03)
    # Far beyond the range of doubles, in the logarithm.
    assert found.mass_at_or_below(np.array([1e12])) == pytest.approx(0.5e-12, rel=1e-10)


@pytest.mark.parametrize("t", [1 - 1e-7, 1.0, 1 + 1e-7])
def test_where_the_atom_meets_the_bulk(t: float) -> None:
    """At σ_0² = 1 the mass above is θ/π, and the edge is one of density (e − λ)^{−1/2}."""
    found = BernoulliLimit(t).spectrum()
    theta = np.array([1e-2, 1.0, 3.0])
    lam = t * np.sin(theta) / theta * np.exp(theta / np.tan(theta))
    # What one in 1e7 of t changes is below 1e-5 there.
    assert found.cdf(lam) == pytest.approx(1 - theta / math.pi, rel=1e-9 if t == 1 else 1e-4)
    assert [a.mass for a in found.atoms] == ([pytest.approx(1 - t, rel=1e-8)] if t < 1 else [])


def test_transform_on_the_bulk_at_any_size() -> None:
    """G on the axis, from above: where λ is small beyond all that a grid in z would reach, too."""
    lam = math.e * 3 * np.array([1e-290, 1e-9, 0.3])
    g = stieltjes(BernoulliLimit(3), lam)
    lambert = 3 / (lam * (3 + lambertw(-3 / lam)))
    assert g.real == pytest.approx(lambert.real, rel=1e-12)
    assert g.imag == pytest.approx(-np.abs(lambert.imag), rel=1e-12)
    lam = SmoothLimit(60).spectrum().icdf([0.01, 0.5, 0.99])
    w = lam * stieltjes(SmoothLimit(60), lam) - 1
    assert (1 + w) / w * np.exp(60 * w) == pytest.approx(lam, rel=1e-11)
    assert w.imag == pytest.approx(-math.pi * lam * SmoothLimit(60).spectrum().pdf(lam), rel=1e-12)
    # Both routes, side by side.
    z = np.array([[0.7, 3.0], [0.7 + 1e-9j, -1.0]])
    both = stieltjes(SmoothLimit(0.25), z)
    assert both.shape == (2, 2)
    assert both[0, 0] == pytest.approx(both[1, 0], rel=1e-7)


@pytest.mark.parametrize("kind", LIMITS)
def test_transforms(kind: str) -> None:
    law = LIMITS[kind](0.25)
    w = np.array([-0.3, 0.2, 0.1 + 0.4j])
    assert s_transform(law, w) == pytest.approx(np.exp(log_s(kind, w, 0.25)), rel=1e-14)
    g = np.array([-0.2, 0.1, 0.2 + 0.1j])
    r = r_transform(law, g)
    # w = g R(g) solves w S(w) = g.
    assert g * r * s_transform(law, g * r) == pytest.approx(g, rel=1e-11)
    assert free_cumulants(law, 3) == pytest.approx([1.0, 0.25, 3 / 32 if kind == "smooth" else -5 / 32], rel=1e-15)
    z = np.array([-0.5 + 0.0j, 0.5 + 0.3j, 0.5 - 0.3j, 3.0 + 0.0j])
    x, weights = law.spectrum().quadrature()
    direct = (weights / (z[:, None] - x)).sum(axis=1) + sum(a.mass / (z - a.location) for a in law.spectrum().atoms)
    assert stieltjes(law, z) == pytest.approx(direct, rel=1e-7)


def test_the_curve_engine_finds_the_same_law() -> None:
    law = SmoothLimit(0.25)
    found = law.spectrum()
    other = spectrum_of(law, logarithmic=True).spectrum
    assert other.bulks[0] == pytest.approx(found.bulks[0], rel=1e-13)
    x = np.linspace(0.35, 2.4, 20)
    assert other.pdf(x) == pytest.approx(found.pdf(x), rel=1e-11)
    assert other.cdf(x) == pytest.approx(found.cdf(x), rel=1e-10)


def test_spreads_add_under_free_multiplication() -> None:
    x = np.linspace(0.3, 2.0, 9)
    whole = SmoothLimit(0.5).spectrum()
    for law in (Product(SmoothLimit(0.2), SmoothLimit(0.3)), ProductPower(SmoothLimit(0.25), 2)):
        assert law.spectrum().pdf(x) == pytest.approx(whole.pdf(x), rel=1e-11)
    for kind in LIMITS.values():
        assert free_product(kind(Fraction(1, 5)), kind(Fraction(3, 10))) == kind(Fraction(1, 2))
        assert free_power(kind(0.25), 2) == kind(0.5)
    both = free_product(SmoothLimit(0.25), BernoulliLimit(0.25), SmoothLimit(0.5))
    assert s_transform(both, 0.5) == pytest.approx(math.exp(-0.75 * 0.5 - 0.25 / 3), rel=1e-12)
    product = free_product(SmoothLimit(0.25), MarchenkoPastur(0.5))
    assert moments(product, 3) == pytest.approx([1.0, 1.75, 127 / 32], rel=1e-13)
    assert product.spectrum().total_mass == pytest.approx(1.0, abs=1e-11)


@pytest.mark.parametrize(("c", "top"), [(0.125, 2.74648284), (0.5, 8.00813291), (1.0, 21.09442325), (2.0, 98.61015999)])
def test_residual_nets_have_the_smooth_limit(c: float, top: float) -> None:
    """S = exp(−c (1 + 2w)): support [1/λ_+, λ_+], λ_+ = (1 + c + r) e^r, r = √(c (c + 2)); numbers: factsheet D.3."""
    low, high = affine(SmoothLimit(2 * c), math.exp(c)).spectrum().support()
    assert high == pytest.approx(top, rel=1e-9)
    assert low * high == pytest.approx(1.0, rel=1e-14)
    r = math.sqrt(c * (c + 2))
    assert high == pytest.approx((1 + c + r) * math.exp(r), rel=1e-14)


@pytest.mark.parametrize("kind", LIMITS)
@pytest.mark.parametrize("t", [0.0, -1.0, math.inf, math.nan])
def test_impossible_spreads_are_refused(kind: str, t: float) -> None:
    with pytest.raises(ValueError, match=r"`variance` must be positive and finite; at 0 the limit is the point mass"):
        LIMITS[kind](t)


def test_other_sheets_are_not_valid() -> None:
    """Solutions of z = ((1 + w)/w) e^{tw} on other sheets of the logarithm have Im w < 0 as well."""
    law, z = SmoothLimit(4), 0.5 + 0.1j
    right = -np.log(z)
    found = []
    for turns in (0, 1, 2):
        with mp.workdps(20):
            goal = mp.mpc(right) + 2j * mp.pi * turns
            start = mp.mpc(0, -0.4 - math.pi * turns / 2)
            w = mp.findroot(lambda w, goal=goal: mp.log(w / (1 + w)) - 4 * w - goal, start)
        trace = law.trace(np.array([[complex(w / (1 + w))]]))
        assert trace.z[0] == pytest.approx(z, rel=1e-12)
        assert w.imag < 0
        found.append(bool(trace.valid[0]))
    assert found == [True, False, False]


def test_limits_have_names_in_expressions() -> None:
    assert parse_law("smooth_limit(1/4)") == SmoothLimit(Fraction(1, 4))
    assert parse_law("bernoulli_limit(1/10)^2") == BernoulliLimit(Fraction(1, 5))
    with pytest.raises(ConfigError, match=r"`variance` must be positive"):
        parse_law("smooth_limit(0)")


def test_picture_on_a_logarithmic_axis_shows_the_peak() -> None:
    from spectra.plot import law_figure

    axes = law_figure(BernoulliLimit(0.25).spectrum(), "").axes[0]
    assert axes.get_xscale() == "log"
    assert axes.get_ylim()[1] > max(np.nanmax(np.asarray(line.get_ydata(), float)) for line in axes.lines[:1])
