"""Normalised layers: their keys, what is refused, their mean field against closed forms."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest

from spectra import Network, predict
from spectra.activations import get_activation
from spectra.bounds import norm_bound
from spectra.correlated import BlockEquation, blocks_of
from spectra.correlated.moments import block_moments
from spectra.correlated.network import layers_of
from spectra.errors import ConfigError
from spectra.finite_width import finite_moments, log_variance
from spectra.flow import flow
from spectra.limits.lyapunov import LyapunovLaw
from spectra.network.architectures import ARCHITECTURES, NORMALISED
from spectra.network.jacobian import jacobian_equation
from spectra.network.meanfield import mean_field
from spectra.network.normaliser import NORMALISATIONS, POSITIONS
from spectra.normalisation.growth import gradient_growth
from spectra.reading import in_words
from spectra.record import resolved

# Its types say that a tuple may come back.
quad: Any = mpmath.quad

LAYERS: dict[str, Any] = {"depth": 3, "activation": "relu", "sigma_w": 1.2, "sigma_b": 0.3, "normalise": "layer"}
BLOCKS: dict[str, Any] = LAYERS | {"kind": "residual", "alpha": 0.7, "skip": 0.9, "input_variance": 0.8}


# keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "parts"),
    [
        ({"normalise": "Batch"}, ('`normalise = "Batch"`', 'one of "batch", "layer", "rms"', 'did you mean "batch"')),
        ({"normalise": True}, ("`normalise = true`", "one of")),
        ({"normalise": {"position": "after"}}, ("`normalise.name`: missing", 'one of "batch"')),
        ({"normalise": {"name": "group"}}, ('`normalise.name = "group"`', "one of")),
        ({"normalise": {"name": "rms", "where": "after"}}, ('`normalise.where = "after"`', "unknown key")),
        ({"normalise": {"name": "rms", "position": "infront"}}, ("`normalise.position = ", '"before", "after", "sum"')),
        ({"normalise": {"name": "batch", "batch": 2}}, ("`normalise.batch = 2`", "from 3", "no gradient is left")),
        ({"normalise": {"name": "batch", "batch": 8.0}}, ("`normalise.batch = 8.0`", "a whole number")),
        ({"normalise": {"name": "layer", "batch": 8}}, ("`normalise.batch = 8`", 'goes only with `name = "batch"`')),
        ({"normalise": {"name": "batch", "epsilon": -1e-5}}, ("`normalise.epsilon = ", "0 or a positive number")),
        ({"normalise": {"name": "batch", "epsilon": 1e-200}}, ("`normalise.epsilon = ", "0 or a positive number")),
        ({"normalise": {"name": "batch", "gain": 0.0}}, ("`normalise.gain = 0.0`", "positive number")),
        (
            {"normalise": {"name": "rms", "position": "sum"}},
            ('`normalise.position = "sum"`', 'goes only with `kind = "residual"`', '"dense"'),
        ),
        (
            {"normalise": {"name": "batch", "batch": 8, "position": "after"}},
            ('`normalise.position = "after"`', "leave `batch` out"),
        ),
        ({"sigma_w": "critical"}, ('`sigma_w = "critical"`', "with normalised layers, which has no edge of chaos")),
        (
            {"kind": "residual", "alpha": 0.5, "input_variance": "fixed-point"},
            ("`input_variance = ", "with residual layers, which has no fixed point"),
        ),
        ({"depth": None, "layers": [{"normalise": "rms"}, {"normalise": "max"}]}, ("`layers.1.normalise = ",)),
        (
            {"init": {"name": "kaiming_normal", "gain": -1.0}, "sigma_w": None},
            ("`init.gain = -1.0`", "positive number"),
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(keys: dict, parts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        Network(**(LAYERS | keys))
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_a_file_and_what_is_made_of_it_read_back_the_same(tmp_path) -> None:
    path = tmp_path / "net.toml"
    path.write_text(
        'activation = "tanh"\nsigma_w = 1.1\nnormalise = "rms"\n'
        '[[layers]]\nnormalise = {name = "layer", position = "after", gain = 2.0, epsilon = 1e-5}\n'
        "[[layers]]\nrepeat = 4\n"
    )
    net = Network.from_toml(path)
    assert Network(**net.to_dict()) == net
    table = resolved(net, mean_field(net))
    again = Network(**table)
    assert again.layers == net.layers
    assert table["layers"][0]["normalise"] == {"name": "layer", "position": "after", "gain": 2.0, "epsilon": 1e-5}
    assert table["layers"][1]["normalise"] == "rms"
    np.testing.assert_array_equal(mean_field(again).q, mean_field(net).q)
    changed = net.replace(**{"layers.0.normalise.epsilon": 0.0}).layers[0].normalise
    assert changed is not None
    assert changed.epsilon == 0.0


@pytest.mark.parametrize(
    ("normalise", "words"),
    [
        ("layer", "layer norm before φ"),
        ({"name": "rms", "position": "sum", "gain": 0.5}, "RMS norm after the sum, γ = 0.5"),
        ({"name": "batch", "position": "after"}, "batch norm of large batches after φ"),
        ({"name": "batch", "batch": 8}, "batch norm of 8 before φ"),
    ],
)
def test_a_network_is_described_with_its_normalisation(normalise: Any, words: str) -> None:
    assert in_words(Network(**(BLOCKS | {"normalise": normalise}))) == (
        "3 relu residual blocks, Gaussian weights, σ_w = 1.2, σ_b = 0.3, α = 0.7, β = 0.9, pre-activation, " + words
    )


def test_every_kind_can_be_normalised() -> None:
    assert NORMALISED.keys() == ARCHITECTURES.keys()


# mean field -------------------------------------------------------------------------------------------------------


def jc(c: float) -> float:
    """2 E φ(x)φ(y)/q of ReLU at correlation c (Cho, Saul, NeurIPS 2009)."""
    return (math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))) / math.pi


def by_definition(name: str, position: str, order: str, n: dict[str, float], depth: int) -> tuple[list, list]:
    """χ_l and E x_l² of ReLU layers, order "post" with α = 1 and β = 0 for dense ones.

    The three numbers of a signal are E y², E y over neurons and E y_i y_j over pairs of the batch; normalising takes
    them to others. E φ² = q/2, E φ = √(q/2π), E φ_iφ_j = q jc(c)/2, E φ'² = ½ whatever q.
    """
    alpha, beta, w2, b2, gain, epsilon = (n[k] for k in ("alpha", "beta", "w2", "b2", "gain", "epsilon"))
    signal = np.array([n["r"], 0.0, 0.0])
    chis, squares = [], []

    def weighted(s: np.ndarray) -> np.ndarray:
        return np.array([w2 * s[0] + b2, 0.0, w2 * s[2] + b2])

    def activated(s: np.ndarray) -> np.ndarray:
        return np.array([s[0] / 2, math.sqrt(s[0] / (2 * math.pi)), s[0] / 2 * jc(s[2] / s[0])])

    def normed(s: np.ndarray) -> tuple[np.ndarray, float]:
        spread = s[0] - {"rms": 0.0, "layer": s[1] ** 2, "batch": s[2]}[name]
        c2 = gain**2 / (spread + epsilon)
        return np.array([c2 * spread, math.sqrt(c2) * s[1] if name == "rms" else 0.0, 0.0]), c2

    for _ in range(depth):
        branch, c2 = signal if order == "pre" else weighted(signal), 1.0
        if position == "before":
            branch, c2 = normed(branch)
        branch = activated(branch)
        if position == "after":
            branch, c2 = normed(branch)
        if order == "pre":
            branch = weighted(branch)
        cross = 2 * alpha * beta * signal[1] * branch[1]
        total = beta**2 * signal + alpha**2 * branch + np.array([cross, 0.0, cross])
        total[1] = beta * signal[1] + alpha * branch[1]
        chi = beta**2 + alpha**2 * w2 * c2 / 2
        if position == "sum":
            total, c2 = normed(total)
            chi *= c2
        signal = total
        chis.append(chi)
        squares.append(signal[0])
    return chis, squares


NUMBERS = {"alpha": 0.7, "beta": 0.9, "w2": 1.2**2, "b2": 0.3**2, "gain": 1.3, "epsilon": 0.05, "r": 0.8}


@pytest.mark.parametrize("order", ["pre", "post", None])
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("name", NORMALISATIONS)
def test_mean_field_agrees_with_closed_forms(name: str, position: str, order: str | None) -> None:
    keys = BLOCKS | {"order": order, "depth": 4}
    numbers = NUMBERS
    if order is None:
        if position == "sum":
            return
        keys = {k: v for k, v in keys.items() if k not in ("kind", "alpha", "skip", "order")}
        numbers = NUMBERS | {"alpha": 1.0, "beta": 0.0}
    normalise = {"name": name, "position": position, "gain": 1.3, "epsilon": 0.05}
    field = mean_field(Network(**(keys | {"normalise": normalise})))
    chis, squares = by_definition(name, position, order or "post", numbers, 4)
    np.testing.assert_allclose(field.chi, chis, rtol=1e-12)
    assert field.leaving.second == pytest.approx(squares[-1], rel=1e-12)


@pytest.mark.parametrize("normalise", ["rms", "layer", "batch"])
def test_layers_before_their_activation_have_the_gain_as_their_variance(normalise: str) -> None:
    """χ = E φ'(γz)²/E φ(γz)², less (E φ)² for batches: by mpmath, softplus; no biases, so that σ_w drops out."""
    phi, gain = get_activation("softplus"), 1.7
    with mpmath.workdps(20):
        mean = lambda f: quad(lambda z: f(gain * z) * mpmath.npdf(z), [-12, -3, 0, 3, 12])  # noqa: E731
        below = mean(lambda x: phi.mp(x) ** 2) - (mean(phi.mp) ** 2 if normalise == "batch" else 0)
        expected = float(gain**2 * mean(lambda x: phi.mp(x, 1) ** 2) / below)
    table = {"name": normalise, "gain": gain}
    assert gradient_growth("softplus", table) == pytest.approx(expected, rel=1e-12)
    assert gradient_growth("softplus", table, sigma_w=37.0) == pytest.approx(expected, rel=1e-12)
    field = mean_field(Network(depth=5, activation="softplus", sigma_w=0.3, normalise=table))
    np.testing.assert_allclose(field.q, gain**2, rtol=1e-14)
    np.testing.assert_allclose(field.chi, expected, rtol=1e-12)
    assert field.chi_1 == field.chi[0]
    assert field.phase == ("chaotic" if expected > 1.0 else "ordered")
    assert field.c_star is None
    assert any("not followed through normalised layers" in note for note in field.notes)


def test_layers_of_one_description_start_at_rest_unless_told_otherwise() -> None:
    """ReLU and layer norm after φ: E x² = 1 between layers, q = σ_w² + σ_b²."""
    net = Network(**(LAYERS | {"normalise": {"name": "layer", "position": "after"}, "depth": 10**6}))
    field = mean_field(net)
    assert (field.input_variance, len(field.runs)) == (pytest.approx(1.0, rel=1e-14), 1)
    assert field.q[0] == pytest.approx(1.2**2 + 0.3**2, rel=1e-14)
    assert mean_field(net.replace(input_variance="fixed-point")).chi_1 == field.chi_1
    other = mean_field(net.replace(input_variance=4.0))
    assert other.q[0] == pytest.approx(1.2**2 * 4 + 0.3**2, rel=1e-14)
    assert other.q[-1] == pytest.approx(field.q[0], rel=1e-14)
    assert len(other.runs) <= 3
    # Inputs are independent of each other: of a batch they have all of what the weights see, Var φ = ½ − 1/2π.
    batch = mean_field(Network(**(LAYERS | {"normalise": "batch"})))
    assert batch.input_variance == pytest.approx(0.5 - 0.5 / math.pi, rel=1e-13)
    told = mean_field(Network(**(LAYERS | {"normalise": "batch", "input_variance": batch.input_variance})))
    np.testing.assert_allclose(told.chi, batch.chi, rtol=1e-13)
    mixed = Network(**(LAYERS | {"depth": None, "layers": [{"normalise": "rms"}, {}]}))
    assert mean_field(mixed).input_variance == 1.0
    with pytest.raises(ConfigError, match="share no fixed point; give a number"):
        mean_field(mixed.replace(input_variance="fixed-point"))


@pytest.mark.parametrize("before", ["relu", "tanh"])
def test_batch_norm_follows_what_plain_layers_leave_in_common(before: str) -> None:
    """Two plain layers, then batch norm: ReLU by its arc-cosine kernel; tanh by pairs sampled, 4.5 standard errors."""
    layers = [{"normalise": None, "repeat": 2, "activation": before}, {"activation": "relu"}]
    keys = LAYERS | {"depth": None, "input_variance": 0.8, "layers": layers, "normalise": None}
    keys["layers"] = [{"repeat": 2, "activation": before}, {"activation": "relu", "normalise": "batch"}]
    found = mean_field(Network(**keys)).chi[-1]
    w2, b2, r, m = 1.2**2, 0.3**2, 0.8, 0.0
    rng = np.random.default_rng(1)
    for _ in range(2):
        q, common = w2 * r + b2, w2 * m + b2
        if before == "relu":
            r, m, error = q / 2, q / 2 * jc(common / q), 1e-12
        else:
            z = rng.standard_normal((3, 400_000))
            x, y = (np.tanh(math.sqrt(common) * z[0] + math.sqrt(q - common) * z[k]) for k in (1, 2))
            r, m, error = float(np.mean(x * x)), float(np.mean(x * y)), 4.5 * 2 / math.sqrt(400_000)
    assert found == pytest.approx(w2 / (w2 * (r - m)) / 2, rel=max(error / (r - m), 1e-12))
    with pytest.raises(ConfigError, match="normalise them by the batch, too"):
        mean_field(Network(**(keys | {"layers": [{"normalise": "rms"}, {"normalise": "batch"}]})))


def test_pre_activation_blocks_need_a_gaussian_state() -> None:
    with pytest.raises(ConfigError, match='activation "identity" before it'):
        mean_field(Network(**(BLOCKS | {"depth": None, "layers": [{"order": "post"}, {}]})))
    stem = {"kind": "dense", "activation": "identity", "normalise": "rms"}
    field = mean_field(Network(**(BLOCKS | {"depth": None, "layers": [stem, {}]})))
    assert field.q[1] == pytest.approx(1.0, rel=1e-14)


def test_a_signal_without_spread_is_refused() -> None:
    """Sigmoid at variance 1e-10: Var φ is 6e-12, which is not to be had from E φ² − (E φ)² = ¼ − ¼."""
    keys = {"activation": "sigmoid", "sigma_w": 1e-5, "sigma_b": 0.0, "input_variance": 1.0}
    net = Network(**(LAYERS | keys | {"normalise": {"name": "layer", "position": "after"}}))
    with pytest.raises(ConfigError, match="`normalise`: next to nothing is left to normalise by"):
        mean_field(net)
    assert mean_field(net.replace(**{"normalise.epsilon": 1e-5})).chi[0] < 1e-5
    assert mean_field(net.replace(normalise={"name": "rms", "position": "after"})).chi[0] < 1e-10


# laws -------------------------------------------------------------------------------------------------------------


def test_the_law_is_that_of_dense_layers_with_rescaled_weights() -> None:
    """Layer norm before tanh, σ_b = 0: D at variance 1 and σ_w²/s² = 1/E tanh(z)²."""
    net = Network(depth=4, activation="tanh", sigma_w=2.5, normalise="layer", weights="orthogonal")
    found = predict(net)
    with mpmath.workdps(20):
        power = float(quad(lambda z: mpmath.tanh(z) ** 2 * mpmath.npdf(z), [-12, 0, 12]))
    scale = 1 / math.sqrt(power)
    # A dense net that sits at q = 1 with this σ_w: σ_b² = 1 − σ_w² E tanh² = 0.
    keys = {"activation": "tanh", "weights": "orthogonal", "sigma_b": 0.0, "input_variance": power}
    dense = predict(Network(depth=4, sigma_w=scale, **keys))
    np.testing.assert_allclose(found.moments(4), dense.moments(4), rtol=1e-9)
    np.testing.assert_allclose(found.spectrum.support(), dense.spectrum.support(), rtol=1e-9)
    assert found.checks.certified
    assert any("layer norm takes two directions of N" in note for note in found.checks.notes)
    said = predict(net.replace(normalise="batch")).checks.notes
    assert any("statistics held fixed" in note for note in said)
    assert any("RMS norm takes one direction" in note for note in predict(net.replace(normalise="rms")).checks.notes)


def test_relu_with_batch_norm_has_closed_moments() -> None:
    """Var JJᵀ/m_1² = Σ (μ_2/μ_1² − 1 + 1) = 2L for ReLU and Gaussian weights, m_1 = (π/(π − 1))^L."""
    net = Network(depth=5, activation="relu", sigma_w=1.0, normalise="batch")
    m_1, m_2 = predict(net).moments(2)
    assert m_1 == pytest.approx((math.pi / (math.pi - 1)) ** 5, rel=1e-11)
    assert m_2 / m_1**2 == pytest.approx(11.0, rel=1e-11)


def moments(net: Network, order: int = 4) -> np.ndarray:
    """By the solver for blocks, without the density."""
    return block_moments(BlockEquation(blocks_of(layers_of(mean_field(net))), 12), order, 40.0)


@pytest.mark.parametrize("order", ["pre", "post"])
def test_a_normalised_block_is_a_block_of_other_numbers(order: str) -> None:
    """RMS norm after the sum, ReLU: β/s_l and α/s_l, for the masks do not see the scale of x."""
    keys = {"order": order, "sigma_b": 0.0, "depth": 2, "input_variance": 1.0, "alpha": 0.4}
    net = Network(**(BLOCKS | keys | {"normalise": {"name": "rms", "position": "sum"}}))
    factors = np.sqrt(mean_field(net).chi / (0.9**2 + 0.4**2 * 1.2**2 / 2))
    layers = [{"skip": 0.9 * float(f), "alpha": 0.4 * float(f)} for f in factors]
    plain = Network(activation="relu", sigma_w=1.2, kind="residual", order=order, input_variance=1.0, layers=layers)
    np.testing.assert_allclose(moments(net), moments(plain), rtol=1e-9)


def test_blocks_without_an_activation_have_known_moments() -> None:
    """Layer norm before φ = 1: m_1 = Π χ, m_2/m_1² − 1 = Σ (2t + t²)/(1 + t)², t = χ − 1, whatever the correlations."""
    net = Network(depth=3, activation="identity", sigma_w=1.1, kind="residual", alpha=0.5, normalise="layer")
    t = mean_field(net).chi - 1.0
    m_1, m_2 = moments(net, 2)
    assert m_1 == pytest.approx(float(np.prod(1.0 + t)), rel=1e-10)
    assert m_2 / m_1**2 - 1.0 == pytest.approx(float(np.sum((2 * t + t**2) / (1 + t) ** 2)), rel=1e-9)


def test_masks_are_correlated_by_the_state_that_is_not_normalised() -> None:
    """Two blocks, hard tanh, RMS norm before φ: m_2 from P(both masks are 1), the corner of two normal numbers.

    J = (1 + X_2)(1 + X_1), X_1 = √a W_1D_1, X_2 = √b W_2D_2: tr (JᵀJ)² = tr MKMK, M = (1 + X_2)ᵀ(1 + X_2) and
    K = (1 + X_1)(1 + X_1)ᵀ. Of the pairings of the W's, d_1 and d_2 of one neuron meet in 2 tr X_2ᵀX_2 SS,
    S = X_1 + X_1ᵀ, which is 2ab E d_1d_2 and more of p², and in tr X_2ᵀX_2 S X_2ᵀX_2 S, 2ab²p E d_1d_2.
    """
    net = Network(depth=2, activation="hardtanh", sigma_w=1.5, kind="residual", alpha=0.8, normalise="rms")
    field = mean_field(net)
    fresh = block_moments(BlockEquation(blocks_of(layers_of(field), fresh=True), 12), 2, 40.0)
    second = moments(net, 2)
    r = [run.level.entering.second for run in field.runs]
    rho = math.sqrt(r[0] / r[1])
    with mpmath.workdps(15):
        inside = lambda z: mpmath.ncdf((1 - rho * z) / math.sqrt(1 - rho**2))  # noqa: E731
        upper = lambda z: mpmath.ncdf((-1 - rho * z) / math.sqrt(1 - rho**2))  # noqa: E731
        both = float(quad(lambda z: (inside(z) - upper(z)) * mpmath.npdf(z), [-1, 0, 1]))
        p = float(mpmath.erf(1 / mpmath.sqrt(2)))
    a, b = (0.8**2 * 1.5**2 / x for x in r)
    assert second[0] == pytest.approx(fresh[0], rel=1e-10)
    assert second[1] - fresh[1] == pytest.approx(2 * a * b * (1 + b * p) * (both - p * p), rel=1e-8)


@pytest.mark.parametrize("activation", ["tanh", "leaky_relu"])
def test_normalised_blocks_that_read_their_state_have_a_density(activation: str) -> None:
    """Layer norm before φ: m_1 = Π χ; the free formula's m_2, of which a note tells, by the solver of fresh slopes."""
    net = Network(depth=2, activation=activation, sigma_w=1.0, kind="residual", alpha=0.8, normalise="layer")
    prediction = predict(net)
    assert prediction.checks.certified
    assert prediction.moments(1)[0] == pytest.approx(float(np.prod(mean_field(net).chi)), rel=1e-9)
    fresh = block_moments(BlockEquation(blocks_of(layers_of(mean_field(net)), fresh=True), 12), 2, 40.0)
    assert f"m_2 off by {fresh[1] / prediction.moments(2)[1] - 1:+.2%}" in prediction.checks.notes[-1]


def test_a_batch_of_finite_size_has_a_mean_field_and_no_law() -> None:
    net = Network(**(LAYERS | {"normalise": {"name": "batch", "batch": 8}}))
    assert mean_field(net).chi_1 == pytest.approx(1.7881899767, rel=1e-10)
    for ask in (predict, lambda n: jacobian_equation(mean_field(n))):
        with pytest.raises(ConfigError, match=r"`normalise.batch = 8`: .* its spectrum is not"):
            ask(net)
    with pytest.raises(ConfigError, match="E 1/σ² is infinite"):
        mean_field(net.replace(**{"normalise.batch": 3}))


def test_finite_width_leaves_normalised_layers_alone() -> None:
    net = Network(**LAYERS)
    assert finite_moments(mean_field(net), (10,) * 4) is None
    assert log_variance(mean_field(net), (10,) * 4) is None


def test_bounds_and_exponents_take_the_weights_as_they_are_rescaled() -> None:
    """RMS norm before ReLU without biases: σ_w/s = √2 whatever σ_w, the dense net of that σ_w."""
    net = Network(depth=4, activation="relu", sigma_w=17.0, normalise="rms")
    dense = Network(depth=4, activation="relu", sigma_w=math.sqrt(2), input_variance=1.0)
    assert norm_bound(net).log_bound == pytest.approx(norm_bound(dense).log_bound, rel=1e-12)
    # Gradients, of h and of weights but for their scale: σ_w²/s² = 2.
    one, other = flow(net), flow(dense)
    assert one.log_grad_x == pytest.approx(other.log_grad_x, abs=1e-12)
    assert one.log_grad_b == pytest.approx(other.log_grad_b + math.log(2.0 / 17.0**2), abs=1e-12)
    assert LyapunovLaw.of(net).mean == pytest.approx(LyapunovLaw.of(dense).mean, rel=1e-9, abs=1e-12)
    block = {"depth": 1, "activation": "tanh", "sigma_w": 0.5, "kind": "residual", "alpha": 0.5, "order": "post"}
    with pytest.raises(ConfigError, match="dense layers"):
        LyapunovLaw.of(Network(**block))
    # x + ½ tanh(n(Wx)), |W| = 2 σ_w and n divides by σ_w: 1 + ½ · 2.
    assert norm_bound(Network(**block, normalise="layer")).log_bound == pytest.approx(math.log(2.0), rel=1e-12)
