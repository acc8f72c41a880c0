"""Causes of failure met among random networks, each mended: what came out is held against another route."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from networks import equation_of, layer

from spectra import ConfigError, ConvergenceError, Network, charting, predict, prediction
from spectra.activations import get_activation
from spectra.assembly import Assembly
from spectra.chart import Chart
from spectra.continuation import locate
from spectra.effort import OutOfWork, limited
from spectra.laws.nodes import LawStack
from spectra.laws.pushforward import slope_law
from spectra.network.jacobian import jacobian_equation
from spectra.prediction import Prediction
from spectra.survey import resurvey, survey
from spectra.tail import with_exact_tail


def agrees(found: Prediction, levels: list[float]) -> None:
    """Certified, and the density at these quantiles is that of roots found without sweep or chart."""
    assert found.checks.certified, found.checks
    u = found.spectrum.quantile_at(np.array(levels))
    equation = jacobian_equation(found.mean_field, level=2, extra=len(found.mean_field.runs))
    roots = locate(equation, u)
    assert roots.certified.all()
    assert found.spectrum.log_density_at(u) == pytest.approx(equation.log_density(roots.zeta), abs=1e-8)


def test_sweep_ends_where_all_mass_has_been_met() -> None:
    # Beyond the last node of the law there is only rounding to follow.
    equation = equation_of([layer("softsign", 0.3, "orthogonal", 8)])
    assert survey(equation).steps < 100


def test_slopes_that_underflow_leave_no_edge() -> None:
    layers = [{"repeat": 2, "activation": "smoothed_relu", "weights": "gaussian"}]
    agrees(predict(Network(activation="elu", sigma_w="critical", q_star=1.494, layers=layers)), [0.01, 0.2, 0.7, 0.99])


def test_few_active_units_at_a_diverging_variance() -> None:
    layers = [
        {"repeat": 3, "activation": "relu", "weights": "gaussian", "sigma_w": 40.0},
        {"repeat": 2, "activation": "erf", "weights": "orthogonal"},
    ]
    found = predict(Network(sigma_w=1.5, sigma_b=0.1, input_variance=1.0, activation="erf", layers=layers))
    zero = found.spectrum.atom_at_zero
    agrees(found, [zero + (1.0 - zero) * p for p in (0.3, 0.6, 0.9)])


def test_mass_in_a_tail_below_all_doubles_closes() -> None:
    layers: list[dict[str, Any]] = [
        {"repeat": 2, "width": 128},
        {"repeat": 5, "activation": "silu", "weights": "orthogonal", "width": 50},
        {"repeat": 3, "activation": "softplus", "weights": "gaussian", "width": 10},
        {"repeat": 2, "activation": {"name": "gelu", "approximate": "tanh"}, "weights": "gaussian", "width": 10},
    ]
    keys = {"activation": "prelu", "sigma_w": 1.234, "sigma_b": 0.799, "input_variance": 0.1106, "input_width": 32}
    found = predict(Network(**keys, layers=layers))
    assert found.checks.certified
    assert abs(found.checks.mass_defect) < 1e-11


def test_narrow_bulk_far_from_one_is_resolved_as_far_as_its_place() -> None:
    found = predict(
        Network(activation="hardswish", weights="orthogonal", sigma_w=0.823, input_variance=1.904e-06, depth=22)
    )
    assert found.checks.certified
    # Variances of free factors of mean one add up, but for their products.  φ' = 1/2 + h/3, and |h| < 3 all but surely.
    q = found.mean_field.q
    assert q.max() < 2e-6
    variance = ((1 / 16 + q / 6 + q**2 / 27) / (1 / 4 + q / 9) ** 2 - 1).sum()
    law = found.spectrum
    assert math.expm1(law.log_moment_by_quadrature(2) - 2 * law.log_mean) == pytest.approx(variance, rel=1e-4)


def test_saturated_layers_are_refused() -> None:
    layers = [{"repeat": 60, "activation": "relu", "sigma_w": 3.0}, {"activation": "tanh"}]
    with pytest.raises(ConfigError, match="carry all of E φ'²"):
        predict(Network(activation="relu", sigma_w=1.0, input_variance=1.0, layers=layers))


def test_quantile_at_the_top_of_one_saturating_layer_has_its_mass() -> None:
    found = predict(Network(activation="smoothed_relu", weights="orthogonal", sigma_w=1.3, input_variance=4.0, depth=1))
    p = np.linspace(0.8, 0.999, 20)
    law = found.spectrum
    assert np.all(law.mass_at_or_below(law.quantile_at(p)) >= p - 1e-14)


def test_edges_found_again_with_finer_laws_are_those_of_a_sweep() -> None:
    layers = [layer("tanh", 0.5, "orthogonal", 3), layer("erf", 1.0, "gaussian", 1)]
    known, finer = survey(equation_of(layers)), equation_of(layers, level=1)
    again, own = resurvey(finer, known), survey(finer)
    for one, other in zip(again.arcs, own.arcs, strict=True):
        assert one.low_u == pytest.approx(other.low_u, rel=1e-14)
        assert (one.last is None) == (other.last is None)


def test_work_is_limited() -> None:
    equation = equation_of([layer("tanh", 0.5, "gaussian", 3)])
    with limited(1e5), pytest.raises(OutOfWork, match="terms of its equation"):
        survey(equation)
    assert issubclass(OutOfWork, ConvergenceError)
    assert survey(equation).arcs


@pytest.mark.parametrize("q", [1e2, 1e6, 1.9e10])
def test_nodes_of_a_law_of_few_units_are_good_close_to_the_cut(q: float) -> None:
    """φ'² = e^{−πx²/2}: by a rule on a line of complex x, where the pole is far."""
    law = slope_law(get_activation("erf"), q)
    v = (1.108 + 1.5e-3j) / law.largest
    # The upper half of the t-plane is below the real x-axis; both ends on it.
    nodes, rule = np.polynomial.legendre.leggauss(400)
    corners = np.array([0.0, 0.5 - 0.2j, 3.0 - 0.2j, 4.0, 12.0])
    expected = 0.0j
    for a, b in pairwise(corners):
        x = 0.5 * (a + b) + 0.5 * (b - a) * nodes
        t = law.largest * np.exp(-0.5 * math.pi * x**2)
        weight = 2.0 * np.exp(-(x**2) / (2.0 * q)) / math.sqrt(2.0 * math.pi * q) / law.rank
        expected += 0.5 * (b - a) * rule @ (weight * v * t / (1.0 - v * t))
    psi = LawStack([law]).evaluate(np.array([[v]]))[0][0, 0]
    assert abs(psi - expected) < 3e-12 * abs(expected)


@pytest.mark.parametrize("q", [1e6, 1e12, 1e22])
def test_wide_laws_are_resolved_beside_their_ends(q: float) -> None:
    """Softsign: φ'² = (1 + |x|)⁻⁴, with y = log(1 + |x|) as the variable of a composite rule."""
    law = slope_law(get_activation("softsign"), q, level=4)
    v = 0.9996 / law.largest
    nodes, rule = np.polynomial.legendre.leggauss(40)
    ends = np.concatenate([[0.0], np.geomspace(1e-7, 60.0, 80)])
    half = 0.5 * np.diff(ends)[:, None]
    y = (ends[:-1, None] + half + half * nodes).ravel()
    x, share = np.expm1(y), 0.9996 * np.exp(-4.0 * y)
    weight = 2.0 * np.exp(y - x**2 / (2.0 * q)) / math.sqrt(2.0 * math.pi * q)
    expected = (half * rule).ravel() @ (weight * share / (1.0 - share))
    psi = LawStack([law]).evaluate(np.array([[v + 0j]]))[0][0, 0]
    assert psi.real == pytest.approx(expected, rel=1e-9)


# Two bulks of equal mass, the second φ'² ≈ 0.09 of the first, and between them a density below 1e-16.
DIP: dict[str, Any] = {
    "activation": {"name": "leaky_relu", "negative_slope": 0.3},
    "sigma_w": 1.135,
    "input_variance": 7.472e-5,
    "input_width": 128,
    "layers": [{"width": 50}, {"activation": "sigmoid", "width": 784}],
}


def test_a_dip_between_two_bulks_is_no_end() -> None:
    found = predict(Network(**DIP))
    agrees(found, [0.94, 0.96, 0.99])
    # Half of the 50 directions is at either slope.
    assert found.spectrum.cdf(0.3) - found.spectrum.cdf(1e-6) == pytest.approx(25 / 784, rel=1e-9)


def test_a_bulk_that_was_missed_is_missing_in_the_mass() -> None:
    """The tail of the upper bulk of `DIP` alone is not given the mass of the lower one."""
    equation = jacobian_equation(predict(Network(**DIP)).mean_field)
    first, second = survey(equation).arcs
    assert second.low_u > first.log_u[-1]
    alone = replace(first, last=None, fading=-1e3)
    chart = with_exact_tail(charting.chart(equation, alone), equation, alone)
    # As much lies in the lower bulk.  What the upper one loses beyond the last step of the sweep is 1e-9.
    assert chart.mass == pytest.approx(25 / 784, rel=1e-6)


def test_a_tail_is_not_given_what_lies_in_no_tail() -> None:
    """A fading arc that ends with 3e-13 beyond it, of a law whose rank says that a thousandth more is to come."""
    net = Network(depth=100, activation="silu", weights="orthogonal", sigma_w="critical", q_star=10.0)
    equation = jacobian_equation(predict(net).mean_field)
    (arc,) = survey(equation).arcs
    made = charting.chart(equation, arc)
    assert made.beyond[-1] > 1e-14
    missing: Any = SimpleNamespace(rank=equation.rank + 1e-3, mass_above=equation.mass_above)
    assert with_exact_tail(made, missing, arc).mass == made.mass


@pytest.mark.parametrize(
    "keys",
    [
        {"activation": "hardswish", "weights": "orthogonal", "sigma_w": "critical", "q_star": 0.005703, "depth": 85},
        {
            "activation": "logsigmoid", "weights": "orthogonal", "sigma_w": 1.299, "input_variance": 0.1656,
            "input_width": 784, "layers": [{"repeat": 4, "width": 300}],
        },
    ],
)  # fmt: skip
def test_starting_values_that_overshoot_are_no_thin_density(keys: dict[str, Any]) -> None:
    """Beside a steep rise polynomials through a piece are e^{-600} and e^{200} in turns; the mass was 1e33 and more."""
    found = predict(Network(**keys))
    agrees(found, [0.01, 0.3, 0.9, 0.999])
    assert abs(found.checks.mass_defect) < 1e-14


def test_starting_values_before_a_rise_out_of_nothing() -> None:
    """Nodes before the first one that Newton's method finds: their starts underflowed, and the mass was not a number.

    The upper end is a square root but for a density of e^{-30} above it: SiLU's slopes reach beyond what is likely.
    """
    found = predict(Network(activation="silu", weights="orthogonal", sigma_w=1.405, input_variance=0.2938, depth=5))
    agrees(found, [0.01, 0.3, 0.9, 0.999, 0.99999])
    assert abs(found.checks.mass_defect) < 1e-14


def test_a_tail_that_ends_sooner_than_its_slope_says_has_its_mass() -> None:
    """Slopes below 1e-46 fade out; what is beyond is found from the roots alone, by the primitive of the density."""
    layers = [{"repeat": 5}, {"repeat": 4}]
    found = predict(Network(activation="gelu", weights="gaussian", sigma_w=1.569, input_variance=1.022, layers=layers))
    assert found.checks.certified, found.checks
    equation = jacobian_equation(found.mean_field, level=2)
    u = np.array([20.0, 200.0, 900.0])
    roots = locate(equation, u)
    assert roots.certified.all()
    below = 1.0 - equation.mass_above(roots.zeta, roots.v)
    assert found.spectrum.mass_at_or_below(u) == pytest.approx(below, abs=1e-13)


def test_far_below_the_largest_eigenvalue_the_mass_is_still_to_come() -> None:
    """λ_max is e^22 times m_1, with a density of e^{-24} there: the sweep, which lost it, took that for the end."""
    layers = [
        {"repeat": 5, "activation": "sigmoid"},
        {"repeat": 52, "activation": "selu"},
        {"repeat": 3, "activation": "softsign"},
        {"repeat": 4, "activation": "mish"},
    ]
    found = predict(Network(weights="gaussian", sigma_w=1.973, sigma_b=0.443, input_variance=0.04909, layers=layers))
    assert abs(found.checks.mass_defect) < 1e-12
    # The bulk is begun on the scale of its edge: else moments are off by 1e-6.
    assert max(map(abs, found.checks.moment_defects)) < 1e-10
    assert found.checks.residual < 1e-10
    u = found.spectrum.quantile_at(np.array([0.6, 0.75, 0.99]))
    equation = jacobian_equation(found.mean_field, level=2, extra=len(found.mean_field.runs))
    roots = locate(equation, u)
    assert roots.certified.all()
    assert found.spectrum.log_density_at(u) == pytest.approx(equation.log_density(roots.zeta), abs=1e-8)


def test_a_law_without_one_of_its_bulks_is_no_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = prediction.spectrum_of

    def partial_law(*arguments: Any) -> Assembly:
        built = whole(*arguments)
        return replace(built, spectrum=replace(built.spectrum, arcs=built.spectrum.arcs[1:]))

    monkeypatch.setattr(prediction, "spectrum_of", partial_law)
    # 25 of 784 directions.
    with pytest.raises(ConvergenceError, match=r"a mass of 0\.968112 instead of 1: part of the spectrum was missed"):
        predict(Network(**DIP))


def test_the_rounded_tail_of_a_narrow_law_is_not_bisected() -> None:
    """Rounding of Im v is no structure; taken for one, it made 1372 pieces in 17 s."""
    layers = [{"repeat": 6, "width": 784}]
    found = predict(
        Network(activation="tanh", weights="orthogonal", sigma_w=0.898, input_variance=1.156e-06, input_width=100,
                layers=layers)
    )  # fmt: skip
    (arc,) = found.spectrum.arcs
    assert isinstance(arc, Chart)
    assert arc.breaks.size < 700
    agrees(found, [0.88, 0.93, 0.99])
    assert abs(found.checks.mass_defect) < 1e-11


@pytest.mark.parametrize("q", [2.594e-6, 2.558e-4])
def test_a_bulk_beside_an_atom_may_be_narrow(q: float) -> None:
    """CELU's slopes are 1 on half of the units.

    Begun beyond the bulk, the arc was a tail of e^{-44} and nothing else; and in the tail of a wider one rounding of
    Im s, 1e-3 of it, was held against all the mass nearer to the atom.
    """
    found = predict(Network(activation="celu", weights="orthogonal", sigma_w="critical", q_star=q, depth=2))
    agrees(found, [0.05, 0.5, 0.9])
    assert abs(found.checks.mass_defect) < 3e-11


def test_nodes_whose_start_is_far_too_dense_are_found() -> None:
    """Where a node's start was above 1e-9, its density below, its residual was held against the whole law."""
    gelu = {"name": "gelu", "approximate": "tanh"}
    keys = {"weights": "orthogonal", "sigma_w": "critical", "q_star": 0.008243, "input_variance": 0.008243}
    found = predict(Network(activation=gelu, **keys, depth=4))
    agrees(found, [0.01, 0.3, 0.9, 0.999])
    assert found.checks.certified


def test_a_tail_below_all_rounding_is_the_end() -> None:
    """A density of e^{-47}, with all mass met but 1e-11, that rose by rounding where the sweep was lost."""
    layers = [
        {"repeat": 1, "activation": {"name": "leaky_relu", "negative_slope": 0.3}, "weights": "orthogonal"},
        {"repeat": 14},
        {"repeat": 1, "activation": "silu", "weights": "orthogonal"},
    ]
    found = predict(Network(activation="sin", sigma_w="critical", q_star=0.002273, layers=layers))
    agrees(found, [1e-6, 0.1, 0.9, 0.999])
    assert abs(found.checks.mass_defect) < 1e-13


def test_how_much_is_ahead_is_asked_of_a_polished_point() -> None:
    """A residual of 1e-4 of log u is a hundredth of all mass at log u = 1000: the sweep went on to 12975."""
    layers = [{"repeat": 6, "activation": "hardsigmoid"}, {"repeat": 26, "activation": "hardtanh"}]
    found = predict(Network(weights="gaussian", sigma_w=0.515, sigma_b=0.998, input_variance=1.993, layers=layers))
    (arc,) = survey(jacobian_equation(found.mean_field)).arcs
    assert arc.log_u[-1] < 2000.0
    zero = found.spectrum.atom_at_zero
    agrees(found, [zero + (1.0 - zero) * p for p in (0.01, 0.3, 0.9)])
    assert abs(found.checks.mass_defect) < 1e-14


@pytest.mark.parametrize(("name", "q"), [("softplus", 3e3), ("logsigmoid", 950.0), ("sigmoid", 3e3)])
def test_one_layer_far_beyond_the_scale_of_its_activation(name: str, q: float) -> None:
    """The density integrates to the moments of the nodes, where φ' turns within a hundredth of the range of h."""
    found = predict(Network(depth=1, activation=name, weights="orthogonal", sigma_w=1.0, input_variance=q))
    assert found.checks.certified
    assert max(map(abs, found.checks.moment_defects)) < 1e-12
