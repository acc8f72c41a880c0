"""The verdict on prediction against samples: right where the theory holds, wrong where it was broken on purpose."""

import dataclasses
import json
from math import nan
from types import SimpleNamespace

import numpy as np
import pytest
from stand_ins import fuss_catalan, given, net, point_mass, relu_layer

from spectra import predict
from spectra.agreement import FALSE_ALARM_RATE, crosscheck
from spectra.distances import log_floor
from spectra.network import Network
from spectra.sampling import companions, sample
from spectra.sampling.graded import GradedProduct


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


def test_distances_allow_for_bias_beyond_the_noise():
    # 400 samples of 8 neurons: the bias of order 1/N is many standard errors, and still no fault of the prediction.
    check = crosscheck(fuss_catalan(2), [sample(net(2), n, 400) for n in (32, 16, 8)], moments=1)
    assert check.agree, check.notes
    assert check.widths[0].ks > 8 * check.widths[0].ks_standard_error


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
    right = crosscheck(pred, sample(Network(**keys), width, 8))
    assert right.agree, right.notes
    wrong = crosscheck(pred, sample(longer, width, 8))
    assert not wrong.agree
    assert any("of log s" in note for note in wrong.notes)
    for row in right.shape:
        assert abs(row.z_with_bias) < 5
        assert row.value is not None


@pytest.mark.parametrize("sigma_w", [1e3, 1e4])
def test_a_law_that_is_nearly_all_zero_is_not_refused_for_what_few_samples_lack(sigma_w):
    # One unit in 1250, or 12500, is alive: none in most ensembles, whose scatter then says nothing of the others.
    from spectra.prediction import predict

    nearly_dead = Network(depth=1, activation="hardtanh", sigma_w=sigma_w, sigma_b=0.1, input_variance=1.0)
    pred = predict(nearly_dead)
    for seed in range(3):
        check = crosscheck(pred, sample(nearly_dead, 48, 4, seed=seed))
        assert check.agree, check.notes
        assert check.ks_limit is None
        assert any("fewer than 25 eigenvalues off 0" in note for note in check.notes)


def test_eigenvalues_below_all_doubles_are_zeros_of_law_and_samples_alike():
    # More than half of λ are below 1e-308 here: the law has them at 0, the samples as logarithms down to −2000.
    from spectra.plot import check_figure, figure_bytes
    from spectra.prediction import predict

    steep = Network(depth=16, activation="tanh", sigma_w=30.0, sigma_b=0.05)
    pred, emp = predict(steep), sample(steep, 40, 4)
    assert np.mean(emp.log_eigenvalues < -709) > 0.5
    check = crosscheck(pred, emp)
    assert check.widths[0].ks < 0.1
    assert check.wasserstein_variable == "log s"
    assert not any("distance" in note for note in check.notes)
    assert figure_bytes(check_figure(pred, [emp], check)).startswith(b"\x89PNG")


def test_nothing_agrees_with_a_prediction_that_is_not_certified():
    pred = fuss_catalan(2)
    ensemble = sample(net(2), width=60, samples=6, seed=3)
    assert crosscheck(pred, [ensemble]).agree
    pred.checks = SimpleNamespace(certified=False, notes=())
    result = crosscheck(pred, [ensemble])
    assert not result.agree
    assert any("not certified" in note for note in result.notes)


# --- slopes that a law counts as zero ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "counted"),
    [
        ({"sigma_w": 300.0}, 0.9),
        ({"sigma_w": 300.0, "weights": "orthogonal"}, 0.9),
        ({"sigma_w": 1000.0, "depth": 1}, 0.9),
    ],
)
def test_slopes_below_what_a_law_holds_are_no_disagreement(keys, counted):
    # 86 to 96 % of the slopes of tanh are below 1e-46 and zeros to the law; those of the samples are not.
    described = Network(**({"depth": 3, "activation": "tanh", "sigma_b": 0.0, "input_variance": 1.0} | keys))
    pred = predict(described)
    emp = sample(described, 100, 8)
    assert np.isfinite(emp.log_singular_values).mean() > 0.25
    check = crosscheck(pred, emp)
    assert check.agree, check.notes
    assert any("count as 0, in law and samples" in note for note in check.notes)
    (mass,) = (a for a in check.atoms if a.location == 0)
    assert mass.predicted > 0.95
    assert check.widths[0].ks < 0.1  # counted as they are, up to 0.7 of the eigenvalues are not where the law has them
    assert abs(mass.z_with_bias) < 3.0
    # Half the scale is another law: its slopes are twice as wide.
    wrong = crosscheck(predict(described.replace(sigma_w=keys["sigma_w"] / 2)), emp)
    assert not wrong.agree


def test_the_floor_of_a_law_that_cuts_slopes_is_far_above_what_it_cuts():
    described = Network(depth=1, activation="tanh", sigma_w=1000.0, sigma_b=0.0, input_variance=1.0)
    floor = log_floor(predict(described))
    # δ = 1e-46 times the norm 2σ_w and 10⁴; eigenvalues are squares.
    assert floor == pytest.approx(2 * np.log(1e-46 * 2000 * 1e4), rel=1e-12)
    # Counted in samples with all slopes, and in the same samples without those below 1e-46: the same.
    rng = np.random.default_rng(0)
    h = rng.normal(0.0, 1000.0, 300)
    slopes = 4 * np.exp(-2 * np.abs(h)) / (1 + np.exp(-2 * np.abs(h))) ** 2
    weights = 1000.0 * rng.standard_normal((300, 300)) / np.sqrt(300)
    counts = []
    for kept in (slopes > 0, slopes > 1e-46):
        product = GradedProduct(300)
        product.multiply(weights, np.where(kept, slopes, 0.0))
        counts.append(np.count_nonzero(2 * product.log_singular_values() > floor))
    assert counts[0] == counts[1] > 5
    assert log_floor(predict(described.replace(sigma_w=1.0))) == np.log(1e-300)
