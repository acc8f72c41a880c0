"""Numbers of the literature on fully connected networks, each with its source. Nothing here is the package's own.

What other files test already is not repeated: chi_1, ξ_q, χ_c* (test_meanfield.py), c* (test_correlation.py),
half-stable points and q* of the double-scaling limit (test_criticality.py), Fuss–Catalan and the variances of erf and
hard tanh (test_theorems.py).
"""

import math
from itertools import pairwise

import numpy as np
import pytest
from mpmath import mp
from networks import law_of, layer

from spectra.activations import get_activation
from spectra.laws import SquaredSlope
from spectra.laws.marchenko_pastur import MarchenkoPastur
from spectra.network import Network
from spectra.network.correlation import CorrelationMap
from spectra.network.criticality import critical_point
from spectra.network.meanfield import mean_field
from spectra.prediction import predict
from spectra.transforms import density, psi, s_transform

PENNINGTON_ERF = {"expr": "sqrt(pi/2)*erf(x/sqrt(2))"}


def hard_tanh(p: float, weights: str, depth: int):
    """Law with D² = 0 or 1, P(1) = p, σ_w² = 1/p: hard tanh at the q with erf(1/√(2q)) = p."""
    return law_of([layer("hardtanh", float(1 / (2 * mp.erfinv(mp.mpf(p)) ** 2)), weights, depth)]).spectrum


@pytest.mark.parametrize(("sigma_w", "q"), [(1.3, 0.607046792), (2.5, 4.079123875), (4.0, 12.60414950)])
def test_fixed_points_of_poole_2016(sigma_w: float, q: float) -> None:
    """Tanh, σ_b = 0.3, σ_w = 1.3, 2.5, 4.0: the parameters of every figure of Poole et al. (2016)."""
    field = mean_field(Network(depth=2, activation="tanh", sigma_w=sigma_w, sigma_b=0.3))
    assert field.q_star == pytest.approx(q, rel=1e-9)


def test_critical_tanh_of_schoenholz_2017_and_xiao_2018() -> None:
    """σ_b² = 0.05 goes with σ_w² = 1.76; σ_w² = 1.05 with σ_b² = 2.01·10⁻⁵, q* = 0.0259."""
    tanh = get_activation("tanh")
    assert critical_point(tanh, sigma_b=math.sqrt(0.05)).sigma_w ** 2 == pytest.approx(1.760954640, rel=1e-9)
    point = critical_point(tanh, q_star=0.0259209)
    assert point.sigma_w**2 == pytest.approx(1.05, abs=1e-6)
    assert point.sigma_b**2 == pytest.approx(2.01052e-5, rel=1e-5)


def test_delta_orthogonal_demonstration_of_xiao_2018() -> None:
    """Tanh, q* = 1/16: σ_w² = 1.11538062436, σ_b² = 2.36876750598e-4, in the code that goes with the paper."""
    point = critical_point(get_activation("tanh"), q_star=1 / 16)
    assert point.sigma_w**2 == pytest.approx(1.11538062436, rel=1e-11)
    assert point.sigma_b**2 == pytest.approx(2.36876750598e-4, rel=1e-9)


@pytest.mark.parametrize("a", [0.0, 0.2, 0.5])
def test_critical_leaky_relu_is_the_point_of_hayou_2019(a: float) -> None:
    """(σ_b, σ_w) = (0, √(2/(1 + a²))), for ReLU (0, √2); μ_k = (1 + a^{2k})/2 gives the variance at χ = 1."""
    leaky = {"name": "leaky_relu", "negative_slope": a}
    assert critical_point(get_activation(leaky), sigma_b=0.0).sigma_w ** 2 == pytest.approx(2 / (1 + a * a), rel=1e-15)
    for weights, s1 in (("orthogonal", 0), ("gaussian", -1)):
        net = Network(depth=7, activation=leaky, weights=weights, sigma_w="critical", sigma_b=0.0)
        first, second = predict(net).moments(2)
        assert second - first**2 == pytest.approx(7 * (2 * (1 + a**4) / (1 + a * a) ** 2 - 1 - s1), rel=1e-12)


@pytest.mark.parametrize("q", [0.05, 1.0])
def test_pennington_2018_rows_of_the_supplement(q: float) -> None:
    """√(π/2) erf(x/√2): μ_k = 1/√(1 + 2kq), σ_w² = √(1 + 2q), section 5 of the supplement."""
    point = critical_point(get_activation(PENNINGTON_ERF), q_star=q)
    assert point.sigma_w**2 == pytest.approx(math.sqrt(1 + 2 * q), rel=1e-14)
    net = Network(depth=5, activation=PENNINGTON_ERF, weights="orthogonal", sigma_w="critical", q_star=q)
    assert predict(net).moments(2)[1] - 1 == pytest.approx(5 * ((1 + 2 * q) / math.sqrt(1 + 4 * q) - 1), rel=1e-12)


@pytest.mark.parametrize("z", [1.3, 4.0, -2.0 + 0.5j])
def test_generating_function_of_the_arctangent_of_pennington_2018(z: complex) -> None:
    """(2/π) atan(πx/2), supplement, section 5: M(z) = −√2/(π^{3/2} q √z) [f(z_+) − f(z_−)].

    f(z) = e^{z/2} erfc(√(z/2))/√z, z_± = 4 (√z ± 1)/(π² q √z).
    """
    q = mp.mpf("0.4")

    def part(sign: int):
        at = 4 * (mp.sqrt(z) + sign) / (mp.pi**2 * q * mp.sqrt(z))
        return mp.exp(at / 2) * mp.erfc(mp.sqrt(at / 2)) / mp.sqrt(at)

    expected = -mp.sqrt(2) / (mp.pi ** mp.mpf("1.5") * q * mp.sqrt(z)) * (part(1) - part(-1))
    law = SquaredSlope(get_activation({"expr": "2/pi*atan(pi*x/2)"}), 0.4)
    assert psi(law, 1 / z) == pytest.approx(complex(expected), rel=1e-12)


@pytest.mark.parametrize(("activation", "weights", "variance"), [
    ("identity", "gaussian", 1), ("identity", "orthogonal", 0), ("relu", "orthogonal", 1), ("relu", "gaussian", 2),
])  # fmt: skip
def test_variance_per_layer_of_pennington_2018_table_1(activation: str, weights: str, variance: int) -> None:
    net = Network(depth=9, activation=activation, weights=weights, sigma_w="critical", sigma_b=0.0)
    first, second = predict(net).moments(2)
    assert second - first**2 == pytest.approx(9 * variance, rel=1e-13, abs=1e-13)


@pytest.mark.parametrize(("p", "depth"), [(0.5, 4), (0.9, 12), (0.97, 30)])
def test_bernoulli_variances_and_edges_of_pennington_2017(p: float, depth: int) -> None:
    """σ² = L/p (Gaussian), L(1 − p)/p (orthogonal, every L); λ_max ~ eL/p and e(1 − p)L/p, exactly as below."""
    gaussian, orthogonal = hard_tanh(p, "gaussian", depth), hard_tanh(p, "orthogonal", depth)
    assert gaussian.moment(2) - 1 == pytest.approx(depth / p, rel=1e-12)
    assert orthogonal.moment(2) - 1 == pytest.approx(depth * (1 - p) / p, rel=1e-12)
    m = (-(depth - 1) + math.sqrt((depth - 1) ** 2 + 4 * depth * p)) / (2 * depth)
    assert gaussian.support()[1] == pytest.approx((1 + m) / m * (1 + m / p) ** depth, rel=1e-12)
    edge = (1 - p) / p * depth**depth / (depth - 1) ** (depth - 1)
    assert orthogonal.bulks[-1][1] == pytest.approx(edge, rel=1e-12)
    if depth * (1 - p) < 1:
        assert orthogonal.atoms[-1].location == pytest.approx(p**-depth, rel=1e-12)
        assert orthogonal.atoms[-1].mass == pytest.approx(1 - depth * (1 - p), abs=1e-12)
    assert gaussian.atom_at_zero == pytest.approx(1 - p, abs=1e-14)


def test_quoted_edges_of_bernoulli_networks() -> None:
    for p, weights, depth, edge in (
        (0.5, "gaussian", 4, 21.858249318046911),
        (0.5, "gaussian", 16, 87.013313699335003),
        (0.9, "gaussian", 10, 31.4118952056776559),
        (0.95, "orthogonal", 32, 4.5064358836457901),
    ):
        assert hard_tanh(p, weights, depth).bulks[-1][1] == pytest.approx(edge, rel=1e-12)
    assert hard_tanh(0.97, "orthogonal", 10).atoms[-1].mass == pytest.approx(0.7, abs=1e-12)


def test_largest_singular_value_grows_like_the_root_of_e_times_depth() -> None:
    """λ_max = e(L + ½ − 1/(24L) + …) for linear Gaussian networks; Pennington et al. (2017)."""
    for depth in (1, 2, 100):
        net = Network(depth=depth, activation="identity", sigma_w=1.0, input_variance=1.0)
        top = predict(net).spectrum.support()[1]
        assert top == pytest.approx(math.e * (depth + 0.5 - 1 / (24 * depth)), abs=0.1 / depth**2)
    assert top == pytest.approx(float(mp.mpf(101) ** 101 / mp.mpf(100) ** 100), rel=1e-13)


@pytest.mark.parametrize(
    ("weights", "depth", "exact"), [("orthogonal", 4, [1, 5, 31]), ("orthogonal", 5, [1, 6, 46, 396])]
)
def test_relu_moments_are_integers(weights: str, depth: int, exact: list[int]) -> None:
    net = Network(depth=depth, activation="relu", weights=weights, sigma_w="critical", sigma_b=0.0)
    assert predict(net).moments(len(exact)) == pytest.approx(exact, rel=1e-13)


# Lagrange inversion of the S-transform (Pennington et al. 2018, eq. 13, 20–22) with μ_k at 25 digits.
@pytest.mark.parametrize(
    ("activation", "q", "weights", "depth", "k", "exact"),
    [
        ("tanh", 0.1, "orthogonal", 10, 3, 2.28846994134737953),
        ("tanh", 1.0, "gaussian", 3, 2, 5.75043982410239060),
        ("gelu", 1.0, "gaussian", 4, 3, 124.181728988699906),
        ("gelu", 1.0, "gaussian", 4, 4, 1924.73713971697106),
        ("hardtanh", 0.5, "orthogonal", 8, 4, 22.1853060825120365),
        ("erf", 0.2, "orthogonal", 16, 6, 352.292201641838279),
        ("silu", 2.0, "orthogonal", 6, 4, 874.740484828538247),
        ("silu", 2.0, "orthogonal", 6, 6, 149136.502770351462),
    ],
)
def test_moments_by_lagrange_inversion(activation, q, weights, depth, k, exact) -> None:
    assert law_of([layer(activation, q, weights, depth)]).spectrum.moment(k) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(
    ("activation", "weights", "depth", "where", "exact"),
    [
        ("identity", "gaussian", 32, 2.0, 0.0103592469276443407),
        ("relu", "gaussian", 2, 1.0, 0.0964941665041155409),
        ("relu", "orthogonal", 2, 0.7, 0.104716264568538113),
        ("relu", "orthogonal", 4, 1.0, 0.0758285916497306975),
    ],
)
def test_densities_by_algebraic_equations(activation, weights, depth, where, exact) -> None:
    """Roots of zG − 1 = M_{D²}(…), Pennington et al. 2018, eq. 16, with M of table 1."""
    net = Network(depth=depth, activation=activation, weights=weights, sigma_w="critical", sigma_b=0.0)
    assert predict(net).spectrum.pdf(where) == pytest.approx(exact, rel=1e-12)


def test_densities_of_single_laws() -> None:
    assert hard_tanh(0.8, "orthogonal", 10).pdf(2.0) == pytest.approx(0.0749862512646206444, rel=1e-12)
    # WᵀW of a 2N × N matrix of entries of variance 1/N: Marchenko–Pastur of mean 2.
    found = 0.5 * density(MarchenkoPastur(ratio=0.5), np.array(1.5))
    assert found == pytest.approx(0.150052719359517678, rel=1e-13)


def test_bernoulli_class_of_figure_4_in_pennington_2018() -> None:
    """σ_0 = ½, hard tanh: bulk to s = 0.82, peak at s = 1.13, of mass 1 − σ_0²; G = (1/z) t/(t + W(−t/z)), eq. 30."""
    depth, t = 100_000, 0.25
    law = hard_tanh(float(depth / mp.mpf(depth + t)), "orthogonal", depth)
    # The limit is left by terms of order 1/L.
    near = 10 / depth
    assert math.sqrt(law.bulks[-1][1]) == pytest.approx(0.8243606353500641, rel=near)
    assert law.bulks[-1][1] == pytest.approx(0.67957045711476131, rel=near)
    assert math.sqrt(law.atoms[-1].location) == pytest.approx(1.1331484530668263, rel=near)
    assert law.atoms[-1].mass == pytest.approx(0.75, abs=near)
    assert law.pdf(0.6) == pytest.approx(0.0952393375535659007, rel=10 * near)
    # m_n = (1/n) Σ_k (n − k)(nt)^k/k!: 1, 1 + t, 1 + 2t + 3t²/2, 1 + 3t + 4t² + 8t³/3.
    exact = [1, 1 + t, 1 + 2 * t + 1.5 * t * t, 1 + 3 * t + 4 * t * t + 8 * t**3 / 3]
    assert [law.moment(k) for k in range(1, 5)] == pytest.approx(exact, rel=10 * near)
    wider = hard_tanh(float(1000 / mp.mpf(1001)), "orthogonal", 1000)
    assert wider.pdf(1.0) == pytest.approx(0.188916176890824022, rel=10 / 1000)
    assert hard_tanh(float(depth / mp.mpf(depth + 2)), "orthogonal", depth).moment(4) == pytest.approx(
        44.3333333333333333, rel=10 * near
    )


@pytest.mark.parametrize(
    ("t", "low", "high"),
    [
        (0.25, 0.32131892081, 2.42376260044),
        (0.5, None, 3.2974425414002563),
        (1.0, None, 4.8571781361967818),
        (4.0, 0.0013724273771754725, 13.345433932124500),
    ],
)
def test_smooth_class_of_figure_4_in_pennington_2018(t: float, low: float | None, high: float) -> None:
    """σ_0 = ½, erf: s from 0.57 to 1.56; λ_max = e^{−σ_−²/2}(1 + σ_+²/2), σ_±² = σ_0(σ_0 ± √(σ_0² + 4))."""
    depth = 1_000_000
    a = t / depth
    q = ((2 * a + a * a) + (1 + a) * math.sqrt(2 * a + a * a)) / math.pi
    law = law_of([layer("erf", q, "orthogonal", depth)]).spectrum
    # The limit is left by terms of order 1/√L (the third cumulant of one layer), growing with the spread σ_0³.
    near = 10 * (1 + t**1.5) / math.sqrt(depth)
    assert law.support()[1] == pytest.approx(high, rel=near)
    if low is not None:
        assert law.effective_support[0] == pytest.approx(low, rel=near)
    root = math.sqrt(t * (t + 4))
    assert high == pytest.approx(math.exp(-(t - root) / 2) * (1 + (t + root) / 2), rel=1e-11)
    # m_n = (1/n) Σ_k C(n, k + 1)(nt)^k/k!
    moments = [sum(math.comb(n, k + 1) * (n * t) ** k / math.factorial(k) for k in range(n)) / n for n in range(1, 7)]
    assert [law.moment(n) for n in range(1, 7)] == pytest.approx(moments, rel=6 * near)
    if t == 0.25:
        assert moments[4:] == pytest.approx([5.40836588541666667, 10.1277343750000000], rel=1e-15)
        assert [math.sqrt(low or 0), math.sqrt(high)] == pytest.approx([0.566850, 1.556844], abs=1e-6)
    if t == 1.0:
        assert moments[5] == pytest.approx(230.8, rel=1e-15)
        assert law.pdf(0.2) == pytest.approx(1.29453736939835113, rel=near)


def rectangular(widths: tuple[int, ...], activation: str, sigma_w: float, **keys) -> Network:
    layers = [{"width": width} for width in widths[1:]]
    return Network(input_width=widths[0], layers=layers, activation=activation, sigma_w=sigma_w, **keys)


def test_rectangular_moments_of_chhaibi_2022() -> None:
    """S_{JᵀJ}(m) = Π S_{D²}(Λ_l m) S_{WᵀW}(Λ_{l−1} m), theorem 3.1; moments of JᵀJ are those of JJᵀ times N_L/N_0."""
    widths = (800, 1200, 600, 1000)
    found = predict(rectangular(widths, "relu", math.sqrt(2), input_variance=1.0)).moments(4) * widths[-1] / widths[0]
    assert found[[1, 3]] == pytest.approx([10.3125, 1492.04210069444444], rel=1e-12)
    widths = (784, 256, 128, 10)
    found = predict(rectangular(widths, "relu", math.sqrt(2), input_variance=1.0)).moments(4) * widths[-1] / widths[0]
    # Published with variance σ²/N_l, fan-out: JᵀJ is Π N_{l−1}/N_l = N_0/N_L times as large.
    scaled = found * (widths[0] / widths[-1]) ** np.arange(1, 5)
    assert scaled[[0, 1, 3]] == pytest.approx([1.0, 176.175, 7137802.19489062500], rel=1e-12)
    at_fixed_point = rectangular(widths, "tanh", "critical", q_star=0.5)  # type: ignore[arg-type]
    first = predict(at_fixed_point).moments(1)[0] * widths[-1] / widths[0]
    assert first == pytest.approx(0.0127551020408163265, rel=1e-13)


def test_correlations_approach_one_at_the_published_rates() -> None:
    """1 − c_l ~ 9π²/(2l²) for ReLU, ~ β_q/l for tanh at σ_b = 0.1, β_q = 16.639288484; Hayou et al. (2019)."""
    # One step of the map: δ' = δ − (2√2/3π) δ^{3/2} and δ' = δ − δ²/β_q, for δ = 1 − c.
    relu = CorrelationMap(get_activation("relu"), math.sqrt(2), 0.0, 2.0)
    for d in (1e-4, 1e-6):
        assert (d - (1 - relu(1 - d))) / d**1.5 == pytest.approx(2 * math.sqrt(2) / (3 * math.pi), rel=3 * math.sqrt(d))
    point = critical_point(get_activation("tanh"), sigma_b=0.1)
    tanh = CorrelationMap(get_activation("tanh"), point.sigma_w, 0.1, float(point.q_star or 0.0))
    rates = [(d - (1 - tanh(1 - d))) / d**2 for d in (2e-2, 1e-2, 5e-3)]
    # What is left is a series in δ: twice extrapolated.
    once = [2 * b - a for a, b in pairwise(rates)]
    assert 1 / ((4 * once[1] - once[0]) / 3) == pytest.approx(16.639288484, rel=1e-6)


def test_radial_masses_of_haagerup_larsen() -> None:
    """Eigenvalues of a product of three Ginibre matrices: mass F within r = 1/√S(F − 1) = F^{3/2}."""
    found = float(np.real(s_transform(MarchenkoPastur(ratio=1.0), np.array(-0.5)))) ** 3
    assert 1 / math.sqrt(found) == pytest.approx(0.353553390593273762, rel=1e-13)
