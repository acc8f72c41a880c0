"""The verdict on prediction against samples: right where the theory holds, wrong where it was broken on purpose."""

import dataclasses
import json
from collections import namedtuple
from math import comb, nan
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spectra.agreement import FALSE_ALARM_RATE, _extrapolate, crosscheck
from spectra.distances import Grid, allowance
from spectra.extrapolation import extrapolate
from spectra.network import Network
from spectra.sampling import Ensemble, companions, sample

Atom = namedtuple("Atom", "location mass")


class Tabulated:
    """Law of λ = scale · x, x tabulated with its distribution function, plus an atom at zero."""

    def __init__(self, points, mass_below, atoms=(), scale=1.0):
        self.points, self.mass_below, self.scale = points, mass_below, scale
        self.atoms: Any = tuple(atoms)

    def cdf(self, x):
        x = np.asarray(x) / self.scale
        return np.where(x < 0, 0.0, np.interp(x, self.points, self.mass_below))

    def icdf(self, p):
        return self.scale * np.interp(p, self.mass_below, self.points)


class Prediction:
    def __init__(self, spectrum, moments):
        self.spectrum, self.moments = spectrum, lambda k: np.array([moments(j) for j in range(1, k + 1)])
        self.checks = SimpleNamespace(certified=True)


def fuss_catalan(depth, scale=1.0) -> Any:
    """Linear Gaussian network: the parametric density of the Fuss–Catalan law, integrated over its angle."""
    phi = np.linspace(0, np.pi / (depth + 1), 20_001)[1:-1]
    top, low = np.sin((depth + 1) * phi), np.sin(depth * phi)
    x = top ** (depth + 1) / (np.sin(phi) * low**depth)
    log_slope = (depth + 1) ** 2 / np.tan((depth + 1) * phi) - 1 / np.tan(phi) - depth**2 / np.tan(depth * phi)
    mass = -(np.sin(phi) ** 2) * low ** (depth - 1) / (np.pi * top**depth) * x * log_slope
    cumulative = np.concatenate([[0], np.cumsum((mass[::-1][1:] + mass[::-1][:-1]) / 2) * (phi[1] - phi[0])])
    cumulative += 1 - cumulative[-1]  # what lies below the first point
    points, cumulative = np.append(0.0, x[::-1]), np.append(0.0, cumulative)
    spectrum = Tabulated(points, cumulative, scale=scale)
    return Prediction(spectrum, lambda k: scale**k * comb((depth + 1) * k, k) / (depth * k + 1))


def relu_layer() -> Any:
    """One He-scaled ReLU layer: half an atom at zero, half a Marchenko–Pastur law of ratio 1/2 and scale 2."""
    s = np.linspace(1 - np.sqrt(0.5), 1 + np.sqrt(0.5), 20_001)
    edges = (s**2 - s[0] ** 2) * (s[-1] ** 2 - s**2)
    mass = np.sqrt(np.maximum(edges, 0)) / (np.pi * 0.5 * s)
    below = np.concatenate([[0], np.cumsum((mass[1:] + mass[:-1]) / 2) * (s[1] - s[0])])
    assert abs(below[-1] - 1) < 1e-5
    spectrum = Tabulated(np.append(0.0, 2 * s**2), np.append(0.5, 0.5 + below / below[-1] / 2), [Atom(0.0, 0.5)])
    narayana = [1, 1.5, 2.75, 5.625]  # Σ_j N(k, j) (1/2)^{j − 1}
    return Prediction(spectrum, lambda k: 2**k * narayana[k - 1] / 2)


def point_mass(location) -> Any:
    spectrum = Tabulated(np.array([0.0, location, location]), np.array([0.0, 0.0, 1.0]), [Atom(location, 1.0)])
    spectrum.cdf = lambda x: np.where(np.asarray(x) >= location, 1.0, 0.0)  # type: ignore[method-assign]
    spectrum.icdf = lambda p: np.full(np.shape(p), location)  # type: ignore[method-assign]
    return Prediction(spectrum, lambda k: location**k)


def net(depth: int | None = 2, **keys):
    return Network(**({"depth": depth, "activation": "identity", "sigma_w": 1.0, "input_variance": 1.0} | keys))


def given(logs) -> Ensemble:
    """Ensemble of invented singular values of one square layer."""
    logs = np.atleast_2d(logs)
    blank = np.ones((len(logs), 1))
    return Ensemble(log_singular_values=logs, q=blank, chi=blank, widths=(logs.shape[1],) * 2, seed=0)


@pytest.mark.parametrize("depth", [1, 2, 6])
def test_stand_in_law_has_fuss_catalan_moments(depth):
    pred = fuss_catalan(depth)
    levels = (np.arange(200_000) + 0.5) / 200_000
    for k, expected in enumerate(pred.moments(3), start=1):
        assert np.mean(pred.spectrum.icdf(levels) ** k) == pytest.approx(expected, rel=1e-3)
    if depth == 1:  # quarter circle: s = 2 cos φ, F = 1 − (2φ − sin 2φ)/π
        phi = np.linspace(0.1, 1.5, 9)
        np.testing.assert_allclose(
            pred.spectrum.cdf(4 * np.cos(phi) ** 2), 1 - (2 * phi - np.sin(2 * phi)) / np.pi, atol=1e-6
        )


@pytest.mark.parametrize(("depth", "weights"), [(1, "gaussian"), (2, "gaussian"), (4, "rademacher"), (4, "uniform")])
def test_linear_networks_agree_with_fuss_catalan(depth, weights):
    check = crosscheck(fuss_catalan(depth), sample(net(depth, weights=weights), 80, 6, seed=1))
    assert check.agree, check.notes
    assert [w.width for w in check.widths] == [80, 40, 20]
    assert [w.samples for w in check.widths] == [6, 24, 96]
    assert check.widths[0].ks < 0.05
    assert check.widths[0].ks < check.widths[2].ks
    assert all(
        e.value == pytest.approx(m, rel=0.15 * e.k) for e, m in zip(check.extrapolated, [1, depth + 1], strict=False)
    )


def test_relu_layer_agrees_and_its_dead_half_is_counted():
    emp = sample(net(1, activation="relu", sigma_w=2**0.5), 100, 8)
    check = crosscheck(relu_layer(), emp)
    assert check.agree, check.notes
    assert check.widths[0].ks == pytest.approx(abs(np.mean(np.isneginf(emp.log_eigenvalues)) - 0.5), abs=0.02)
    without_zeros = given(np.sort(emp.log_singular_values[:, :40])[:, ::-1])
    assert crosscheck(relu_layer(), without_zeros, companions=False).widths[0].ks > 0.45


def test_zeros_that_the_singular_values_do_not_list_are_counted():
    # Twice as many outputs as inputs: half of JJᵀ vanishes, and the rest is the law of the ReLU layer's other half.
    emp = sample(net(None, layers=[{"width": 80}], input_width=40), samples=8)
    check = crosscheck(relu_layer(), emp)
    assert check.agree, check.notes
    assert check.widths[0].ks < 0.03


@pytest.mark.parametrize(
    "broken",
    [
        net(3),  # one layer too many
        net(2, weights="orthogonal"),
        net(2, sigma_w=1.03),
        net(2, sigma_w=0.97),
        net(2, activation="relu", sigma_w=2**0.5),
    ],
)
def test_a_wrong_network_is_detected(broken):
    for seed in range(3):
        check = crosscheck(fuss_catalan(2), sample(broken, 80, 6, seed=seed))
        assert not check.agree
        assert check.notes


def test_distances_detect_what_the_first_moment_cannot():
    check = crosscheck(fuss_catalan(2), sample(net(3), 100, 6), moments=1)
    assert abs(check.extrapolated[0].z_with_bias) < check.extrapolated[0].limit
    assert not check.agree
    assert check.ks_limit is not None
    assert check.wasserstein_limit is not None
    assert check.widths[0].wasserstein > check.wasserstein_limit


def test_verdict_raises_false_alarms_no_more_often_than_stated():
    pred, trials = fuss_catalan(2), 50
    alarms = sum(not crosscheck(pred, sample(net(2), 24, 4, seed=100 + i)).agree for i in range(trials))
    assert alarms <= 4  # Binomial(50, 0.01) exceeds 4 with probability 2e-4


def test_extrapolated_z_has_the_stated_tails():
    # y normal, bias c_1 h + c_2 h² drawn from the prior: exceedance is at most the level, up to 4 sd of the count.
    rng, level, trials, exceeded = np.random.default_rng(11), 0.05, 4000, 0
    h = np.array([0.05, 0.1, 0.2])
    for _ in range(trials):
        c, d = rng.standard_normal(2)
        y = [
            c * x + d * x**2 + s * rng.standard_normal(n)
            for x, s, n in zip(h, (0.1, 0.14, 0.2), (8, 8, 8), strict=True)
        ]
        found = _extrapolate(1, y, 0.0, h, level, vanishing=False)
        exceeded += abs(found.z) > found.limit
    assert exceeded / trials == pytest.approx(level, abs=4 * np.sqrt(level / trials) + 0.01)  # Welch is approximate


def test_noise_allowance_is_exceeded_no_more_often_than_its_level():
    pred, level = fuss_catalan(2), 0.1
    emp = sample(net(2), 12, 2000)
    grid = Grid.build(pred, (emp,))
    curves = grid.empirical(emp)
    expected = curves.mean(axis=0)
    for norm in (grid.supremum, grid.integral):
        groups = curves.reshape(400, 5, *curves.shape[1:])
        errors = [norm(group.mean(axis=0) - expected) for group in groups]
        exceeded = sum(e > allowance(norm, group, level) for e, group in zip(errors, groups, strict=True))
        assert exceeded <= 40 + 4 * np.sqrt(40)
        assert np.median(errors) > np.median([allowance(norm, group, 0.5) for group in groups]) / 4  # nor idle


def test_distances_allow_for_bias_beyond_the_noise():
    # 400 samples of 8 neurons: the bias of order 1/N is many standard errors, and still no fault of the prediction.
    check = crosscheck(fuss_catalan(2), [sample(net(2), n, 400) for n in (32, 16, 8)], moments=1)
    assert check.agree, check.notes
    assert check.widths[0].ks > 8 * check.widths[0].ks_standard_error


def test_exact_values_extrapolate_through_their_bias():
    h = np.array([0.01, 0.02, 0.04])
    y = [np.full(8, np.log(3.0) + 0.7 * x - 2 * x**2) for x in h]
    found = _extrapolate(2, y, np.log(3.0), h, 0.01, vanishing=False)
    assert found.value == pytest.approx(3.0, rel=1e-5)
    assert abs(found.z_with_bias) < 1.5
    assert found.value is not None
    relative = np.log(found.value / 3.0) / found.z_with_bias
    assert found.standard_error == pytest.approx(found.value * relative, rel=1e-3)
    assert found.z * found.value * relative == pytest.approx(found.value - 3.0, rel=1e-3)
    linear = _extrapolate(2, y, np.log(3.0), h, 0.01, vanishing=True)
    assert linear.value == pytest.approx(3.0, rel=1e-3)


def test_several_widths_are_used_as_given():
    ensembles = [sample(net(2), n, 6) for n in (30, 120, 60)]
    check = crosscheck(fuss_catalan(2), ensembles)
    assert [w.width for w in check.widths] == [120, 60, 30]
    assert [w.samples for w in check.widths] == [6, 6, 6]
    assert check.agree, check.notes


def test_one_width_alone_allows_for_bias_and_leaves_distances_unjudged():
    emp = sample(net(2), 80, 6)
    check = crosscheck(fuss_catalan(2), emp, companions=False)
    assert len(check.widths) == 1
    assert check.ks_limit is None
    assert check.agree
    assert any("one width only" in note for note in check.notes)
    for record, point in zip(check.widths[0].moments, check.extrapolated, strict=True):
        assert record.z_with_bias == pytest.approx(point.z_with_bias, abs=0.5)
    far = crosscheck(fuss_catalan(2, scale=1.6), emp, companions=False)
    assert not far.agree


def test_companions_can_be_drawn_by_the_caller():
    emp = sample(net(2), 40, 4)
    assert crosscheck(fuss_catalan(2), (emp, *companions(emp))) == crosscheck(fuss_catalan(2), emp)


def test_orthogonal_linear_network_is_a_point_mass_to_rounding():
    check = crosscheck(point_mass(1.0), sample(net(5, weights="orthogonal"), 40, 4))
    assert check.agree, check.notes
    assert check.widths[0].ks == 0
    assert not crosscheck(point_mass(1.0), sample(net(5, weights="orthogonal", sigma_w=1.001), 40, 4)).agree


def test_distances_of_point_masses_are_known():
    # singular values 1.1 and 0 (half each) against 1: KS = 1 at 1, W₁ = (0.1 + 1)/2 in s.
    half = given(np.repeat([[np.log(1.1), -np.inf]], 3, axis=0).repeat(5, axis=1))
    record = crosscheck(point_mass(1.0), half, companions=False).widths[0]
    assert record.ks == pytest.approx(0.5)
    assert record.wasserstein == pytest.approx(0.55)
    assert record.ks_standard_error == record.wasserstein_standard_error == 0
    assert record.moments[1].sampled == pytest.approx(1.1**4 / 2)


def test_jackknife_of_a_mean_is_its_standard_error():
    s = np.array([1.05, 1.1, 1.3, 1.2, 1.15])
    record = crosscheck(point_mass(1.0), given(np.log(s)[:, None].repeat(6, axis=1)), companions=False).widths[0]
    assert record.wasserstein == pytest.approx(np.mean(s - 1))
    assert record.wasserstein_standard_error == pytest.approx(s.std(ddof=1) / np.sqrt(5))
    assert record.moments[0].standard_error == pytest.approx((s**2).std(ddof=1) / np.sqrt(5))


def test_z_at_one_width_counts_the_expected_bias():
    # Σ 1/N_l = 0.1 and V/L = 5: the bias allowed for is 0.1 · 5 · k(k + 1)/2 of the moment, and nothing scatters.
    pred = point_mass(1.0)
    pred.moments = lambda k: np.array([1.0, 6.0, 36.0, 216.0])[:k]
    found = crosscheck(pred, given(np.full((3, 10), np.log(1.2) / 2)), companions=False, moments=2)
    assert found.widths[0].moments[0].z_with_bias == pytest.approx(0.2 / 0.5)
    assert found.widths[0].moments[1].z_with_bias == pytest.approx((1.44 - 6) / (6 * 1.5))


def test_z_is_the_difference_in_the_standard_errors_shown_beside_it():
    # `given` draws no companions: the bias is only allowed for, and must not creep into z.
    for check in (
        crosscheck(fuss_catalan(2), sample(net(2), 40, 6)),
        crosscheck(point_mass(1.0), given(np.log([[1.1] * 5, [1.2] * 5, [0.9] * 5])), companions=False),
        crosscheck(point_mass(1.0), sample(net(5, weights="orthogonal"), 20, 4)),
    ):
        found = check.to_dict()
        predicted = {m["k"]: m["predicted"] for m in found["widths"][0]["moments"]}
        rows = [(m["sampled"], m["predicted"], m) for row in found["widths"] for m in row["moments"]]
        rows += [(e["value"], predicted[e["k"]], e) for e in found["extrapolated"]]
        rows += [(s["value"], s["predicted"], s) for s in found["shape"]]
        for value, expected, row in rows:
            assert row["z"] == pytest.approx((value - expected) / row["standard_error"], rel=1e-6, abs=1e-6)
        assert all(abs(m["z_with_bias"]) <= abs(m["z"]) for row in found["widths"] for m in row["moments"])


def test_an_atom_is_met_exactly_although_logarithms_round():
    location = next(a for a in np.linspace(1.5, 2, 99) if np.exp(np.log(a)) < a)
    record = crosscheck(point_mass(location), given(np.full((2, 4), np.log(location) / 2)), companions=False).widths[0]
    assert record.ks == record.wasserstein == 0


def test_wasserstein_of_a_shifted_law_is_the_shift_in_log_s():
    # Depth 6 spans more than two decades, so log s is compared, the lowest 1 % clipped; e^{2·0.3} in λ is 0.3 there.
    pred = fuss_catalan(6)
    logs = np.log(pred.spectrum.icdf((np.arange(4000) + 0.5) / 4000))[::-1] / 2
    check = crosscheck(pred, given(np.stack([logs + 0.3] * 2)), companions=False)
    assert check.wasserstein_variable == "log s"
    assert check.widths[0].wasserstein == pytest.approx(0.3, rel=0.02)


def test_vanishing_jacobians_are_compared_by_the_moments_themselves():
    emp = sample(net(1, activation="relu", sigma_w=2**0.5), 4, 200)
    assert np.isneginf(emp.log_singular_values[:, 0]).any()
    check = crosscheck(relu_layer(), (emp, sample(net(1, activation="relu", sigma_w=2**0.5), 8, 200)))
    assert any("exactly zero" in note for note in check.notes)
    assert check.extrapolated[0].value == pytest.approx(1.0, abs=0.2)


def test_record_is_plain_json_with_the_promised_keys():
    found = json.loads(json.dumps(crosscheck(fuss_catalan(2), sample(net(2), 20, 3)).to_dict(), allow_nan=False))
    assert {"widths", "extrapolated", "agree", "notes"} <= set(found)
    assert {"width", "samples", "ks", "wasserstein", "moments"} <= set(found["widths"][0])
    assert {"k", "predicted", "sampled", "standard_error", "z"} <= set(found["widths"][0]["moments"][0])
    assert {"k", "value", "standard_error", "z"} <= set(found["extrapolated"][0])
    assert all("z_with_bias" in row for row in found["widths"][0]["moments"] + found["extrapolated"] + found["shape"])
    assert [m["k"] for m in found["extrapolated"]] == [1, 2, 3, 4]


def test_moments_without_a_double_are_null_with_a_note():
    pred = fuss_catalan(2)
    pred.moments = lambda k: np.array([1.0, 3.0, np.inf, nan][:k])
    check = crosscheck(pred, sample(net(2), 40, 4), companions=False)
    assert [m.k for m in check.extrapolated] == [1, 2]
    assert check.widths[0].moments[2].predicted is None
    assert check.widths[0].moments[2].z is None
    assert any("m_3, m_4" in note for note in check.notes)
    json.dumps(check.to_dict(), allow_nan=False)


def test_great_depth_is_flagged():
    check = crosscheck(fuss_catalan(6), sample(net(6), 16, 4))
    assert any("depth is not small" in note for note in check.notes)


@pytest.mark.parametrize(
    ("ensemble", "keys", "message"),
    [
        (None, {}, "must be what `spectra.sample` returns"),
        ([], {}, "must be what `spectra.sample` returns"),
        (given(np.zeros((1, 3))), {}, "at least 2 samples"),
        ([given(np.zeros((2, 3)))] * 2, {}, "the same width"),
        (
            [given(np.zeros((2, 3))), dataclasses.replace(given(np.zeros((2, 4))), widths=(4, 4, 4))],
            {},
            "different depths",
        ),
        (given(np.zeros((2, 3))), {"moments": 0}, "positive integer"),
    ],
)
def test_impossible_arguments_are_refused(ensemble, keys, message):
    with pytest.raises(ValueError, match=message):
        crosscheck(fuss_catalan(2), ensemble, **keys)


def test_false_alarm_rate_is_the_documented_one():
    assert FALSE_ALARM_RATE == 0.01


@pytest.mark.parametrize("width", [25, 50, 51, 100])
def test_networks_without_any_scatter_are_judged(width):
    # The covariance of three equal means is singular to rounding; its inverse once had a negative entry.
    check = crosscheck(point_mass(1.0), sample(net(10, weights="orthogonal"), width, 8))
    assert check.agree, check.notes
    assert all(np.isfinite(m.z_with_bias) for m in check.extrapolated)


def test_proportional_bias_is_allowed_for_and_an_intercept_is_found():
    # y = α + c_1 h (1 + c_2 h + c_3 h²), c standard normal: α = 0 is refused at most as often as stated.
    rng, level, trials, exceeded = np.random.default_rng(12), 0.05, 3000, 0
    h = np.array([0.05, 0.1, 0.2])
    for _ in range(trials):
        c, d, e = rng.standard_normal(3)
        bias = c * h * (1 + d * h + e * h**2)
        y = [b + s * rng.standard_normal(n) for b, s, n in zip(bias, (0.1, 0.14, 0.2), (8, 32, 128), strict=True)]
        found = extrapolate(y, h, level, 1e-8, proportional=True)
        exceeded += abs(found.z) > found.limit
    assert exceeded / trials <= level + 4 * np.sqrt(level / trials) + 0.01  # Welch is approximate
    # A true intercept of twice what is detectable is found nearly always; of the detectable size, half of the time.
    noise = [s * rng.standard_normal((400, n)) for s, n in zip((0.1, 0.14, 0.2), (8, 32, 128), strict=True)]
    for factor, low, high in ((1.0, 0.35, 0.65), (2.0, 0.95, 1.0)):
        hits = 0
        for rows in zip(*noise, strict=True):
            size = extrapolate(rows, h, level, 1e-8, proportional=True).detectable
            shifted = extrapolate([row + factor * size for row in rows], h, level, 1e-8, proportional=True)
            hits += abs(shifted.z) > shifted.limit
        assert low <= hits / 400 <= high


DEEP = {
    "tanh": {"depth": 16, "activation": "tanh", "sigma_w": "critical", "sigma_b": 0.05},
    "hardtanh": {"depth": 8, "activation": "hardtanh", "weights": "orthogonal", "sigma_w": "critical", "q_star": 0.3},
    "linear": {"depth": 10},
}


@pytest.mark.parametrize("name", DEEP)
def test_one_layer_more_is_noticed_in_deep_networks(name):
    from spectra.prediction import predict

    keys = {key: value for key, value in (net().to_dict() | DEEP[name]).items() if value is not None}
    if keys["sigma_w"] == "critical":
        keys.pop("input_variance", None)
    pred, width = predict(Network(**keys)), 128
    longer = Network(**(keys | {"depth": keys["depth"] + 1}))
    for seed in range(2):
        right = crosscheck(pred, sample(Network(**keys), width, 8, seed=seed))
        assert right.agree, right.notes
        wrong = crosscheck(pred, sample(longer, width, 8, seed=seed))
        assert not wrong.agree
        assert any("of log s" in note for note in wrong.notes)
        for row in right.shape:
            assert abs(row.z_with_bias) < 5
            assert row.value is not None


def test_shape_of_a_law_is_that_of_its_quantiles():
    from spectra.shape import clip, shape_of_law, shape_of_samples

    # λ uniform on [0, 1], clipped at c: E log max(λ, c) = c − 1, Var = 2(1 − c + c log c) − (1 − c)².
    uniform = Tabulated(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    log_clip = clip(uniform, 10_000)
    c = np.exp(log_clip)
    assert c == pytest.approx(0.02)
    found = shape_of_law(uniform, log_clip)
    assert found.mean == pytest.approx(c - 1, abs=1e-6)
    assert found.variance == pytest.approx(2 * (1 - c + c * np.log(c)) - (1 - c) ** 2, abs=1e-6)
    assert clip(uniform, 8) == pytest.approx(np.log(0.25))
    logs = np.log((np.arange(5000) + 0.5) / 5000)[None, :]
    assert shape_of_samples(logs, log_clip).mean[0] == pytest.approx(found.mean, abs=1e-6)


def test_scatter_of_the_variances_is_measured_against_linear_layers():
    from spectra.shape import amplification

    rng = np.random.default_rng(3)
    q = np.exp(np.sqrt([0.2, 0.8]) * rng.standard_normal((4000, 2)))
    assert amplification(q, 0.1) == pytest.approx(4.0, rel=4 * np.sqrt(2 / 4000))
    assert amplification(np.ones((5, 3)), 0.1) == 1.0
    assert amplification(np.zeros((5, 3)), 0.1) == 1.0


def test_nothing_agrees_with_a_prediction_that_is_not_certified():
    pred = fuss_catalan(2)
    ensemble = sample(net(2), width=60, samples=6, seed=3)
    assert crosscheck(pred, [ensemble]).agree
    pred.checks = SimpleNamespace(certified=False)
    result = crosscheck(pred, [ensemble])
    assert not result.agree
    assert any("not certified" in note for note in result.notes)
