"""Laws at the extremes: tiny ranks, narrow laws, gaps and atoms on the way down to λ = 0."""

from __future__ import annotations

import math
import pickle

import mpmath
import numpy as np
import pytest
import reference
from networks import equation_of, layer

from spectra import Network, predict
from spectra.continuation import locate
from spectra.convolve import free_product
from spectra.errors import ConvergenceError
from spectra.guess import Guess
from spectra.laws import Bernoulli, Discrete
from spectra.network.jacobian import jacobian_equation
from spectra.network.meanfield import mean_field
from spectra.pieces import TAIL_RESOLUTION
from spectra.ratio import Ratio
from spectra.survey import survey
from spectra.walker import Arc


@pytest.mark.parametrize("p", [1e-2, 1e-5, 1e-8])
def test_two_points_seen_through_a_projection_of_tiny_rank(p):
    """(δ_1 + δ_2)/2 ⊠ Bernoulli(p), p < 1/2: a beta-like bulk 3/2 ± √(p(1 − p)), the angles of two free projections."""
    law = free_product(Bernoulli(p), Discrete([1.0, 2.0])).spectrum()
    half = math.sqrt(p * (1 - p))
    assert law.bulks[-1] == (pytest.approx(1.5 - half, rel=1e-14), pytest.approx(1.5 + half, rel=1e-14))
    assert law.atom_at_zero == pytest.approx(1 - p, rel=1e-14)
    assert law.arcs[0].mass == pytest.approx(p, rel=1e-11)
    # tr p a p = p · 3/2, tr (p a p)² = p (p κ_2 + m_1²), κ_2 = 1/4 the second free cumulant.
    assert np.exp(law.log_scaled_moments(2)[-1]) == pytest.approx((p / 4 + 9 / 4) / (p * 9 / 4), rel=1e-14)
    middle = np.array([1.5 - 0.5 * half, 1.5, 1.5 + 0.9 * half])
    exact = np.sqrt(half**2 - (middle - 1.5) ** 2) / (2 * np.pi * (middle - 1) * (2 - middle))
    # An edge that is off by 1e-15 moves a root of the distance to it, 0.1 half, by half of that.
    assert law.pdf(middle) == pytest.approx(exact, rel=1e-11 + 0.5 * 1.5e-15 / (0.1 * half))


@pytest.mark.parametrize("q", [1e-4, 1.904e-5])
def test_narrow_laws_are_certified(q):
    """With erf' = exp(−πx²/4) the law of two layers has the width q."""
    found = predict(Network(depth=2, activation="erf", weights="orthogonal", sigma_w="critical", q_star=q))
    assert found.checks.certified
    assert abs(found.checks.mass_defect) < 1e-11
    # E φ'^{2k} = (1 + πqk)^{−1/2}.
    with mpmath.workdps(40):
        y = mpmath.pi * mpmath.mpf(q)
        variance = float(2 * ((1 + y) / mpmath.sqrt(1 + 2 * y) - 1))
    x, weights = _levels(found.spectrum)
    assert weights @ (x - 1) ** 2 == pytest.approx(variance, rel=1e-8)


def _levels(law):
    """Nodes and weights of the law itself."""
    nodes = [arc.quadrature() for arc in law.arcs]
    return np.exp(-np.concatenate([u for u, _ in nodes])), np.concatenate([w for _, w in nodes])


@pytest.mark.parametrize("p", [0.3, 0.5, 0.7, 0.9, 0.95])
def test_two_points_seen_through_a_projection(p):
    """As above; for p > 1/2 an atom of mass p − 1/2 at either point.  At p = 0.9 the bulk ends where w = 0."""
    law = free_product(Bernoulli(p), Discrete([1.0, 2.0])).spectrum()
    half = math.sqrt(p * (1 - p))
    assert law.bulks[-1] == (pytest.approx(1.5 - half, rel=1e-14), pytest.approx(1.5 + half, rel=1e-14))
    atoms = [(0.0, 1 - p)] + ([(1.0, p - 0.5), (2.0, p - 0.5)] if p > 0.5 else [])
    assert [x for atom in law.atoms for x in (atom.location, atom.mass)] == pytest.approx(np.ravel(atoms), rel=1e-14)
    assert law.total_mass == pytest.approx(1.0, abs=1e-14)
    middle = 1.5 + half * np.array([-0.99, -0.5, 0.0, 0.9])
    exact = np.sqrt(half**2 - (middle - 1.5) ** 2) / (2 * np.pi * (middle - 1) * (2 - middle))
    assert law.pdf(middle) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_exact_mass_between_two_points_is_the_integral_of_the_density(weights):
    """Between roots found without the sweep."""
    equation = equation_of([layer("tanh", 0.5, weights, 3), layer("relu", 1.0, "gaussian", 1)])
    nodes, rule = np.polynomial.legendre.leggauss(24)
    low, high = -0.2, 0.6
    u = low + (high - low) * (nodes + 1) / 2
    found = locate(equation, np.concatenate([u, [low, high]]))
    assert found.certified.all()
    density = np.exp(equation.log_density(found.zeta[:-2]))
    above = equation.mass_above(found.zeta[-2:], found.v[:, -2:])
    assert above[1] - above[0] == pytest.approx((high - low) / 2 * rule @ density, rel=1e-12)


def test_exact_mass_above_an_edge_is_that_of_the_atoms_there():
    p = 0.8
    equation = free_product(Bernoulli(p), Discrete([1.0, 2.0])).equation
    half = math.sqrt(p * (1 - p))
    u = -np.log([1.5 + half * (1 - 1e-9), 1.5 - half * (1 - 1e-9)])
    found = locate(equation, u)
    assert equation.mass_above(found.zeta, found.v) == pytest.approx([p - 0.5, 0.5], abs=1e-12)


@pytest.mark.parametrize(
    "keys",
    [
        {"activation": "smoothed_relu", "weights": "orthogonal", "sigma_w": "critical", "q_star": 5.596, "depth": 162},
        {"activation": "elu", "weights": "orthogonal", "sigma_w": 2.503, "input_variance": 0.02126, "depth": 13},
        {
            "activation": "logsigmoid",
            "weights": "gaussian",
            "sigma_w": 1.43,
            "sigma_b": 0.194,
            "input_variance": 2.539,
            "layers": [{"repeat": 4, "activation": {"name": "gelu", "approximate": "tanh"}, "weights": "gaussian"}],
        },
    ],
    ids=["smoothed_relu", "elu", "gelu"],
)
def test_mass_closes_where_the_law_reaches_below_all_doubles(keys):
    found = predict(Network(**keys))
    assert found.checks.certified
    assert abs(found.checks.mass_defect) < 1e-10


def test_deep_net_that_narrows_to_a_part_in_a_million_is_certified():
    layers = [
        {"repeat": 1, "width": 50},
        {"repeat": 51, "activation": "prelu", "weights": "gaussian", "width": 128},
        {"repeat": 12, "activation": "hardsigmoid", "weights": "gaussian", "width": 50},
    ]
    keys = {"activation": "prelu", "weights": "orthogonal", "sigma_w": 1.801, "sigma_b": 0.096}
    found = predict(Network(**keys, input_variance=6.21e-05, input_width=128, layers=layers))
    assert found.checks.certified
    rank = sum(arc.mass for arc in found.spectrum.arcs)
    assert rank == pytest.approx(1 - found.spectrum.atom_at_zero, rel=1e-9)


def test_product_of_two_and_three_points_has_all_its_edges_and_atoms():
    """One bulk ends where v_1 is near infinity; atoms of mass p_i + q_j − 1 at a_i b_j."""
    a, b = (1.0, 2.0), (0.4, 0.9, 2.0)
    p, q = (5 / 7, 2 / 7), (1 / 3, 1 / 2, 1 / 6)
    law = free_product(Discrete(a, p), Discrete(b, q)).spectrum()
    atoms = sorted(
        (x * y, s + t - 1) for x, s in zip(a, p, strict=True) for y, t in zip(b, q, strict=True) if s + t > 1
    )
    assert [x for atom in law.atoms for x in (atom.location, atom.mass)] == pytest.approx(np.ravel(atoms), rel=1e-13)
    assert law.total_mass == pytest.approx(1.0, abs=1e-13)
    # E λ² of a free product: E a² (E b)² + (E a)² E b² − (E a)² (E b)².
    (mean_a, mean_b), (square_a, square_b) = (
        [float(np.dot(weights, np.power(places, k))) for weights, places in ((p, a), (q, b))] for k in (1, 2)
    )
    exact = square_a * mean_b**2 + mean_a**2 * square_b - mean_a**2 * mean_b**2
    assert math.exp(law.log_moment_by_quadrature(2)) == pytest.approx(exact, rel=1e-12)


def _found_again(keys, u, level=4):
    """Log density at u by the homotopy, which knows nothing of the sweep, with finer laws."""
    equation = jacobian_equation(mean_field(Network(**keys)), level=level)
    roots = locate(equation, np.array(u))
    assert roots.certified.all()
    return equation.log_density(roots.zeta)


def test_no_arc_ends_at_a_critical_point_that_it_does_not_reach() -> None:
    """From afar Newton's method finds one at log u = 471.19, where the law still holds 2e-7 of its mass."""
    keys = {"depth": 2, "activation": "smoothed_relu", "weights": "gaussian", "sigma_w": "critical", "q_star": 1.0}
    found = predict(Network(**keys))
    assert found.checks.certified
    assert abs(found.checks.mass_defect) < 1e-13
    # Where a piece holds next to nothing its density is resolved to `TAIL_RESOLUTION`.
    expected = _found_again(keys, [471.19])
    assert found.spectrum.log_density_at(np.array([471.19])) == pytest.approx(expected, abs=TAIL_RESOLUTION)


@pytest.mark.parametrize(
    ("name", "depth", "q", "u"),
    [
        ("softsign", 32, 1.0, [3.0, 40.0]),
        ("softsign", 32, 10.0, [0.0, 100.0]),
        ("tanh", 1024, 1.0, [0.0, 1000.0]),
        ("hardswish", 32, 0.01, [-0.5, 1.0]),
        ("gelu", 1000, 0.01, [0.0, 100.0]),
    ],
)
def test_tails_thinner_than_rounding_cost_no_time(name, depth, q, u):
    keys = {"depth": depth, "activation": name, "weights": "orthogonal", "sigma_w": "critical", "q_star": q}
    # A few hundred evaluations; it took thousands, or for ever, to follow an imaginary part of 1e-30.
    assert survey(jacobian_equation(mean_field(Network(**keys)))).steps < 200
    found = predict(Network(**keys))
    assert found.checks.certified
    assert abs(found.checks.mass_defect) < 1e-13
    assert found.spectrum.log_density_at(np.array(u)) == pytest.approx(_found_again(keys, u), abs=1e-10)


@pytest.mark.parametrize(
    ("activation", "weights", "depth"),
    [
        ({"name": "gelu", "approximate": "tanh"}, "gaussian", 32),
        ("erf", "orthogonal", 128),
        ("sin", "orthogonal", 1024),
    ],
)
def test_mass_closes_where_next_to_nothing_of_the_slopes_is_left_out(activation, weights, depth):
    """The slopes end where they are counted as zero, or have far zeros: neither is the end of what is known."""
    q = 1.0 if activation == "sin" else 10.0
    found = predict(Network(depth=depth, activation=activation, weights=weights, sigma_w="critical", q_star=q))
    assert found.checks.certified
    assert abs(found.checks.mass_defect) < 1e-13


def test_an_arc_of_one_point_is_refused() -> None:
    point = np.zeros(1)
    none = np.zeros((1, 1), complex)
    arc = Arc(None, None, point, point + 1j, none[:0], none, none)
    with pytest.raises(ConvergenceError, match="where it had begun"):
        Guess(arc, 0.0, 0.0, False, False)


@pytest.mark.parametrize(("widths", "sigma_w"), [((150528, 1), 1.0), ((150528, 10), 0.01), ((100000, 1), 0.1)])
def test_narrow_law_of_marchenko_and_pastur_has_both_its_edges(widths, sigma_w) -> None:
    before, after = widths
    net = Network(input_width=before, activation="identity", sigma_w=sigma_w, layers=[{"width": after}])
    found = predict(net)
    root = math.sqrt(after / before)
    assert found.checks.certified
    assert found.spectrum.support() == pytest.approx(
        (sigma_w**2 * (1 - root) ** 2, sigma_w**2 * (1 + root) ** 2), rel=1e-12
    )
    assert found.spectrum.pdf(sigma_w**2 * (1 - root) ** 2 * (1 - 1e-9)) == 0.0


def test_narrow_bulk_before_a_long_tail_is_not_passed_over() -> None:
    """q* = 1e-7: λ = 1 ± 1e-6, where U is known to 1e-10 of the width only, and the mass as well."""
    found = predict(Network(depth=10, activation="tanh", weights="orthogonal", sigma_w="critical", q_star=1e-7))
    assert abs(found.checks.mass_defect) < 1e-8


@pytest.mark.parametrize("slope", [0.97, 0.99999, 1.01])
def test_one_layer_of_two_slopes_is_two_atoms(slope) -> None:
    activation = {"name": "leaky_relu", "negative_slope": slope}
    found = predict(Network(depth=1, activation=activation, weights="orthogonal", sigma_w=1.0, input_variance=1.0))
    places = sorted([1.0, slope**2])
    assert [a.location for a in found.spectrum.atoms] == pytest.approx(places, rel=1e-14)
    assert [a.mass for a in found.spectrum.atoms] == pytest.approx([0.5, 0.5], rel=1e-14)
    assert found.spectrum.bulks == ()


def test_support_reaches_as_far_as_the_slopes_do() -> None:
    """x²: φ'² = 4x² has no largest value; softsign: φ'² = (1 + |x|)⁻⁴ has no smallest but 0."""
    keys = {"depth": 1, "weights": "orthogonal", "sigma_w": 1.0, "sigma_b": 0.1, "input_variance": 0.3}
    found = predict(Network(activation={"expr": "x**2"}, **keys))
    assert found.spectrum.support() == (0.0, math.inf)
    assert found.to_dict()["jacobian"]["support"] == [0.0, None]
    assert predict(Network(activation="softsign", **keys)).spectrum.support()[0] == 0.0


def test_an_edge_in_a_thin_tail_is_not_that_of_a_coarse_law() -> None:
    """One gelu layer at small variance: the density in log λ falls off by e^10 towards its edge."""
    exact, soft = reference.right_edge(reference.network("gelu", "0.05", "gaussian", 1))
    assert soft
    found = predict(Network(depth=1, activation="gelu", sigma_w="critical", q_star=0.05))
    assert found.checks.certified
    assert found.spectrum.support()[1] == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_ratios_keep_what_is_lost_when_pickled(protocol) -> None:
    ratio = Ratio(2.0, 1.0 - 1e-15, 1.2345678e-15)
    again = pickle.loads(pickle.dumps(ratio, protocol))
    assert (again, again.base, again.rank, again.lost) == (ratio, 2.0, 1.0 - 1e-15, 1.2345678e-15)
