"""The law of φ'(h)² where it is hard: beside zeros of φ', far beyond the scale of φ', above the largest value."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy.integrate import quad

from spectra.activations import get_activation
from spectra.errors import ConvergenceError
from spectra.laws.nodes import LawStack
from spectra.laws.pushforward import slope_law, slope_split
from spectra.laws.sums import NodeSums
from spectra.laws.zero import slope_zero
from spectra.network.jacobian import _verify_mean

GELU_TANH = {"name": "gelu", "approximate": "tanh"}


def plus_by_mpmath(name: str, q: float, v: complex, mean: Any) -> Any:
    """E 1/(1 − v φ'(h)²/mean) by Gauss-Legendre panels that shrink towards the zero of φ' (30 digits)."""
    phi = get_activation(name)
    with mp.workdps(30):
        sigma, variable = mp.sqrt(q), mp.mpc(v)
        zero = next(x for b in phi.branches for x in b.turning_points if abs(b.slope(np.array([x]))[0]) < 1e-10)
        zero = mp.findroot(lambda x: phi.mp(x, 1), mp.mpf(zero))
        near = 1 / mp.sqrt(abs(variable))
        steps = [near * mp.mpf(3) ** k for k in range(-6, 80) if near * mp.mpf(3) ** k < 1]
        cuts = {k * sigma for k in range(-12, 13)} | {mp.mpf(k) for k in phi.kinks}
        cuts |= {zero} | {zero + x for x in steps} | {zero - x for x in steps}

        def integrand(x: Any) -> Any:
            return mp.exp(-x * x / (2 * q)) / mp.sqrt(2 * mp.pi * q) / (1 - variable * phi.mp(x, 1) ** 2 / mean)

        return mp.quad(integrand, sorted(x for x in cuts if abs(x) <= 12 * sigma))


@pytest.mark.parametrize("v", [3e3 * np.exp(0.3j), 1e8 * np.exp(2.5j), 1e16 * np.exp(3.1j)])
@pytest.mark.parametrize(("name", "q"), [("silu", 3.0), ("gelu", 0.02)])
def test_psi_keeps_its_digits_where_only_the_neighbourhood_of_a_zero_of_the_slope_counts(
    name: str, q: float, v: complex
) -> None:
    law = slope_law(get_activation(name), q)
    expected = complex(plus_by_mpmath(name, q, v, mp.mpf(law.mean)))
    found = LawStack([law]).evaluate(np.array([[v]]))[1][0, 0]
    assert abs(found - expected) < 1e-13 * abs(expected)
    assert found.imag == pytest.approx(expected.imag, rel=1e-12)


@pytest.mark.parametrize("name", ["gelu", GELU_TANH, "silu", "mish", "hardswish", "sin"])
def test_distance_from_a_zero_of_the_slope_is_a_series_in_the_slope(name: str | dict[str, str]) -> None:
    phi = get_activation(name)
    for branch in phi.branches:
        for place in branch.turning_points or (0.5 * math.pi,):
            if branch.constant_slope is None and abs(branch.slope(np.array([place]))[0]) < 1e-12:
                zero = slope_zero(branch, float(place))
                assert zero is not None
                slope = zero.reach * np.exp(1j * np.linspace(-3.0, 3.0, 9))
                x = zero.place + zero.displacement(slope)
                assert np.allclose(branch.slope(x), slope, rtol=1e-13, atol=0)
                assert np.allclose(zero.around(slope)[1] * branch.curvature(x), 1.0, rtol=1e-12, atol=0)


def test_double_zeros_and_mere_small_slopes_have_no_series() -> None:
    cubic = get_activation({"expr": "x**3"}).branches[0]
    assert slope_zero(cubic, 0.0) is None
    tanh = get_activation("tanh").branches[0]
    assert slope_zero(tanh, -57.0) is None
    assert slope_zero(tanh, 0.3) is None


@pytest.mark.parametrize("name", ["silu", "hardswish", "sin"])
def test_mass_near_a_zero_of_the_slope_is_relatively_accurate(name: str) -> None:
    """P(t' ≤ t) ~ √t there, so that the density is P/(2t): R = π t·density = πP/2, to O(t)."""
    density = slope_law(get_activation(name), 2.0).cut_density
    assert density is not None
    t = np.array([1e-32, 1e-26, 1e-20, 1e-15])
    assert density.mass_below(t) == pytest.approx(2.0 / math.pi * density(1.0 / t), rel=1e-12)  # type: ignore[attr-defined]


@pytest.mark.parametrize("q", [1e2, 1e4, 1e6, 1e8, 1e12, 1e24])
@pytest.mark.parametrize("name", ["gelu", GELU_TANH, "silu"])
def test_mean_is_right_far_beyond_the_scale_of_the_activation(name: str | dict[str, str], q: float) -> None:
    """φ'(x) + φ'(−x) = 1 gives E φ'² = ½ − E φ'(1 − φ'), an integral over the neighbourhood of 0."""
    phi = get_activation(name)

    def integrand(x: float) -> float:
        slope = float(phi.derivative(x))
        return slope * (1.0 - slope) * math.exp(-x * x / (2.0 * q))

    cuts = [-60.0, -20.0, -8.0, -4.0, -2.0, 0.0, 2.0, 4.0, 8.0, 20.0, 60.0]
    local = math.fsum(quad(integrand, a, b, epsabs=1e-15)[0] for a, b in pairwise(cuts))
    expected = 0.5 - local / math.sqrt(2.0 * math.pi * q)
    assert slope_law(phi, q).mean == pytest.approx(expected, rel=3e-14)


@pytest.mark.parametrize("q", [0.1, 1.0, 4.0, 1e3])
@pytest.mark.parametrize(
    "name",
    ["tanh", "erf", "softplus", "sigmoid", "logsigmoid", "softsign", "elu", "selu", "gelu", GELU_TANH, "silu", "mish",
     "hardswish", "sin", "smoothed_relu"],
)  # fmt: skip
def test_node_sums_are_real_below_the_cut(name: str | dict[str, str], q: float) -> None:
    """ψ(v) is real for v < 1/sup t: the complex nodes must cancel, however near."""
    law = slope_law(get_activation(name), q, level=4)
    top = max(law.largest, law.supremum or 0.0)
    v = np.array([0.3, 0.9, 0.99], complex) / top
    sums: Any = np.empty((3, 3), complex)
    NodeSums(law.points, law.weights).add_up(v, sums)
    assert np.all(np.abs(sums[:, 2].imag) < 1e-12 * np.abs(sums[:, 2]))


def test_deviation_of_s_keeps_its_imaginary_part_far_out_on_the_cut() -> None:
    """A(v) = ψ(1 − v) − v = (1 + ψ)(1 − v) − 1, taken to the power of the depth: its Im is 1e-16 of |v|."""
    phi, q, v = get_activation("gelu"), 0.01, complex(9.72e9, 6.759e6)
    law = slope_law(phi, q)
    with mp.workdps(30):
        variable, mean = mp.mpc(v), mp.mpf(law.mean)
        zero: Any = mp.findroot(lambda x: phi.mp(x, 1), -0.75)
        # Poles of the integrand lie ± `near` from the zero of φ', nearly on the axis.
        near = mp.sqrt(mean / abs(variable)) / abs(mp.diff(lambda x: phi.mp(x, 1), zero))
        steps = [near * mp.mpf(3) ** k for k in range(-8, 30)] + [
            near * (1 + side * mp.mpf(2) ** -k) for k in range(1, 16) for side in (-1, 1)
        ]
        cuts = {mp.mpf(k) / 10 for k in range(-12, 13)} | {zero}
        cuts |= {zero + side * x for x in steps if x < 0.5 for side in (-1, 1)}

        def integrand(x: Any) -> Any:
            return mp.npdf(x, 0, mp.mpf(1) / 10) / (1 - variable * phi.mp(x, 1) ** 2 / mean)

        plus: Any = mp.quad(integrand, sorted(x for x in cuts if abs(x) <= 1.2))
        expected = complex(plus * (1 - variable) - 1)
    found = LawStack([law]).evaluate(np.array([[v]]))[2][0, 0]
    # The variance used is 0.01 as a double.
    assert found.imag == pytest.approx(expected.imag, rel=1e-9)


def test_law_is_known_far_down_where_some_zeros_of_the_slope_hold_next_to_nothing() -> None:
    """sin, q = 1: h reaches over cos = 0 at ±π/2 often, at ±3π/2 and ±5π/2 hardly ever."""
    law = slope_law(get_activation("sin"), 1.0)
    assert law.resolved < 1e-30
    v = 1e25j
    # φ'² = t near ±π/2 only, density 2g(π/2)/√t: 1 + ψ(v) = E 1/(1 − vt) → π g(π/2) · √(mean)·2/√(−v), and as much
    # less at the other zeros as the Gaussian g is smaller there.
    weight = math.fsum(math.exp(-(x**2) / 2.0) for x in (math.pi * (k + 0.5) for k in range(3)))
    expected = 2.0 * math.pi * weight / math.sqrt(2.0 * math.pi) * math.sqrt(law.mean) / np.sqrt(-v)
    found = LawStack([law]).evaluate(np.array([[v]]))[1][0, 0]
    assert abs(found / expected - 1.0) < 1e-12


def test_ends_of_a_law_are_resolved_to_all_digits_at_high_levels() -> None:
    """elu: beside the atom at the top, the sum over nodes against the density from the real inverse of φ'²."""
    law = slope_law(get_activation("elu"), 1.0, level=6)
    assert law.cut_density is not None
    distance = np.array([1e-2, 1e-3, 1e-4, 1e-5])
    v = (1.0 + distance) / law.largest
    sums: Any = np.empty((4, 3), complex)
    NodeSums(law.points, law.weights).add_up(v.astype(complex), sums)
    # The rounding of 1 − vt is felt in relation to the distance.
    error = np.abs(sums[:, 2].imag / law.cut_density(v) - 1.0)
    assert np.all(error < 1e-14 + 1e-16 / distance)


def test_rank_has_its_digits_where_it_is_small() -> None:
    """P(|h| < 1) for q = 10²⁴; E t²/(t + 1e-92)² for t = sech⁴ ≈ 16 e^{−4|h|}: as if cut at log t = 1 − 92 log 10."""
    hard = slope_split(get_activation("hardtanh"), 1e24)[0]
    assert hard == pytest.approx(math.sqrt(2.0 / math.pi) * 1e-12, rel=1e-13)
    reach = (math.log(16.0) + 92.0 * math.log(10.0) - 1.0) / 4.0
    smooth = slope_split(get_activation("tanh"), 1e24)[0]
    assert smooth == pytest.approx(math.sqrt(2.0 / math.pi) * reach * 1e-12, rel=1e-12)


@pytest.mark.parametrize(("name", "q"), [("elu", 1e3), ("elu", 1e10), ("tanh", 1e4), ("smoothed_relu", 50.0)])
def test_tiny_slopes_fade_alike_in_nodes_density_and_mass(name: str, q: float) -> None:
    law = slope_law(get_activation(name), q)
    density: Any = law.cut_density
    assert law.neglected > 0.0
    # Im ψ on the cut by the nodes' sum and by the real inverse, 90 decades down.
    v = law.mean / law.rank / np.array([1e-20, 1e-60, 1e-88, 1e-92])
    sums = (law.weights * v[:, None] * law.points / (1.0 - v[:, None] * law.points)).sum(1)
    assert sums.imag == pytest.approx(density(v), rel=1e-9)
    # The density in log t, integrated from 1e-98 to 1e-80 by another rule.
    nodes, rule = np.polynomial.legendre.leggauss(200)
    low, high = math.log(1e-98), math.log(1e-80)
    t = np.exp(0.5 * (low + high) + 0.5 * (high - low) * nodes) * law.rank / law.mean
    mass = 0.5 * (high - low) * rule @ density(1.0 / t) / math.pi
    ends = density.mass_below(np.exp([low, high]) * law.rank / law.mean)
    assert ends[1] - ends[0] == pytest.approx(mass, rel=1e-10)


def test_disagreeing_means_are_refused() -> None:
    with pytest.raises(ConvergenceError, match="by one quadrature"):
        _verify_mean(get_activation("tanh"), 1.0, 0.5, 0.5 * (1 + 1e-9))


@pytest.mark.parametrize("q", [0.1, 10.0])
@pytest.mark.parametrize("name", ["tanh", "elu", "gelu", "sin", "softsign", "smoothed_relu"])
def test_density_at_one_point_is_good_to_four_digits(name: str, q: float) -> None:
    law = slope_law(get_activation(name), q)
    density: Any = law.cut_density
    v = np.exp(np.linspace(math.log(1.1 / law.largest), math.log(1.0 / max(law.smallest, 1e-30)), 200)[:-1])
    exact = density(v)
    near = np.array([density.near(x) for x in v.tolist()])
    assert np.all(np.abs(near - exact) < 1e-4 * exact)


@pytest.mark.parametrize("q", [2.7, 9.0])
def test_slope_with_a_period_whose_zeros_lie_at_no_multiple_of_it(q: float) -> None:
    # φ' = 1 + 2 cos 2x, with both signs: its pieces beyond |x| = 60 had no path of their own.
    law = slope_law(get_activation({"expr": "x + sin(2*x)"}), q)
    assert law.mean == pytest.approx(3.0 + 4.0 * math.exp(-2.0 * q) + 2.0 * math.exp(-8.0 * q), rel=1e-13)
    v = complex(30.0 * np.exp(2.9j))
    with mp.workdps(30):
        cuts = [mp.pi * k / 12 for k in range(-150, 151)]

        def integrand(x: Any) -> Any:
            square = (1 + 2 * mp.cos(2 * x)) ** 2 / mp.mpf(law.mean)
            return mp.exp(-x * x / (2 * q)) / mp.sqrt(2 * mp.pi * q) / (1 - mp.mpc(v) * square)

        expected: Any = mp.quad(integrand, cuts)
    found = LawStack([law]).evaluate(np.array([[v]]))[1][0, 0]
    assert found == pytest.approx(complex(expected), rel=1e-13)
