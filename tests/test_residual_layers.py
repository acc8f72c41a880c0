"""Residual layers: their keys, what is refused, and their mean field against closed forms and mpmath."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from command_line import refused

from spectra import Network, predict
from spectra.activations import Activation, get_activation
from spectra.errors import ConfigError
from spectra.exact.moments import jacobian_moments
from spectra.finite_width import finite_moments, log_variance
from spectra.network.architectures import ARCHITECTURES
from spectra.network.expectations import gaussian_moments
from spectra.network.jacobian import jacobian_equation
from spectra.network.meanfield import mean_field
from spectra.network.schema import KINDS
from spectra.reading import in_words
from spectra.record import resolved

SHARED: dict[str, Any] = {"activation": "relu", "sigma_w": 1.2, "sigma_b": 0.3}
BLOCKS = SHARED | {"depth": 3, "kind": "residual", "alpha": 0.5}
STEM = {"activation": "identity"}


def residual(**keys: Any) -> Network:
    return Network(**(BLOCKS | {"input_variance": 0.8} | keys))


# keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "parts"),
    [
        ({"alpha": None}, ("`alpha`: missing", '"1/sqrt(depth)"')),
        ({"alpha": "1/sqrt(L)"}, ("`alpha = ", "positive number", 'did you mean "1/sqrt(depth)"')),
        ({"alpha": 0.0}, ("`alpha = 0.0`", "positive number")),
        ({"alpha": True}, ("`alpha = true`", "positive number")),
        ({"alpha": "1/sqrt(sqrt(l))"}, ("`alpha = ", '"1/(sqrt(l) log(l))"', 'did you mean "1/sqrt(l)"')),
        ({"alpha": "-1/sqrt(l)"}, ("`alpha = ", "any number in place of 1")),
        ({"alpha": "import os"}, ("`alpha = ", '"1/depth"')),
        ({"alpha": [0.5, 0.4]}, ("`alpha = ", "as many numbers as there are blocks, here `depth` = 3")),
        ({"alpha": [0.5, -0.4, 1.0]}, ("`alpha = ", "positive number")),
        ({"alpha": []}, ("`alpha = ", "a list of one for each block")),
        ({"alpha": "1/sqrt(l)", "depth": 20_000}, ("`alpha = ", "10,000 blocks at most")),
        ({"depth": None, "layers": [{"alpha": [1.0], "repeat": 2}]}, ("`layers.0.alpha = ", "`repeat` = 2")),
        ({"skip": 0.0}, ("`skip = 0.0`", "other than 0")),
        ({"skip": "1"}, ("`skip = ", "other than 0")),
        ({"order": "Post"}, ("`order = ", '"pre"', 'did you mean "post"')),
        ({"kind": "residuall"}, ("`kind = ", 'did you mean "residual"')),
        ({"kind": "dense"}, ("`alpha = 0.5`", 'goes only with `kind = "residual"`')),
        ({"kind": None, "alpha": None, "order": "pre"}, ('`order = "pre"`', 'kind is "dense"')),
        ({"kind": None, "alpha": None, "skip": 1.0}, ("`skip = 1.0`", 'kind is "dense"')),
        ({"sigma_w": "critical"}, ('`sigma_w = "critical"`', "must be a positive number", "residual")),
        ({"input_variance": "fixed-point"}, ("`input_variance = ", "must be a positive number", "1 if left out")),
        ({"depth": None, "layers": [{}, {"kind": "dense", "skip": 2.0}]}, ("`layers.1.skip = 2.0`",)),
        ({"depth": None, "layers": [{}, {"kind": "dense", "sigma_w": "critical"}]}, ("`layers.1.sigma_w = ",)),
        (
            {"depth": None, "alpha": None, "layers": [{"alpha": 1.0}, {"repeat": 2}]},
            ("`layers.1.alpha`: missing",),
        ),
        ({"input_width": 20, "width": 30}, ("`width = 30`", "must be the 20")),
        (
            {"depth": None, "input_width": 20, "layers": [{"width": 20}, {"width": 8, "alpha": 1.0}]},
            ("`width = 8`", "must be the 20"),
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(keys: dict, parts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        Network(**(BLOCKS | keys))
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_depth_in_alpha_counts_the_residual_blocks_of_the_network() -> None:
    layers = [{"kind": "dense"}, {"repeat": 5}, {"repeat": 4, "skip": 0.9}, {"kind": "dense"}, {"alpha": 0.3}]
    net = Network(**(SHARED | {"kind": "residual", "alpha": "1/sqrt(depth)", "layers": layers}))
    assert [spec.alpha for spec in net.layers] == [None, 10**-0.5, 10**-0.5, None, 0.3]
    assert [spec.skip for spec in net.layers] == [None, 1.0, 0.9, None, 1.0]
    assert [spec.order for spec in net.layers] == [None, "pre", "pre", None, "pre"]
    assert residual(alpha="1/sqrt(depth)", depth=4).replace(depth=25).layers[0].alpha == 0.2


def test_scales_may_differ_from_block_to_block() -> None:
    """Here l counts the residual blocks of the network from 1; from 2 beside log, for log 1 = 0."""
    layers = [{"repeat": 2}, {"kind": "dense", "alpha": None}, {"repeat": 3}]
    for text, expected in {
        "1/sqrt(l)": [l**-0.5 for l in range(1, 6)],  # noqa: E741
        "0.3 / sqrt(l)": [0.3 * l**-0.5 for l in range(1, 6)],  # noqa: E741
        "1/(sqrt(l) log(l))": [1 / (math.sqrt(l) * math.log(l)) for l in range(2, 7)],  # noqa: E741
        "1/(sqrt(l)*log(l))": [1 / (math.sqrt(l) * math.log(l)) for l in range(2, 7)],  # noqa: E741
        "2/depth": [0.4] * 5,
        "1.5/sqrt(depth)": [1.5 / math.sqrt(5.0)] * 5,
    }.items():
        net = Network(**(SHARED | {"kind": "residual", "alpha": text, "layers": layers}))
        found = [spec.alpha for spec in net.layers for _ in range(spec.repeat) if spec.kind == "residual"]
        assert found == pytest.approx(expected, rel=1e-15)
        assert Network(**net.to_dict()) == net
    assert [spec.alpha for spec in residual(alpha=[0.5, 0.5, 0.25]).layers] == [0.5, 0.25]
    assert [spec.repeat for spec in residual(alpha=[0.5, 0.5, 0.25]).layers] == [2, 1]


def test_unscaled_blocks_grow_and_scaled_ones_do_not() -> None:
    """ReLU, σ_w = γ: r_L/r_0 = Π (1 + α_l²γ²/2), (1 + γ²/2)^L unscaled, at most e^{γ²/2} for 1/√L.

    Σ 1/(l log² l), l ≥ 2, is 2.1097 (OEIS A115563), so the decreasing scales grow by e^{2.1097γ²/2} at most.
    """
    gamma2, depth = 1.5**2, 64
    keys: dict[str, Any] = {"sigma_w": 1.5, "sigma_b": 0.0, "depth": depth, "input_variance": 0.8}

    def grown(alpha: Any) -> float:
        return mean_field(residual(**keys, alpha=alpha)).leaving.second / 0.8

    assert grown(1.0) == pytest.approx((1.0 + gamma2 / 2.0) ** depth, rel=1e-12)
    assert grown("1/sqrt(depth)") == pytest.approx((1.0 + gamma2 / (2.0 * depth)) ** depth, rel=1e-12)
    assert grown("1/sqrt(depth)") < math.exp(gamma2 / 2.0)
    falling = [1.0 + gamma2 / (2.0 * n * math.log(n) ** 2) for n in range(2, depth + 2)]
    assert grown("1/(sqrt(l) log(l))") == pytest.approx(math.prod(falling), rel=1e-12)
    assert grown("1/(sqrt(l) log(l))") < math.exp(2.1097 * gamma2 / 2.0)


@pytest.mark.parametrize("order", ["pre", "post"])
def test_a_skip_below_zero_turns_the_sign_of_x(order: str) -> None:
    """As for |β| where means are 0; of ReLU after its weights the means alternate."""
    found, mirrored = (mean_field(residual(skip=skip, activation="tanh", order=order)) for skip in (-0.8, 0.8))
    np.testing.assert_allclose(found.q, mirrored.q, rtol=1e-15)
    np.testing.assert_allclose(found.chi, mirrored.chi, rtol=1e-15)
    field = mean_field(residual(skip=-0.8, order="post", depth=2))
    first, second = (math.sqrt(q / (2.0 * math.pi)) for q in field.q)
    assert field.leaving.mean == pytest.approx(-0.8 * 0.5 * first + 0.5 * second, rel=1e-13)


def test_blocks_of_one_scale_are_one_run_and_of_two_are_two() -> None:
    merged = Network(**(SHARED | {"kind": "residual", "layers": [{"alpha": 0.5}, {"alpha": 0.5}, {"alpha": 0.25}]}))
    assert [(spec.alpha, spec.repeat) for spec in merged.layers] == [(0.5, 2), (0.25, 1)]


def test_widths_change_in_dense_layers() -> None:
    layers = [{"width": 20, "kind": "dense"}, {"width": 20, "repeat": 2}, {"width": 7, "kind": "dense"}]
    assert Network(**(SHARED | {"kind": "residual", "alpha": 1.0, "input_width": 30, "layers": layers})).widths == (
        30,
        20,
        20,
        7,
    )


def test_a_file_and_what_is_made_of_it_read_back_the_same(tmp_path) -> None:
    path = tmp_path / "net.toml"
    path.write_text(
        'activation = "tanh"\nsigma_w = 1.1\nkind = "residual"\nalpha = "1/sqrt(depth)"\n'
        '[[layers]]\nkind = "dense"\nactivation = "identity"\n'
        '[[layers]]\nrepeat = 9\n[[layers]]\norder = "post"\nskip = 0.5\nalpha = 2.0\n'
    )
    net = Network.from_toml(path)
    assert Network(**net.to_dict()) == net
    table = resolved(net, mean_field(net))
    again = Network(**table)
    assert again.layers == net.layers
    assert again.layers[1].alpha == 1 / math.sqrt(10)
    assert table["layers"][1]["kind"] == "residual"
    assert resolved(again, mean_field(again)) == table
    np.testing.assert_array_equal(mean_field(again).q, mean_field(net).q)


def test_a_network_is_described_with_its_blocks() -> None:
    layers = [{"kind": "dense", **STEM}, {"repeat": 4, "skip": 0.9, "order": "post", "alpha": "1/sqrt(depth)"}]
    assert in_words(residual(depth=None, layers=layers)) == (
        "1 identity layer, Gaussian weights, σ_w = 1.2, σ_b = 0.3; "
        "4 relu residual blocks, Gaussian weights, σ_w = 1.2, σ_b = 0.3, α = 0.5, β = 0.9, post-activation"
    )


@pytest.mark.parametrize("command", [["moments"], ["predict", "--dps", "30"], ["predict", "--certify"]])
def test_what_is_exact_is_refused_in_one_line(command: list[str], tmp_path, capsys) -> None:
    path = tmp_path / "net.toml"
    path.write_text('depth = 2\nactivation = "relu"\nsigma_w = 1.0\nkind = "residual"\nalpha = 0.5\n')
    text = refused(capsys, command[0], str(path), *command[1:], "--json", str(tmp_path / "out.json"))
    assert "exact series, proofs and more digits are of networks of dense layers" in text
    assert not (tmp_path / "out.json").exists()


def test_every_kind_is_an_architecture() -> None:
    assert tuple(ARCHITECTURES) == KINDS


def test_what_has_no_theory_is_refused() -> None:
    net = residual(layers=[{"kind": "dense", **STEM}, {"repeat": 2}], depth=None)
    for ask in (lambda n: jacobian_moments(n, 2), lambda n: jacobian_equation(mean_field(n))):
        with pytest.raises(ConfigError, match=r'`kind = "residual"`: exact series'):
            ask(net)
    field = mean_field(net)
    assert finite_moments(field, (10,) * 4) is None
    assert log_variance(field, (10,) * 4) is None
    layers = [{"kind": "dense", **STEM, "width": 20}, {"repeat": 2, "width": 20}]
    with pytest.raises(ConfigError, match="all widths are the same"):
        predict(residual(layers=layers, depth=None, input_width=10))


def test_square_gaussian_layers_beside_blocks_reach_zero() -> None:
    net = residual(layers=[{"kind": "dense", **STEM}, {"repeat": 2}], depth=None)
    found = predict(net)
    assert found.spectrum.support()[0] == 0.0
    assert found.spectrum.total_mass == pytest.approx(1.0, abs=1e-8)
    # m_2/m_1² of a square Gaussian factor is 2, and free factors add what is beyond 1.
    alone = predict(residual(depth=2, input_variance=float(found.mean_field.q[1])))
    assert found.relative_variance == pytest.approx(alone.relative_variance + 1.0, rel=1e-9)


# E φ --------------------------------------------------------------------------------------------------------------

BENT = Activation.from_callable(
    lambda x: np.where(x > 0.5, x - 0.5, 0.0), lambda x: np.where(x > 0.5, 1.0, 0.0), kinks=(0.5,), name="bent"
)


def gaussian_mean(function: Any, q: float, cuts: tuple[float, ...] = ()) -> Any:
    """E f(√q z) by mpmath, on the line cut at kinks."""
    with mpmath.workdps(20):
        root = mpmath.sqrt(q)
        points = sorted({-12, -3, 0, 3, 12, *(c / root for c in cuts)})
        return mpmath.quad(lambda z: function(root * z) * mpmath.npdf(z), points)


@pytest.mark.parametrize("q", [1e-3, 0.7, 40.0])
@pytest.mark.parametrize("name", ["softplus", "gelu", "sigmoid", "elu", "relu", "relu6", "shifted_relu"])
def test_mean_of_an_activation_agrees_with_mpmath(name: str, q: float) -> None:
    phi = get_activation(name)
    expected = float(gaussian_mean(phi.mp, q, phi.kinks))
    assert gaussian_moments(phi).first(q) == pytest.approx(expected, rel=1e-13, abs=1e-15 * math.sqrt(q))


@pytest.mark.parametrize("name", ["tanh", "erf", "sin", "hardtanh", "identity", "softsign"])
@pytest.mark.parametrize("q", [0.0, 1e-3, 0.7, 40.0])
def test_mean_of_an_odd_activation_is_zero_exactly(name: str, q: float) -> None:
    assert gaussian_moments(get_activation(name)).first(q) == 0.0


def test_mean_at_variance_zero_is_the_value_there() -> None:
    assert gaussian_moments(get_activation("sigmoid")).first(0.0) == 0.5
    assert gaussian_moments(get_activation({"name": "hardsigmoid"})).first(0.0) == pytest.approx(0.5, rel=1e-15)
    assert gaussian_moments(BENT).first(0.0) == 0.0


# mean field -------------------------------------------------------------------------------------------------------


def by_definition(orders: list[str], phi: Any, numbers: dict[str, float], start: float) -> tuple[list, list, float]:
    """q_l, χ_l and r_L by mpmath, for blocks of these orders: moments by quadrature, means kept on the way."""
    alpha, beta, w2, b2 = (mpmath.mpf(numbers[k]) for k in ("alpha", "skip", "w2", "b2"))
    r, mu, variances, chis = mpmath.mpf(start), mpmath.mpf(0), [], []
    for order in orders:
        q = r if order == "pre" else w2 * r + b2
        second = gaussian_mean(lambda x: phi.mp(x) ** 2, q, phi.kinks)
        first = gaussian_mean(phi.mp, q, phi.kinks)
        slope = gaussian_mean(lambda x: phi.mp(x, 1) ** 2, q, phi.kinks)
        variances.append(float(q))
        chis.append(float(beta**2 + alpha**2 * w2 * slope))
        if order == "pre":
            r, mu = beta**2 * r + alpha**2 * (w2 * second + b2), beta * mu
        else:
            r, mu = beta**2 * r + alpha**2 * second + 2 * alpha * beta * mu * first, beta * mu + alpha * first
    return variances, chis, float(r)


@pytest.mark.parametrize("orders", [["pre"] * 3, ["post"] * 3, ["pre", "post", "post"]])
@pytest.mark.parametrize("name", ["tanh", "softplus", "elu"])
def test_variances_and_slopes_agree_with_mpmath(name: str, orders: list[str]) -> None:
    layers = [{"order": order} for order in orders]
    keys = {"activation": name, "alpha": 0.7, "skip": 0.9, "depth": None, "layers": layers}
    field = mean_field(residual(**keys))
    numbers = {"alpha": 0.7, "skip": 0.9, "w2": 1.2**2, "b2": 0.3**2}
    variances, chis, last = by_definition(orders, get_activation(name), numbers, 0.8)
    np.testing.assert_allclose(field.q, variances, rtol=1e-13)
    np.testing.assert_allclose(field.chi, chis, rtol=1e-13)
    assert field.leaving.second == pytest.approx(last, rel=1e-13)


def test_relu_blocks_before_their_weights_grow_by_a_factor_each() -> None:
    """E relu² = r/2: r ← (β² + α²σ_w²/2) r + α²σ_b²; one run whatever the depth."""
    field = mean_field(residual(skip=0.9, depth=50))
    factor, shift, r = 0.9**2 + 0.5**2 * 1.2**2 / 2, 0.5**2 * 0.3**2, 0.8
    for q in field.q:
        assert q == pytest.approx(r, rel=1e-13)
        r = factor * r + shift
    assert field.leaving.second == pytest.approx(r, rel=1e-13)
    np.testing.assert_allclose(field.chi, factor, rtol=1e-15)
    assert len(field.runs) == 1
    assert len(mean_field(residual(alpha="1/sqrt(depth)", depth=10**6)).runs) == 1


def test_means_of_relu_blocks_after_their_weights_add_up() -> None:
    """E relu = √(q/2π), E relu² = q/2."""
    field = mean_field(residual(order="post", depth=16))
    r, mu = 0.8, 0.0
    for state, q in zip(field.runs, field.q, strict=True):
        assert state.entering is not None
        assert (state.entering.second, state.entering.mean) == pytest.approx((r, mu), rel=1e-13)
        variance = 1.2**2 * r + 0.3**2
        assert q == pytest.approx(variance, rel=1e-13)
        first = math.sqrt(variance / (2 * math.pi))
        r, mu = r + 0.25 * variance / 2 + mu * first, mu + 0.5 * first
    assert field.leaving.mean == pytest.approx(mu, rel=1e-13)
    assert mu**2 / r > 0.5  # by then the mean is most of it


def test_dense_layers_take_and_give_what_stands_between() -> None:
    """Dense ReLU: r = q/2, μ = √(q/2π); a post block adds to both; a dense layer takes σ_w² r + σ_b²."""
    layers = [{"kind": "dense"}, {"order": "post"}, {"kind": "dense"}]
    field = mean_field(residual(depth=None, layers=layers))
    w2, b2 = 1.2**2, 0.3**2
    first = w2 * 0.8 + b2
    second = w2 * first / 2 + b2
    r = first / 2 + 0.25 * second / 2 + math.sqrt(first / (2 * math.pi)) * math.sqrt(second / (2 * math.pi))
    np.testing.assert_allclose(field.q, [first, second, w2 * r + b2], rtol=1e-14)
    np.testing.assert_allclose(field.chi, [w2 / 2, 1 + 0.25 * w2 / 2, w2 / 2], rtol=1e-14)


def test_what_enters_a_run_is_known_where_widths_change() -> None:
    """ReLU: r = q/2 and μ = √(q/2π) after the first of three layers, which alone takes another width."""
    field = mean_field(Network(**(SHARED | {"depth": 3, "input_width": 10, "width": 20, "input_variance": 0.8})))
    assert [run.repeat for run in field.runs] == [1, 2]
    entering = field.runs[1].entering
    assert entering is not None
    assert entering.second == pytest.approx(field.q[0] / 2, rel=1e-15)
    assert entering.mean == pytest.approx(math.sqrt(field.q[0] / (2 * math.pi)), rel=1e-14)
    assert field.leaving.second == pytest.approx(field.q[2] / 2, rel=1e-15)


def test_blocks_that_read_x_itself_need_it_gaussian() -> None:
    for before in ({"kind": "dense"}, {"order": "post"}):
        with pytest.raises(ConfigError, match=r'`order = "pre"`: .* activation "identity" before it'):
            mean_field(residual(depth=None, layers=[before, {}]))
    for before in ({"kind": "dense", **STEM}, {"order": "post", **STEM}, {"order": "pre"}):
        field = mean_field(residual(depth=None, layers=[before, {"activation": "tanh"}]))
        leaving = field.runs[1].entering
        assert leaving is not None
        assert field.q[1] == leaving.second
    linear = mean_field(residual(depth=None, layers=[{"kind": "dense", **STEM}, {"activation": "tanh"}]))
    assert linear.q[1] == pytest.approx(1.2**2 * 0.8 + 0.3**2, rel=1e-15)


@pytest.mark.parametrize("order", ["pre", "post"])
def test_a_variance_that_comes_to_rest_makes_one_run(order: str) -> None:
    """β < 1: r and μ settle, and a hundred thousand blocks cost no more than those on the way."""
    field = mean_field(residual(activation="sigmoid", skip=0.5, order=order, depth=10**5))
    assert len(field.runs) < 200
    assert field.depth == 10**5
    last = field.runs[-1]
    assert last.entering is not None
    assert field.leaving.second == pytest.approx(last.entering.second, rel=1e-15)
    if order == "post":  # μ = α E φ/(1 − β)
        expected = 0.5 * float(gaussian_mean(get_activation("sigmoid").mp, last.q)) / 0.5
        assert last.entering.mean == pytest.approx(expected, rel=1e-13)


def test_a_mean_that_outlasts_the_variance_is_followed_to_its_end() -> None:
    """Odd φ: μ ← βμ, while r comes to rest some 25 blocks in; then μ is still 1e-8."""
    layers = [{"kind": "dense"}, {"order": "post", "activation": "tanh", "alpha": 0.1, "skip": 0.5, "repeat": 10**5}]
    field = mean_field(residual(depth=None, layers=layers))
    first = field.runs[1].entering
    assert first is not None
    assert first.mean > 0.1
    assert 0.0 <= field.leaving.mean < 1e-15
    assert len(field.runs) < 200


def test_input_variance_is_one_with_a_note_where_left_out() -> None:
    field = mean_field(Network(**BLOCKS))
    assert field.input_variance == 1.0
    assert "layers with a skip have no fixed point; input_variance left out: taken as 1" in field.notes
    assert field.q_star is None
    assert field.chi_1 is None


@pytest.mark.parametrize(("order", "activation"), [("pre", "relu"), ("post", "relu"), ("pre", "softplus")])
def test_variances_beyond_doubles_are_refused_with_the_layer(order: str, activation: str) -> None:
    # r grows some 73-fold a block, and more where means add up: 1e300 is passed after 160 blocks at the latest.
    with pytest.raises(ConfigError, match=r"at layer 1\d\d: the network amplifies without bound"):
        mean_field(residual(activation=activation, order=order, alpha=10.0, depth=1000))
