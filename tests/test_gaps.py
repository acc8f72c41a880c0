"""Gaps whose edges lie in tails too thin to show them, beside narrow bulks; each against a closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from networks import equation_of, layer

from spectra import ConvergenceError, Network, bulk, free_product, predict
from spectra.laws import Discrete, MarchenkoPastur
from spectra.network.jacobian import jacobian_equation
from spectra.network.meanfield import mean_field
from spectra.survey import survey
from spectra.walker import Walker

SLOPE = 0.01


def tanh_and_leaky(q: float, weights: str = "orthogonal") -> Network:
    """Two layers, the first of them at variance q."""
    layers = [{"activation": "tanh"}, {"activation": {"name": "leaky_relu", "negative_slope": SLOPE}}]
    return Network(layers=layers, weights=weights, sigma_w=1.0, sigma_b=0.0, input_variance=q)


@pytest.mark.parametrize("q", [1e-4, 1e-3, 0.01, 0.05, 0.1])
def test_a_bulk_ends_where_the_subordination_point_of_its_thin_tail_is_infinite(q: float) -> None:
    """At w = −1, where y_1 → ∞: there u = E[1/φ'²] y_2 and ψ_2(y_2) = −1, so that λ = (1 + a²)/(2 E[1/φ'²]).

    For tanh E[1/φ'²] = E cosh⁴(√q z) = (3 + 4 e^{2q} + e^{8q})/8.  Down to there the density is positive, if only just:
    the law of φ'² reaches 0, but faster than any power.
    """
    found = predict(tanh_and_leaky(q))
    assert found.checks.certified
    assert len(found.spectrum.bulks) == 2
    (low, lower), (upper, _) = found.spectrum.bulks
    inverse = (3.0 + 4.0 * math.exp(2.0 * q) + math.exp(8.0 * q)) / 8.0
    # Found by an expansion from y_1 = 1e4, where 1 + w has lost as many of its digits.
    assert upper == pytest.approx((1.0 + SLOPE**2) / (2.0 * inverse), rel=1e-11)
    assert low == 0.0
    gap = np.geomspace(lower * (1.0 + 1e-9), upper * (1.0 - 1e-9), 50)
    assert np.all(found.spectrum.pdf(gap) == 0.0)
    # Half of the units have either slope.
    assert found.spectrum.cdf(gap) == pytest.approx(0.5, abs=1e-11)


@pytest.mark.parametrize(
    ("names", "widths"),
    [
        (("leaky_relu", "tanh"), None),
        (("silu", "prelu"), None),
        (("sin", "sin", "prelu"), None),
        (("softplus", "prelu"), (100, 100, 90)),
        (("hardswish", "shifted_relu", "prelu"), (50, 15, 13, 12)),
    ],
)
@pytest.mark.parametrize("q", [1e-3, 1e-5])
def test_narrow_bulks_of_a_smooth_layer_beside_a_kinked_one_are_all_found(names, widths, q: float) -> None:
    layers = [{"activation": name} for name in names]
    if widths:
        layers = [one | {"width": n} for one, n in zip(layers, widths[1:], strict=True)]
    shape = {"input_width": widths[0]} if widths else {}
    net = Network(layers=layers, weights="orthogonal", sigma_w=1.0, sigma_b=0.0, input_variance=q, **shape)
    found = predict(net)
    assert found.checks.certified
    assert len(found.spectrum.bulks) == 2
    # Moments come from series, masses from the density: a bulk that is missed shows.
    assert abs(found.checks.mass_defect) < 1e-10
    assert max(map(abs, found.checks.moment_defects)) < 1e-10


@pytest.mark.parametrize(
    "shape",
    [
        {"depth": 196, "activation": "elu", "weights": "orthogonal", "sigma_w": "critical", "q_star": 0.004773},
        {
            "weights": "orthogonal",
            "sigma_w": 0.818,
            "sigma_b": 0.092,
            "input_variance": 2.33e-06,
            "input_width": 300,
            "layers": [
                {"repeat": 119, "activation": "identity", "width": 50},
                {"activation": "gelu", "width": 32},
                {"activation": "hardtanh", "weights": "gaussian", "width": 784},
                {"repeat": 5, "activation": "identity", "width": 784},
            ],
        },
    ],
)
def test_tails_that_begin_too_thin_to_show_are_no_bulks(shape) -> None:
    found = predict(Network(**shape))
    assert found.checks.certified
    assert len(found.spectrum.bulks) == 1
    assert abs(found.checks.mass_defect) < 1e-12


def test_edges_beside_the_cut_of_a_law_are_critical_points() -> None:
    """1 − y sup φ'² = 2e-9 at λ_max: there steps of Newton's method are short although d log u/dζ is not small."""
    net = Network(
        activation="hardswish", weights="gaussian", sigma_w=1.683, sigma_b=0.345, input_variance=0.02961, depth=2
    )
    field = mean_field(net)
    for level in (5, 6, 7):
        equation = jacobian_equation(field, level=level)
        edge = survey(equation).arcs[0].first
        assert edge is not None
        point = Walker(equation)._point(complex(edge.zeta), edge.v.real)
        assert abs(complex(point.slope) * edge.zeta) < 1e-5
        assert predict(net).spectrum.log_support[1] == pytest.approx(float(edge.log_u), rel=1e-12)


def test_a_sweep_that_creeps_gives_up(monkeypatch) -> None:
    monkeypatch.setattr(bulk, "MOST_JUMPS", 0)
    monkeypatch.setattr(bulk.BulkWalker, "_past_turn", lambda *_: None)
    with pytest.raises(ConvergenceError, match="creeps"):
        survey(equation_of([layer("softsign", 1.0, "orthogonal", 100)]))


def silverstein_edges(ratio: float, squares: tuple[float, ...]) -> list[float]:
    """Edges of MP(c) ⊠ Σ δ_t/n: z = −1/m + c Σ p t/(1 + t m) at the real roots of 1/m² = c Σ p t²/(1 + t m)².

    Silverstein and Choi, J. Multivariate Anal. 54 (1995), 295-309.
    """
    share = 1.0 / len(squares)
    left, right = np.poly1d([1.0]), np.poly1d([0.0])
    for t in squares:
        others = np.poly1d([1.0])
        for s in squares:
            others = others * np.poly1d([s, 1.0]) ** 2 if s != t else others
        left, right = left * np.poly1d([t, 1.0]) ** 2, right + others * np.poly1d([ratio * share * t**2, 0.0, 0.0])
    roots = [float(m.real) for m in (left - right).roots if abs(m.imag) < 1e-9]
    return sorted(-1.0 / m + ratio * sum(share * t / (1.0 + t * m) for t in squares) for m in roots)


@pytest.mark.parametrize(
    ("ratio", "squares"),
    [
        *((c, (1.0, 2.0)) for c in (0.0998, 0.0999, 0.09999, 0.1, 0.10001, 0.1001, 0.101, 0.15)),
        *((c, (2.0, 6.0)) for c in (0.1999, 0.2, 0.2001)),
        *((c, (1.0, 2.0, 4.0)) for c in (0.0235, 0.104, 0.1453, 0.146)),
    ],
)
def test_no_gap_is_lost_where_the_stieltjes_transform_vanishes_beside_its_edge(ratio, squares) -> None:
    # There w = −1, and ζ is infinite: at c = 1/10 in the middle of δ_1 + δ_2 exactly at the edge 1.35.
    spectrum = free_product(MarchenkoPastur(ratio), Discrete(squares)).spectrum()
    found = [end for bulk in spectrum.bulks for end in bulk]
    assert found == pytest.approx(silverstein_edges(ratio, squares), rel=1e-12)
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("width", [998, 1000, 1001, 1010])
def test_networks_with_such_gaps_are_certified_with_all_their_edges(width: int) -> None:
    leaky = {"name": "leaky_relu", "negative_slope": 2.0}
    keys = {"sigma_w": 1.0, "input_variance": 1.0, "input_width": 10000}
    pred = predict(Network(depth=1, activation=leaky, width=width, **keys))
    assert pred.checks.certified
    edges = silverstein_edges(width / 10000, (1.0, 4.0))
    assert [end for bulk in pred.spectrum.bulks for end in bulk] == pytest.approx(edges, rel=1e-12)
    # φ'² is 1 and 2 but for the rounding of √2: the gap whose edge is where G vanishes.
    leaky["negative_slope"] = 2.0**0.5
    pred = predict(Network(depth=1, activation=leaky, width=width, **keys))
    assert pred.checks.certified
    edges = silverstein_edges(width / 10000, (1.0, leaky["negative_slope"] ** 2))
    assert [end for bulk in pred.spectrum.bulks for end in bulk] == pytest.approx(edges, rel=1e-12)


def two_slopes(slope: float, depth: int) -> Network:
    activation = {"name": "leaky_relu", "negative_slope": slope}
    return Network(
        depth=depth, activation=activation, weights="orthogonal", sigma_w=1.0, sigma_b=0.0, input_variance=1.0
    )


@pytest.mark.parametrize("slope", [0.5, 0.95, 0.98875, 0.99, 0.999, 1.00001, 1.000003, 1.0002, 1.001, 1.01, 1.3])
def test_two_orthogonal_layers_of_two_slopes_are_an_arcsine_law_in_disguise(slope: float) -> None:
    # D² U D² Uᵀ, D² = 1 or b at random: by the angle between two free projections of trace ½, whose cosine squared t
    # has the arcsine law (Voiculescu, Dykema, Nica 1992, §3.6); det and trace of the 2×2 blocks give
    # t = (λ − b)²/(λ (1 − b)²) for eigenvalues λ and b²/λ.
    found = predict(two_slopes(slope, 2))
    assert found.checks.certified
    b = slope**2
    low, high = sorted((1.0, b * b))
    assert found.spectrum.bulks[0] == pytest.approx((low, high), rel=1e-12)
    x = low + (high - low) * np.array([0.03, 0.21, 0.44, 0.7, 0.96])
    t = (x - b) ** 2 / (x * (b - 1) ** 2)
    slope_of_t = np.abs(2 * (x - b) / (x * (b - 1) ** 2) - (x - b) ** 2 / (x * (b - 1)) ** 2)
    expected = 0.5 * slope_of_t / (np.pi * np.sqrt(t * (1 - t)))
    # Places are known to their rounding, which is the width's share.
    assert found.spectrum.pdf(x) == pytest.approx(expected, rel=1e-10 + 1e-14 / abs(b - 1))


def test_narrow_laws_of_atoms_have_their_lower_end() -> None:
    found = predict(two_slopes(1.0000001, 5))
    assert found.checks.certified
    assert 1.0 <= found.spectrum.support()[0] < found.spectrum.support()[1] < 1.0000001**10 + 1e-15


@pytest.mark.parametrize(("bend", "q"), [(0.08113, 0.9995), (0.04283, 0.1013), (0.03277, 0.9882)])
def test_atoms_between_narrow_bulks_are_found(bend: float, q: float) -> None:
    activation = {"expr": f"x+{bend}*clip(x,-1,1)"}
    found = predict(
        Network(depth=2, activation=activation, weights="orthogonal", sigma_w=1.0, sigma_b=0.0, input_variance=q)
    )
    assert found.checks.certified
    # p + p' − 1 of the masses at each layer (Bercovici and Voiculescu 1998).
    second = float(found.mean_field.q[1])
    shares = [math.erf(1 / math.sqrt(2 * v)) for v in (q, second)]
    tops = {a.location: a.mass for a in found.spectrum.atoms}
    assert tops[max(tops)] == pytest.approx(shares[0] + shares[1] - 1, rel=1e-11)
    assert sum(tops.values()) < 1.0


@pytest.mark.parametrize(("weights", "depth"), [("gaussian", 1), ("orthogonal", 2), ("orthogonal", 3)])
def test_gap_of_a_law_whose_slopes_leave_one(weights: str, depth: int) -> None:
    # φ'² lies in (0, 0.044) and (1.46, 2.25): between the two a subordination point is on no cut.
    net = Network(
        depth=depth, activation={"expr": "clip(x,-1,1)+tanh(x)/2"}, weights=weights, sigma_w=0.49, sigma_b=0.318,
        input_variance=1.914,
    )  # fmt: skip
    pred = predict(net)
    assert pred.checks.certified
    bulks = pred.spectrum.bulks
    assert len(bulks) >= 2
    if depth == 1:
        # λ above the gap is what units with |h| < 1 have: P(|h| < 1) of the mass.
        q = 0.49**2 * 1.914 + 0.318**2
        assert 1.0 - pred.spectrum.cdf(bulks[0][1]) == pytest.approx(math.erf(1.0 / math.sqrt(2.0 * q)), abs=1e-12)


def test_one_orthogonal_layer_has_the_gaps_of_its_slopes() -> None:
    # ELU with α = ½: slopes in (0, ½) and 1.
    pred = predict(
        Network(depth=1, activation={"name": "elu", "alpha": 0.5}, weights="orthogonal", sigma_w=1.0, sigma_b=0.3)
    )
    (bulk,) = pred.spectrum.bulks
    assert bulk == pytest.approx((0.0, 0.25), abs=1e-14)
    (atom,) = pred.spectrum.atoms
    assert atom.location == pytest.approx(1.0, abs=1e-15)
    assert atom.mass == pytest.approx(0.5, abs=1e-15)
    net = Network(
        depth=1, activation={"expr": "clip(x,-1,1)+tanh(x)/2"}, weights="orthogonal", sigma_w=1.0, sigma_b=0.3,
        input_variance=1.0,
    )  # fmt: skip
    pred = predict(net)
    low, high = pred.spectrum.bulks
    assert low == pytest.approx((0.0, (0.5 / math.cosh(1.0) ** 2) ** 2), abs=1e-13)
    assert high == pytest.approx(((1.0 + 0.5 / math.cosh(1.0) ** 2) ** 2, 2.25), rel=1e-13)
    q = 1.09
    inner = math.erf(1.0 / math.sqrt(2.0 * q))
    assert pred.spectrum.cdf(low[1]) == pytest.approx(1.0 - inner, abs=1e-13)
    assert pred.spectrum.icdf(0.999 * (1.0 - inner)) < low[1]
    assert pred.spectrum.icdf(1.0 - 0.999 * inner) > high[0]
    assert pred.spectrum.pdf(1.0) == 0.0


def test_slopes_that_level_off_where_the_formula_overflows() -> None:
    pred = predict(
        Network(depth=1, activation={"expr": "sqrt(1+x**2)"}, weights="orthogonal", sigma_w=1.0, sigma_b=0.1)
    )
    assert pred.spectrum.support() == pytest.approx((0.0, 1.0), abs=1e-13)


@pytest.mark.parametrize("q", [0.1, 0.11, 0.5, 1.0])
def test_no_value_at_the_top_of_one_orthogonal_layer_is_lost_to_rounding(q: float) -> None:
    # φ'(0)² = 1 is where tanh has its largest slopes: nodes beside 0 may come out a rounding above it.
    pred = predict(Network(depth=1, activation="tanh", weights="orthogonal", sigma_w="critical", q_star=q))
    assert pred.checks.certified
    assert max(map(abs, pred.checks.moment_defects)) < 1e-12
