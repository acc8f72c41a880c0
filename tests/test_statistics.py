"""Standard errors, distances and extrapolations, each against what it must be for laws in closed form."""

import numpy as np
import pytest
from stand_ins import Tabulated, fuss_catalan, given, net, point_mass

from spectra.agreement import crosscheck
from spectra.agreement.moments import extrapolate_moment
from spectra.distances import Grid, allowance
from spectra.extrapolation import extrapolate
from spectra.sampling import sample
from spectra.shape import shape_of_samples


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
        found = extrapolate_moment(1, y, 0.0, h, level, vanishing=False)
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


def test_exact_values_extrapolate_through_their_bias():
    h = np.array([0.01, 0.02, 0.04])
    y = [np.full(8, np.log(3.0) + 0.7 * x - 2 * x**2) for x in h]
    found = extrapolate_moment(2, y, np.log(3.0), h, 0.01, vanishing=False)
    assert found.value == pytest.approx(3.0, rel=1e-5)
    assert abs(found.z_with_bias) < 1.5
    assert found.value is not None
    relative = np.log(found.value / 3.0) / found.z_with_bias
    assert found.standard_error == pytest.approx(found.value * relative, rel=1e-3)
    assert found.z * found.value * relative == pytest.approx(found.value - 3.0, rel=1e-3)
    linear = extrapolate_moment(2, y, np.log(3.0), h, 0.01, vanishing=True)
    assert linear.value == pytest.approx(3.0, rel=1e-3)


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


def test_wasserstein_of_a_shifted_law_is_the_shift_in_log_s():
    # Depth 6 spans more than two decades, so log s is compared, the lowest 1 % clipped; e^{2·0.3} in λ is 0.3 there.
    pred = fuss_catalan(6)
    logs = np.log(pred.spectrum.icdf((np.arange(4000) + 0.5) / 4000))[::-1] / 2
    check = crosscheck(pred, given(np.stack([logs + 0.3] * 2)), companions=False)
    assert check.wasserstein_variable == "log s"
    assert check.widths[0].wasserstein == pytest.approx(0.3, rel=0.02)


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


def test_an_atom_is_met_exactly_although_logarithms_round():
    # The larger the logarithm, the more of a's digits its rounding costs, whatever the library.
    location = next(a for a in np.geomspace(1.5, 1e6, 999) if np.exp(np.log(a)) < a)
    record = crosscheck(point_mass(location), given(np.full((2, 4), np.log(location) / 2)), companions=False).widths[0]
    assert record.ks == record.wasserstein == 0


def test_a_sample_that_is_clipped_altogether_has_no_variance() -> None:
    """The mean of equal numbers is rounded: by its square at most the variance was that of nothing."""
    for log_clip in (-90.3048003, -96.6936645467908, -1.0 / 3.0):
        shape = shape_of_samples(np.full((3, 43), -200.0), log_clip)
        assert np.all(shape.variance == 0.0)
        np.testing.assert_allclose(shape.mean, log_clip, rtol=1e-15)
