"""Mean field: published numbers, fixed points of every kind, the rules of `input_variance`, and what is said."""

import math
import re

import numpy as np
import pytest

from spectra.activations import get_activation
from spectra.errors import ConfigError
from spectra.network import Network
from spectra.network.expectations import gaussian_moments
from spectra.network.meanfield import mean_field
from spectra.network.qmap import VarianceMap
from spectra.network.zeros import bracketed_newton, bracketed_zero

PLAIN_ERF = {"expr": "erf(x)"}


def net(
    activation: object = "tanh", sigma_w: object = 1.5, sigma_b: object = 0.05, depth: int = 6, **keys: object
) -> Network:
    keys = {"activation": activation, "sigma_w": sigma_w, "sigma_b": sigma_b, "depth": depth} | keys
    return Network(**{k: v for k, v in keys.items() if v is not None})


# By two routes each: tanh–sinh panels with a secant at 28 digits; 60-point composite Gauss–Legendre with brentq.
@pytest.mark.parametrize(
    ("activation", "sigma_w", "sigma_b", "attribute", "exact"),
    [
        ("tanh", 1.3, 0.3, "chi_1", 0.9398074286821538),
        ("tanh", 2.5, 0.3, "chi_1", 1.585224765006033),
        ("tanh", 4.0, 0.3, "chi_1", 2.36726103554588),
        (PLAIN_ERF, 1.5, 0.2, "q_star", 1.141466051419951),
        (PLAIN_ERF, 1.5, 0.2, "chi_1", 1.214300946622110),
        ("hardtanh", 1.5, 0.1, "chi_1", 1.403329084368343),
        ("gelu", 1.3, 0.3, "q_star", 0.1963628844534748),
        ("gelu", 1.3, 0.3, "chi_1", 0.57379913604686580),
        ("elu", 1.1, 0.3, "chi_1", 0.8567182263656406),
        ("sigmoid", 2.0, 0.5, "q_star", 1.476628967630113),
        ("tanh", 1.5, 0.3, "xi_q", 1.16749933274753590),
        ("tanh", 2.5, 0.3, "chi_c_star", 0.822229172723562),
        ("tanh", 4.0, 0.3, "chi_c_star", 0.759743605012182),
    ],
)
def test_published_mean_fields(
    activation: object, sigma_w: float, sigma_b: float, attribute: str, exact: float
) -> None:
    value = getattr(mean_field(net(activation, sigma_w, sigma_b)), attribute)
    assert value == pytest.approx(exact, rel=1e-13)


def test_quoted_slope_of_a_well_known_recipe() -> None:
    field = mean_field(net("tanh", 1.5, 0.05))
    assert field.chi_1 == pytest.approx(1.1367, abs=5e-5)
    assert field.phase == "chaotic"


def test_depth_scales_follow_from_their_definitions() -> None:
    ordered = mean_field(net("tanh", 1.3, 0.3))
    assert (ordered.phase, ordered.c_star, ordered.chi_c_star) == ("ordered", 1.0, ordered.chi_1)
    assert ordered.xi_c == pytest.approx(-1.0 / math.log(0.9398074286821538), rel=1e-12)
    # ξ_q from the decay of the iterated map itself
    q = ordered.q_star
    assert q is not None
    step = VarianceMap(get_activation("tanh"), 1.3, 0.3)
    near = [q * (1.0 + 1e-5)]
    near.append(step(near[0]))
    assert -1.0 / math.log((near[1] - q) / (near[0] - q)) == pytest.approx(ordered.xi_q, rel=1e-4)


def test_variances_iterate_the_map_from_the_input() -> None:
    field = mean_field(net("gelu", 1.3, 0.3, input_variance=2.0))
    moments = gaussian_moments(get_activation("gelu"))
    q = 1.3**2 * 2.0 + 0.3**2
    for layer in range(6):
        # Three roundings a layer, and 1.69 is not the double 1.3²: 6 · (3 · 1.1e-16 + 1.3e-16).
        assert field.q[layer] == pytest.approx(q, rel=3e-15)
        assert field.chi[layer] == pytest.approx(1.69 * moments.at(q).slope2, rel=3e-15)
        q = 1.69 * moments.at(q).second + 0.09


def test_a_layer_receives_the_activation_of_the_layer_before() -> None:
    layers = [
        {"activation": "gelu", "sigma_w": 1.3},
        {"activation": "relu", "sigma_w": 1.2, "repeat": 2},
        {"activation": "sin", "sigma_w": 0.9},
    ]
    field = mean_field(Network(layers=layers, sigma_b=0.1, input_variance=1.0))
    q_1 = 1.69 + 0.01
    q_2 = 1.44 * gaussian_moments(get_activation("gelu")).at(q_1).second + 0.01
    q_3 = 1.44 * q_2 / 2.0 + 0.01
    q_4 = 0.81 * q_3 / 2.0 + 0.01
    assert field.q == pytest.approx([q_1, q_2, q_3, q_4], rel=1e-15)
    assert field.chi[1:] == pytest.approx([0.72, 0.72, 0.81 * (1 + math.exp(-2 * q_4)) / 2], rel=1e-15)
    assert (field.q_star, field.chi_1, field.c_star, field.xi_c, field.xi_q) == (None,) * 5
    assert field.phase == "ordered"
    assert any("geometric mean" in note for note in field.notes)


def test_critical_layers_have_slope_exactly_one() -> None:
    for activation in ("tanh", "gelu", "hardtanh", "selu"):
        field = mean_field(net(activation, "critical", None, q_star=0.3, depth=10**6))
        assert len(field.runs) == 1
        assert (field.runs[0].q, field.runs[0].chi, field.runs[0].repeat) == (0.3, 1.0, 10**6)
        assert (field.phase, field.c_star, field.xi_c, field.q_star) == ("critical", 1.0, None, 0.3)
        assert any("xi_c is null" in note for note in field.notes)
        assert field.q.shape == field.chi.shape == (10**6,)
    moments = gaussian_moments(get_activation("tanh")).at(0.3)
    tanh = mean_field(net("tanh", "critical", None, q_star=0.3)).runs[0]
    assert tanh.spec.sigma_w == pytest.approx(moments.slope2**-0.5, rel=1e-15)
    assert tanh.spec.q_star is None
    assert tanh.slope_moment == moments.slope2


def test_variances_settle_and_merge_at_the_fixed_point() -> None:
    field = mean_field(net("tanh", "critical", None, q_star=0.1, depth=10**6, input_variance=1.0))
    assert len(field.runs) < 300
    assert (field.runs[-1].q, field.runs[-1].chi) == (0.1, 1.0)
    assert field.runs[-1].repeat > 10**6 - 300
    assert field.depth == 10**6


def test_input_variance_left_out_is_the_fixed_point_where_one_is_stable() -> None:
    field = mean_field(net("tanh", 1.5, 0.05))
    assert np.ptp(field.q) == 0.0
    assert field.q[0] == field.q_star
    assert 1.5**2 * field.input_variance + 0.05**2 == pytest.approx(field.q_star, rel=1e-15)
    assert mean_field(net("tanh", 1.5, 0.05, input_variance="fixed-point")).q[0] == field.q_star


def test_relu_at_criticality_has_a_line_of_fixed_points() -> None:
    assert VarianceMap(get_activation("relu"), math.sqrt(2.0), 0.0).fixed_points().line
    for variance in (None, "fixed-point"):
        field = mean_field(net("relu", "critical", 0.0, input_variance=variance))
        assert field.input_variance == 1.0
        assert field.q == pytest.approx(np.full(6, 2.0), rel=1e-15)
        assert np.all(field.chi == 1.0)
        assert any("every variance is a fixed point" in note for note in field.notes)
    field = mean_field(net("relu", "critical", 0.0, input_variance=0.3))
    assert field.q == pytest.approx(np.full(6, 0.6), rel=1e-15)
    assert field.phase == "critical"


def test_relu_with_bias_at_criticality_grows_linearly_and_cheaply() -> None:
    field = mean_field(net("relu", math.sqrt(2.0), 0.5, depth=10**6))
    assert len(field.runs) == 1
    assert field.q[[0, 1, -1]] == pytest.approx([2.25, 2.5, 2.25 + 0.25 * (10**6 - 1)], rel=1e-12)
    assert field.q_star is None
    assert any("grow without bound" in note for note in field.notes)
    with pytest.raises(ConfigError, match='`input_variance = "fixed-point"`: no stable fixed point'):
        mean_field(net("relu", math.sqrt(2.0), 0.5, input_variance="fixed-point"))


def test_relu_variances_follow_the_geometric_law() -> None:
    field = mean_field(net("relu", 1.2, 0.3, depth=40, input_variance=5.0))
    q = 1.44 * 5.0 + 0.09
    for value in field.q:
        assert value == pytest.approx(q, rel=1e-13)
        q = 0.72 * q + 0.09
    assert mean_field(net("relu", 1.2, 0.3)).q_star == pytest.approx(0.09 / 0.28, rel=1e-15)


def test_several_fixed_points_are_all_found() -> None:
    # x·2x²/(1 + x²) + x/4: damped near 0, amplified beyond, σ_w between: 0 stable, one unstable, and a tanh-like top
    activation = get_activation({"expr": "3*tanh(x**3) + x/4"})
    found = VarianceMap(activation, 1.0, 0.0).fixed_points()
    assert [p.stable for p in found.points] == [True, False, True]
    for p in found.points[1:]:
        assert VarianceMap(activation, 1.0, 0.0)(p.q) == pytest.approx(p.q, rel=1e-14)
    low, high = found.points[1].q, found.points[2].q
    for factor, target in ((0.9, 0.0), (1.1, high)):
        q = low * factor
        for _ in range(400):
            q = VarianceMap(activation, 1.0, 0.0)(q)
        assert q == pytest.approx(target, rel=1e-12, abs=1e-12)
    assert mean_field(net({"expr": "3*tanh(x**3) + x/4"}, 1.0, 0.0)).q_star == high
    assert mean_field(net({"expr": "3*tanh(x**3) + x/4"}, 1.0, 0.0, input_variance=low * 0.5)).q_star == 0.0


def test_several_stable_fixed_points_are_listed() -> None:
    activation = {"expr": "3*tanh(x**3) + x/4"}
    field = mean_field(net(activation, 1.0, 0.01))
    assert field.input_variance == 1.0
    assert any("several stable fixed points" in note for note in field.notes)
    with pytest.raises(ConfigError, match=r"several stable fixed points, q\* = .*; give a number"):
        mean_field(net(activation, 1.0, 0.01, input_variance="fixed-point"))


@pytest.mark.parametrize("sigma_b", [1e-30, 1e-9, 1e-3])
def test_tiny_fixed_points_are_found(sigma_b: float) -> None:
    (point,) = VarianceMap(get_activation("tanh"), 0.5, sigma_b).fixed_points().points
    q = sigma_b**2 / 0.75
    assert point.q == pytest.approx(q, rel=1e-15 + 3.0 * q)
    assert (point.slope, point.stable) == (pytest.approx(0.25, rel=4.0 * q + 1e-14), True)


def test_origin_is_a_fixed_point_whose_stability_is_its_slope() -> None:
    tanh = get_activation("tanh")
    for sigma_w, stable in ((0.9, True), (1.0, True), (1.1, False)):
        point = VarianceMap(tanh, sigma_w, 0.0).fixed_points().points[0]
        assert (point.q, point.stable) == (0.0, stable)
        assert point.slope == pytest.approx(sigma_w**2, rel=1e-15)
    field = mean_field(net("tanh", 0.9, 0.0, input_variance="fixed-point"))
    assert (field.runs[0].q, field.chi_1, field.phase) == (0.0, pytest.approx(0.81), "ordered")
    assert field.c_star is None
    # gelu doubles small variances at σ_w > 2; its slope at criticality lies above 1
    assert not VarianceMap(get_activation("gelu"), 2.0, 0.0).fixed_points().points[0].stable


def test_decaying_variance_reaches_the_linear_limit_plainly() -> None:
    field = mean_field(net("tanh", 0.1, 0.0, depth=400, input_variance=1.0))
    assert field.q[-1] == 0.0
    assert field.chi[-1] == pytest.approx(0.01, rel=1e-15)
    assert any("falls below 1e-300 at layer 15" in note for note in field.notes)
    kinked = mean_field(net("elu", 0.1, 0.0, depth=400, input_variance=1.0))
    assert kinked.chi[-1] == pytest.approx(0.01, rel=1e-15)


def test_growing_variance_is_refused_with_its_layer() -> None:
    with pytest.raises(ConfigError, match=r"`input_variance = 1`: .* exceeds 1e\+300 at layer 996"):
        mean_field(net("relu", 2.0, 0.0, depth=1100, input_variance=1.0))
    with pytest.raises(ConfigError, match=r"exceeds 1e\+300 at layer 9"):
        mean_field(net("gelu", 2.0, 0.001, depth=1100, input_variance=1.0))


def test_unstable_critical_variance_is_said() -> None:
    field = mean_field(net("gelu", "critical", None, q_star=1.0))
    assert field.q[0] == 1.0
    assert field.xi_q is None
    assert any("unstable" in note for note in field.notes)


def test_mixed_critical_layers_stay_at_their_common_variance() -> None:
    layers = [{"activation": "relu", "repeat": 3}, {"activation": "tanh", "repeat": 2}, {"activation": "hardtanh"}]
    field = mean_field(Network(layers=layers, sigma_w="critical", q_star=0.5))
    assert field.q.shape == (6,)
    assert np.all(field.q == 0.5)
    assert np.all(field.chi == 1.0)
    assert (field.phase, field.q_star, field.chi_1) == ("critical", 0.5, 1.0)
    # the resolved numbers, iterated plainly, do stay there
    second = field.input_variance
    for run in field.runs:
        for _ in range(run.repeat):
            q = float(run.spec.sigma_w) ** 2 * second + float(run.spec.sigma_b or 0.0) ** 2
            assert q == pytest.approx(0.5, rel=1e-14)
            second = gaussian_moments(run.spec.activation).at(q).second


def test_mixed_critical_layers_that_cannot_stay_are_said() -> None:
    layers = [{"activation": "tanh", "repeat": 3}, {"activation": "gelu", "repeat": 2}]
    field = mean_field(Network(layers=layers, sigma_w="critical", q_star=0.5))
    assert field.input_variance == 1.0
    assert any("`gelu` after `tanh` cannot stay" in note for note in field.notes)
    with pytest.raises(ConfigError, match="share no fixed point"):
        mean_field(Network(layers=layers, sigma_w="critical", q_star=0.5, input_variance="fixed-point"))


def test_widths_become_fans_and_do_not_change_the_map() -> None:
    layers = [{"width": 512}, {"width": 256, "repeat": 3}, {"width": 10}]
    field = mean_field(Network(layers=layers, activation="tanh", sigma_w=1.4, sigma_b=0.1, input_width=784))
    assert [(r.fan_in, r.fan_out, r.repeat) for r in field.runs] == [
        (784, 512, 1),
        (512, 256, 1),
        (256, 256, 2),
        (256, 10, 1),
    ]
    assert np.all(field.q == field.q_star)
    bare = mean_field(net("tanh", 1.4, 0.1))
    assert (bare.runs[0].fan_in, bare.runs[0].fan_out, bare.q_star) == (None, None, field.q_star)


def test_homogeneous_layers_split_by_width_keep_their_variances() -> None:
    layers = [{"width": 50}, {"width": 40, "repeat": 4}]
    field = mean_field(
        Network(layers=layers, activation="relu", sigma_w=1.1, sigma_b=0.2, input_width=60, input_variance=1.0)
    )
    q = 1.21 + 0.04
    for value in field.q:
        assert value == pytest.approx(q, rel=1e-14)
        q = 0.605 * q + 0.04


def test_zeros_are_found_where_plain_newton_diverges() -> None:
    def steep(x: float) -> tuple[float, float]:
        return math.atan(50.0 * (x - 0.7)), 50.0 / (1.0 + 2500.0 * (x - 0.7) ** 2)

    assert bracketed_newton(steep, -3.0, 2.0) == pytest.approx(0.7, abs=1e-15)
    assert bracketed_zero(lambda x: steep(x)[0], -3.0, 2.0) == pytest.approx(0.7, abs=1e-15)
    assert bracketed_zero(lambda x: x**3 - 2.0, 0.0, 10.0) == pytest.approx(2.0 ** (1.0 / 3.0), rel=4e-16)


def test_several_fixed_points_are_all_said() -> None:
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    weights = weights / weights.sum()
    field = mean_field(Network(depth=5, activation="silu", sigma_w=1.49776, sigma_b=0.3, input_variance=5.0))
    (note,) = [note for note in field.notes if "several fixed points" in note]
    found = re.findall(r"([\d.]+) \((stable|unstable)\)", note)
    assert [kind for _, kind in found] == ["stable", "unstable"]
    for text, kind in found:
        q = float(text)

        def image(q: float) -> float:
            h = np.sqrt(q) * nodes
            return 1.49776**2 * float(weights @ (h / (1 + np.exp(-h))) ** 2) + 0.09

        assert image(q) == pytest.approx(q, rel=1e-5)
        assert (image(1.01 * q) - image(0.99 * q) < 0.02 * q) == (kind == "stable")
    assert "no fixed point is approached" in field.notes[0]


@pytest.mark.parametrize("name", ["tanh", "gelu", "sigmoid", "hardtanh", "elu"])
def test_fixed_points_by_newtons_method_are_those_of_bisection(name: str) -> None:
    phi = get_activation(name)
    for w, b in ((0.8, 0.1), (1.2, 0.3), (1.45, 0.05), (3.0, 1.0)):
        step = VarianceMap(phi, w, b)
        for point in step.fixed_points().points:
            if point.q == 0.0:
                continue
            low, high = point.q * 0.999, point.q * 1.001
            sign = step(low) > low
            assert sign != (step(high) > high)
            for _ in range(80):
                middle = 0.5 * (low + high)
                low, high = (middle, high) if (step(middle) > middle) == sign else (low, middle)
            assert point.q == pytest.approx(low, rel=4e-15 / abs(1.0 - point.slope))
            # E[xφφ']/q beside the difference of the map.
            h = 1e-5 * point.q
            difference = (step(point.q + h) - step(point.q - h)) / (2.0 * h)
            assert point.slope == pytest.approx(difference, rel=1e-8, abs=1e-8)
