"""Densities and edges where next to nothing of a law is left: to their own digits, by routes that have all of them."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from balls import Balls
from networks import equation_of, layer

from spectra import Network, predict
from spectra.chart import Chart
from spectra.continuation import locate
from spectra.guess import Guess
from spectra.network.jacobian import jacobian_equation
from spectra.solve import _solve, improve, solve
from spectra.survey import survey

# Activation, weights, depth, q*, λ: within some per cent of an edge, or far out in a tail, densities of e^-12 to e^-21.
# Where the Gaussian had faded to e^-20 panels were as coarse as that, and the top of φ'² is made there; Newton's method
# stopped at residuals that say nothing of so small an imaginary part: off by 1e-10 … 5e-7, and certified.
CASES = [
    ("hardswish", "orthogonal", 7, 0.27685612869433673, 11.4677),
    ("hardswish", "orthogonal", 7, 0.27685612869433673, 11.7041),
    ("hardswish", "gaussian", 4, 0.125, 14.7458),
    ("silu", "orthogonal", 4, 0.10666666666666666, 6.1728),
    ("silu", "orthogonal", 3, 0.10666666666666666, 5.4731),
    ("gelu", "orthogonal", 3, 0.04, 5.594),
    ("mish", "orthogonal", 3, 0.04667, 3.7811),
    ("tanh", "orthogonal", 16, 0.001, 0.915132),
    ("erf", "orthogonal", 500, 1.035e-4, 0.98810),
]


@pytest.mark.parametrize(("name", "weights", "depth", "q", "place"), CASES)
def test_a_thin_density_has_its_own_digits(name: str, weights: str, depth: int, q: float, place: float) -> None:
    found = predict(Network(activation=name, weights=weights, depth=depth, sigma_w="critical", q_star=q))
    assert found.checks.certified
    start = locate(jacobian_equation(found.mean_field), np.array([-np.log(place)])).v[0, 0]
    expected = Balls(name, q).log_density(depth, weights, place, complex(start))
    assert -21.0 < expected < -9.0
    # 1e-10 is asked of the interior, 1e-9 within some per cent of an edge; 3e-10 holds in both.
    assert float(found.spectrum.log_pdf(place) + np.log(place)) == pytest.approx(expected, abs=3e-10)


def test_beyond_what_doubles_can_tell_a_tail_holds_what_its_slope_says() -> None:
    """Where log p falls ever more steeply, as here, ∫_a^∞ p dU < p(a)/rate with the rate before a.

    A series through rounding, from densities of e^-37 on, ended now and then in a tail of mass 1e-12.
    """
    for k in range(60):
        q = 0.0431187 * (1.0 + 1e-8 * k)
        law = predict(Network(activation="tanh", weights="orthogonal", depth=20, sigma_w="critical", q_star=q)).spectrum
        before, here = (float(law.log_pdf(math.exp(-u))) - u for u in (4.6, 4.8))
        assert -37.0 < here < before - 2.0
        bound = math.exp(here) * 0.2 / (before - here)
        assert 0.8 * bound < float(law.cdf(math.exp(-4.8))) < bound


@pytest.mark.parametrize("way", ["compiled", "arrays"])
@pytest.mark.parametrize(("name", "depth", "q"), [("tanh", 20, 0.04), ("gelu", 3, 0.04)])
def test_an_imaginary_part_is_mended_where_the_residual_says_nothing_of_it(
    name: str, depth: int, q: float, way: str
) -> None:
    """From roots but for imaginary parts, off by 3e-5 of them: far below the residual at which to stop."""
    equation = equation_of([layer(name, q, "orthogonal", depth)], level=2)
    arc = survey(equation).arcs[0]
    u = np.linspace(float(arc.log_u[1]), float(arc.log_u[-2]), 800)
    guess = Guess(arc, float(arc.low_u), float(arc.log_u[-1]), True, False)
    roots = solve(equation, u, *guess(u), max_steps=16, rough_steps=2)
    zeta, v = roots.zeta, roots.v
    for _ in range(4):
        _, zeta, v, _ = improve(equation, zeta, v, u)
    log_p = equation.log_density(zeta)
    thin = roots.certified & (log_p < -16.0) & (log_p > -21.0)
    assert thin.sum() > 50
    zeta, v, u, log_p = zeta[thin], v[:, thin], u[thin], log_p[thin]
    start = zeta.real + 1.00003j * zeta.imag, v.real + 1.00003j * v.imag
    if way == "compiled":
        again = solve(equation, u, *start, max_steps=16, tolerance=1e-12)
    else:
        again = _solve(equation, u, *start, 16, 1e-12, 0)
    assert again.certified.all()
    # Newton's method squares 3e-5, the rounding of the imaginary parts is less.
    assert np.max(np.abs(equation.log_density(again.zeta) - log_p)) < 1e-9


@pytest.mark.parametrize("depth", [2, 20, 76, 300])
def test_the_slope_of_a_power_law_is_told_from_rounding(depth: int) -> None:
    """Towards λ = 0 the density in log λ goes like λ^(1/(L + 1)), of Gaussian layers whose slopes have no mass at 0.

    A mass beyond the series of 1e-12, known to 1e-14, made half a per cent of it.
    """
    law = predict(Network(activation="sin", weights="gaussian", depth=depth, sigma_w="critical", q_star=0.04)).spectrum
    # Where the power holds to 1e-4, and far beyond what the series cover.
    at = law.quantile_at(np.array([1e-7, 1e-13]))
    assert 1e6 ** (1.0 / (at[1] - at[0])) == pytest.approx(math.exp(1.0 / (depth + 1)), rel=1e-4 / depth)


@pytest.mark.parametrize(
    ("name", "depth", "q", "least"),
    [("mish", 76, 3.223e-6, 0.114), ("erf", 28, 1.339e-5, 1.9e-3), ("sin", 5, 3e-6, 2.7e-4)],
)
def test_rounding_beside_a_narrow_bulk_has_no_mass(name: str, depth: int, q: float, least: float) -> None:
    """Where the tail has fallen to e^-30 of the peak, pieces that show rounding alone, and a slope from these."""
    net = Network(activation=name, weights="orthogonal", depth=depth, sigma_w="critical", q_star=q, input_variance=q)
    found = predict(net)
    assert found.checks.certified
    assert float(found.spectrum.cdf(math.exp(-least))) < 1e-12


# φ' = 0 on next to none of the units: all there is off one point hangs on 1 − p, which p has rounded.
@pytest.mark.parametrize(
    ("name", "kink", "q", "depth"),
    [
        ("hardtanh", 1.0, 0.03, 20),
        ("hardtanh", 1.0, 0.0446, 10),
        ("hardtanh", 1.0, 0.2, 2),
        ("shifted_relu", 0.5, 0.01071, 8),
    ],
)
def test_what_hangs_on_the_few_units_that_are_lost(name: str, kink: float, q: float, depth: int) -> None:
    """The law of a product of `depth` free projections, ((1 − p)/p) L^L/(L − 1)^(L − 1) wide: THEORY, hard tanh."""
    found = predict(Network(activation=name, weights="orthogonal", depth=depth, sigma_w="critical", q_star=q)).spectrum
    with mpmath.workdps(40):
        tails = 2 if name == "hardtanh" else 1
        lost = tails * mpmath.erfc(kink / mpmath.sqrt(2 * mpmath.mpf(q))) / 2
        rank = 1 - lost
        edge = lost / rank * mpmath.mpf(depth) ** depth / mpmath.mpf(depth - 1) ** (depth - 1)
        assert found.atom_at_zero == pytest.approx(float(lost), rel=1e-13)
        assert found.bulks[0][1] == pytest.approx(float(edge), rel=1e-13)
        for share in (0.01, 0.5, 0.99):
            place = share * edge
            # λ = (1 + w)/(w S), S = ((1 + w)/(1 + w/p))^L, is of degree L in x = (1 + w)/(1 − p).
            tilted = place * rank**depth
            terms = [lost * (-1) ** (depth - k) * mpmath.binomial(depth, k) for k in range(depth + 1)]
            terms[depth] -= lost * tilted
            terms[depth - 1] += tilted
            roots = mpmath.polyroots(terms[::-1], maxsteps=500, extraprec=400)
            upper = [x for x in roots if x.imag > 1e-20 and abs(_angle(x, lost, rank, depth)) < 1e-20]
            assert len(upper) == 1
            expected = lost * upper[0].imag / mpmath.pi
            assert float(found.pdf(float(place)) * place) == pytest.approx(float(expected), rel=1e-11)


def _angle(x: Any, lost: Any, rank: Any, depth: int) -> Any:
    """The sum of principal arguments that is 0 at the right root."""
    w = lost * x - 1
    return depth * mpmath.arg((1 + w) / (1 + w / rank)) + mpmath.arg(w) - mpmath.arg(1 + w)


def test_what_is_lost_beside_a_width_that_grows() -> None:
    """A projection of rank p and one of rank 1/2: λ = (1 ± 2 √(p(1 − p)))/p, with doubles wrong from 1 − p = 1e-8 on.

    Eigenvalues of two free projections: Voiculescu, Dykema, Nica, Free Random Variables (1992), section 3.6.
    """
    for q, is_certified in ((0.05, True), (0.02, False)):
        layer = {"activation": "hardtanh", "weights": "orthogonal", "sigma_w": "critical", "q_star": q, "width": 200}
        found = predict(Network(layers=[layer], input_width=100))
        assert found.checks.certified is is_certified
        with mpmath.workdps(40):
            lost = mpmath.erfc(1 / mpmath.sqrt(2 * mpmath.mpf(q)))
            rank, half = 1 - lost, 2 * mpmath.sqrt(lost * (1 - lost))
            ends = [float((1 + sign * half) / rank) for sign in (-1, 1)]
        if is_certified:
            assert found.spectrum.bulks[0] == pytest.approx(ends, rel=2e-14)
        else:
            # 1.5e-12 of the units, beside 2: what they do is below the rounding of long doubles, and that is said.
            assert any("widths that grow" in note for note in found.checks.notes)
        assert found.spectrum.bulks[0][1] == pytest.approx(ends[1], rel=1e-12)


# Gaussian mass beyond 6 to 7.6 σ makes the top of φ'²: the edge lies within 1e-12 to 1e-7 of where λ would end without
# that, and coarse laws of D² have none there; the beginning of the cut was taken for it: off by 2e-11 … 9e-7.
@pytest.mark.parametrize(
    ("name", "q", "depth"),
    [
        ("hardswish", 0.15, 5),
        ("hardswish", 0.17, 2),
        ("hardswish", 0.18, 2),
        ("hardswish", 0.18, 3),
        ("gelu", 0.0343, 2),
        ("gelu", 0.036, 5),
    ],
)
def test_an_edge_at_the_very_end_of_a_law(name: str, q: float, depth: int) -> None:
    found = predict(Network(depth=depth, activation=name, weights="orthogonal", sigma_w="critical", q_star=q))
    expected = _top(name, q, depth)
    assert found.checks.certified
    assert found.spectrum.log_support[1] == pytest.approx(expected, abs=1e-12 * (1.0 + abs(expected)))
    # And by laws of every fineness that can tell: a root on the cut that is as near was taken for the gap's own.
    for level in range(7 if name == "hardswish" else 2, 9):
        first = survey(jacobian_equation(found.mean_field, level=level)).arcs[0].first
        assert first is not None
        assert float(first.log_u) == pytest.approx(expected, abs=5e-12)


def _top(name: str, q: float, depth: int) -> float:
    """Log u at the upper edge, by real quadrature: the first maximum of log u(y), THEORY, section 3, edges.

    With y = (1 − e)/max φ'² every 1 − yφ'² = e + (1 − e)(1 − φ'²/max φ'²) is free of cancellation.
    """
    nodes, rule = np.polynomial.legendre.leggauss(30)
    marks = np.concatenate([[0.0], 10.0 ** np.arange(-20, -0.9, 0.25), np.arange(0.15, 6.0, 0.05)])
    panels = np.stack([marks[:-1], marks[1:]], 1)
    away = (panels.mean(1)[:, None] + 0.5 * np.diff(panels) * nodes).ravel()
    weight = (0.5 * np.diff(panels) * rule).ravel()
    if name == "hardswish":
        # φ' = x/3 + 1/2 between −3 and 3, 1 beyond.
        x, top = 3.0 - away, 2.25
        short = away / 4.5 * (2.0 - away / 4.5)
        beyond = 0.5 * math.erfc(3.0 / math.sqrt(2.0 * q))
    else:
        # φ' = Φ(x) + x N(x), largest at √2.
        away, weight = np.concatenate([-away, away]), np.tile(weight, 2)
        with mpmath.workdps(60):
            peak = mpmath.sqrt(2)
            slopes = [_gelu_slope(peak + mpmath.mpf(d)) / _gelu_slope(peak) for d in away]
            short = np.array([float((1 - s) * (1 + s)) for s in slopes])
            x, top, beyond = away + math.sqrt(2.0), float(_gelu_slope(peak)) ** 2, 0.0
    weight = weight * np.exp(-(x**2) / (2.0 * q)) / math.sqrt(2.0 * math.pi * q)
    t = top * (1.0 - short)

    def along(log_e: float) -> tuple[float, float]:
        e = math.exp(log_e)
        y, poles = (1.0 - e) / top, e + (1.0 - e) * short
        w = y * float(weight @ (t / poles)) + beyond * y / (1.0 - y)
        rate = float(weight @ (t / poles**2)) + beyond / (1.0 - y) ** 2
        log_u = (1 - depth) * math.log(w / (1.0 + w)) + depth * math.log(y * (float(weight @ t) + beyond))
        return (1 - depth) * rate / (w * (1.0 + w)) + depth / y, log_u

    low, high = math.log(1e-15), math.log(0.5)
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if along(middle)[0] > 0.0 else (middle, high)
    return along(low)[1]


def _gelu_slope(x: Any) -> Any:
    return mpmath.ncdf(x) + x * mpmath.npdf(x)


@pytest.mark.parametrize(
    ("activation", "depth", "q", "most"),
    [("softsign", 100, 1.0, 120), ("elu", 128, 0.01, 250), ("tanh", 10**6, 1.0, 50)],
)
def test_rounding_in_a_thin_tail_is_not_resolved(activation: str, depth: int, q: float, most: int) -> None:
    """There log p is rough on every scale, at the size of the rounding of w: halving pieces would never end."""
    net = Network(depth=depth, activation=activation, weights="orthogonal", sigma_w="critical", q_star=q)
    found = predict(net)
    assert found.checks.certified
    (arc,) = found.spectrum.arcs
    assert isinstance(arc, Chart)
    assert arc.breaks.size < most
    # By a homotopy for each point, on laws of D² that are resolved far more finely.
    equation = jacobian_equation(found.mean_field, level=6)
    u = found.spectrum.quantile_at(np.array([1e-3, 0.1, 0.5, 0.9]))
    roots = locate(equation, u)
    assert roots.certified.all()
    np.testing.assert_allclose(found.spectrum.log_density_at(u), equation.log_density(roots.zeta), atol=1e-10)


def test_roots_at_the_floor_of_log_u_have_their_imaginary_part_too() -> None:
    """Beside a blunt edge, where a residual of log u below its rounding left the density wrong by 1e-6.

    More steps of Newton's method change it by no more than the rounding of log u does: that over the steepness.
    """
    equation = equation_of([layer("softsign", 1.0000005, "orthogonal", 100)])
    arc = survey(equation).arcs[-1]
    low, high = float(arc.log_u[0]), float(arc.log_u[-1])
    density = equation.log_density(arc.zeta)
    some = np.flatnonzero((density < -19.0) & (density > -24.0))
    u = np.linspace(float(arc.log_u[some[0]]), float(arc.log_u[some[-1]]), 4000)
    start = Guess(arc, low, high, False, False)(u)
    floor = 0.5 * equation.precision
    for roots in (solve(equation, u, *start, max_steps=16, rough_steps=2), _solve(equation, u, *start, 16, floor, 2)):
        assert roots.certified.all()
        zeta, v = roots.zeta, roots.v
        for _ in range(2):
            _, zeta, v, _ = improve(equation, zeta, v, u)
        once, more = equation.log_density(roots.zeta), equation.log_density(zeta)
        rounding = 4.0 * np.finfo(float).eps * (1.0 + np.abs(u)) * np.abs(np.gradient(more, u))
        # 1e-9 is what is asked beside an edge.
        assert np.all(np.abs(once - more) < rounding + 1e-9)
