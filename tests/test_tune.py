"""Tuning: against closed forms and another quadrature, against samples, and what it says where nothing will do."""

from __future__ import annotations

import math
import sys
import types
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy.special import erfinv

import spectra
from spectra.advice import Target, tune
from spectra.advice.placed import placed
from spectra.advice.reasons import weights_share
from spectra.advice.search import critical_family
from spectra.advice.snippet import pytorch_snippet
from spectra.agreement import crosscheck
from spectra.errors import ConfigError, ConvergenceError
from spectra.network.meanfield import mean_field
from spectra.sampling import sample


def tuned(kind: str = "variance", value: float = 0.25, *, advise: bool = False, **keys: object):
    return tune({"depth": 20, "activation": "tanh", "weights": "orthogonal"} | keys, Target(kind, value), advise=advise)  # type: ignore[arg-type]


# Where q* is known in closed form ---------------------------------------------------------------------------------


@pytest.mark.parametrize("variance", [1e-3, 0.25, 7.0])
def test_hard_tanh_sits_where_its_keep_probability_is_right(variance: float) -> None:
    # Factsheet B.3: variance L(1 − p)/p, p = erf(1/√(2q)).
    p = 20 / (20 + variance)
    found = tuned(value=variance, activation="hardtanh")
    assert found.reachable
    assert found.found.q_star == pytest.approx(0.5 / erfinv(p) ** 2, rel=1e-8)


@pytest.mark.parametrize("variance", [1e-6, 0.25, 7.0])
def test_erf_sits_where_its_slopes_spread_as_asked(variance: float) -> None:
    # φ' = exp(−πx²/4): E φ'^2k = (1 + πkq)^{−1/2}, variance L((1 + πq)/√(1 + 2πq) − 1): a quadratic equation.
    v = mpmath.mpf(variance) / 20
    square = v * (2 + v)
    q = (square + (1 + v) * mpmath.sqrt(square)) / mpmath.pi
    assert tuned(value=variance, activation="erf").found.q_star == pytest.approx(float(q), rel=1e-8)


def test_tanh_by_another_quadrature() -> None:
    found = tuned()
    q = found.found.q_star
    assert q is not None
    mpmath.mp.dps = 20
    moment: list[Any] = [
        mpmath.quad(lambda z, k=k: mpmath.npdf(z) * mpmath.sech(mpmath.sqrt(q) * z) ** k, [-12, -4, 0, 4, 12])
        for k in (4, 8)
    ]
    assert 20 * (moment[1] / moment[0] ** 2 - 1) == pytest.approx(0.25, rel=1e-8)
    second: Any = mpmath.quad(lambda z: mpmath.npdf(z) * mpmath.tanh(mpmath.sqrt(q) * z) ** 2, [-12, -4, 0, 4, 12])
    assert found.network is not None
    run = mean_field(found.network).runs[0]
    assert float(run.spec.sigma_w) ** 2 == pytest.approx(float(1 / moment[0]), rel=1e-12)
    assert float(run.spec.sigma_b or 0) ** 2 == pytest.approx(float(q - second / moment[0]), rel=1e-10)


@pytest.mark.parametrize(
    ("name", "weights", "variance"),
    [("tanh", "orthogonal", 0.25), ("gelu", "orthogonal", 0.25), ("erf", "gaussian", 21)],
)
def test_from_above_and_from_below_the_same_point_is_found(name: str, weights: str, variance: float) -> None:
    below = spectra.critical_point_of_spread(name, 20, variance, weights).q_star
    assert tuned(value=variance, activation=name, weights=weights).found.q_star == pytest.approx(below, rel=1e-8)


def test_where_the_spread_falls_again_tuning_goes_on() -> None:
    # gelu: 1.088 a layer at q* = 1, 1.001 far out. Below the first crossing all q* will do, but fixed points repel.
    below = spectra.critical_point_of_spread("gelu", 20, 21.0).q_star or 0.0
    found = tuned(value=21.0, activation="gelu").found
    assert found.q_star is not None
    assert below < 1.0 < found.q_star
    assert found.stable
    assert found.value <= 21.0


@pytest.mark.parametrize(("kind", "value"), [("s_max", 2.0), ("condition", 10.0), ("gradient", 2.0)])
def test_targets_on_the_spectrum_are_met_and_bind(kind: str, value: float) -> None:
    found = tuned(kind, value)
    assert found.reachable
    assert found.found.exact
    pred = found.prediction
    assert pred is not None
    assert pred.moments(1)[0] == pytest.approx(1.0, rel=1e-12)
    law = pred.singular_values
    if kind == "s_max":
        assert law.support()[1] == pytest.approx(2.0, rel=1e-6)
    elif kind == "condition":
        low, high = pred.spectrum.effective_support
        assert math.sqrt(high / low) == pytest.approx(10.0, rel=1e-5)
    else:
        assert law.cdf(2.0) - law.cdf(0.5) == pytest.approx(0.98, abs=0.011)
        assert max(law.icdf(0.99), 1 / law.icdf(0.01)) == pytest.approx(2.0, rel=1e-7)


def test_a_number_that_jumps_over_its_bound_is_stopped_before() -> None:
    # Of hard tanh the atom at p^{-L} holds the 1 % quantile while L(1 − p) < 0.01 or so; then that drops into the bulk.
    found = tuned("gradient", 2.0, activation="hardtanh")
    assert found.reachable
    assert not found.found.exact
    q, network = found.found.q_star, found.network
    assert q is not None
    assert network is not None
    assert found.target.of(network) < 1.1
    assert found.target.of(network.replace(q_star=q * (1 + 1e-6))) > 2.0


# Out of reach -----------------------------------------------------------------------------------------------------


def test_gaussian_weights_spread_by_the_depth_at_least() -> None:
    found = tuned(weights="gaussian", advise=True)
    assert not found.reachable
    assert found.found.least == pytest.approx(20.0, rel=1e-6)
    assert "a factor 80 less" in found.reason
    assert "20 from weights of independent entries" in found.reason
    assert found.alternatives[0].changes == {"weights": "orthogonal"}
    assert found.alternatives[0].q_star == pytest.approx(tuned().found.q_star, rel=1e-9)


@pytest.mark.parametrize(("weights", "least"), [("orthogonal", 20.0), ("gaussian", 40.0)])
def test_relu_does_not(weights: str, least: float) -> None:
    # Factsheet B.2, B.3 with p = ½: L/p and L(1 − p)/p.
    found = tuned(activation="relu", weights=weights, advise=True)
    assert not found.reachable
    assert found.found.least == pytest.approx(least, rel=1e-12)
    assert "tanh" in found.reason
    assert "20 from a kink" in found.reason
    assert ("20 from weights" in found.reason) == (weights == "gaussian")
    assert tuned(activation="relu", weights=weights, value=least).reachable


def test_relu_loses_directions_whatever_the_condition_number() -> None:
    found = tuned("condition", 100.0, activation="relu")
    assert math.isinf(found.found.value)
    assert "infinite" in found.reason
    assert found.to_dict()["achieved"] is None


def test_widths_that_lose_directions_are_seen_at_once() -> None:
    keys = {"activation": "tanh", "weights": "orthogonal", "input_width": 80, "layers": [{"width": 40}, {"width": 80}]}
    found = tune(keys, Target("gradient", 2.0), advise=False)
    assert math.isinf(found.found.least)
    assert "lose some directions" in found.reason
    # A wide input and a narrow output lose none.
    narrowing = keys | {"layers": [{"width": 40}, {"width": 20}]}
    assert tune(narrowing, Target("gradient", 3.0), advise=False).reachable


def test_less_depth_is_found_to_the_layer() -> None:
    found = tuned(value=6.5, weights="gaussian", activation="tanh", advise=True)
    less = [one for one in found.alternatives if "depth" in one.changes]
    # L ≤ 6.5 is necessary, and enough for a small q*.
    assert [one.changes["depth"] for one in less] == [6]
    assert less[0].reachable


def test_an_activation_without_an_edge_of_chaos_is_answered_with_others() -> None:
    found = tuned(activation="softplus", advise=True)
    assert not found.reachable
    assert found.network is None
    assert "has no edge of chaos" in found.reason
    assert {one.changes["activation"] for one in found.alternatives} == {"tanh", "hardtanh"}
    record = found.to_dict()
    assert record["network"] is record["prediction"] is record["snippet"] is None


def test_slopes_too_steep_for_their_nodes_have_no_variance_rather_than_a_wrong_one() -> None:
    # φ = eˣ: the curve begins at q* = 1, with E φ'⁴/(E φ'²)² − 1 = e^{4q} − 1 a layer; the nodes miss 2e-8 of it.
    keys = {"depth": 4, "weights": "orthogonal", "activation": {"expr": "exp(x)"}}
    found = tune(keys, Target("variance", 0.25))
    assert not found.reachable
    assert found.network is None
    assert "grow so fast" in found.reason
    assert "tanh" in found.reason
    with pytest.raises(ConvergenceError, match="grow so fast"):
        Target("variance", 1.0).of(spectra.Network(**keys, sigma_w="critical", q_star=2.0))
    # sinh: E cosh⁴/(E cosh²)² in closed form, as far as the nodes reach.
    net = spectra.Network(**keys | {"activation": {"expr": "sinh(x)"}}, sigma_w="critical", q_star=0.5)
    exact = (math.exp(4.0) + 4.0 * math.exp(1.0) + 3.0) / 8.0 / ((1.0 + math.exp(1.0)) / 2.0) ** 2 - 1.0
    assert Target("variance", 1.0).of(net) == pytest.approx(4 * exact, rel=1e-9)


def test_variances_do_not_leave_the_fixed_points_that_are_taken() -> None:
    # Those of gelu repel, the more the larger q*: 20 layers let a deviation double at most.
    found = tuned(value=30.0, activation="gelu")
    assert found.reachable
    assert found.network is not None
    (spec,) = found.network.layers
    from spectra.network.expectations import gaussian_moments

    moments = gaussian_moments(spec.activation).at(found.found.q_star or 0.0)
    assert (moments.gain / moments.slope2) ** 20 <= 2.0


def test_inputs_that_are_not_scaled_are_found_out() -> None:
    # tanh of q_1 = σ_w² takes some of the way to q* in the first layers, whatever q*: the spread of those remains.
    found = tuned(input_variance=1.0, advise=True)
    assert not found.reachable
    assert found.found.least > 1.0
    assert found.alternatives[0].changes == {"input_variance": "fixed-point"}
    assert found.alternatives[0].q_star == pytest.approx(tuned().found.q_star, rel=1e-9)
    assert not any("inputs need" in note for note in found.notes)


def test_what_leaves_the_range_of_doubles_is_not_called_lost() -> None:
    found = tuned("gradient", 2.0, weights="gaussian", depth=1000)
    assert not found.reachable
    assert "beyond the range of doubles" in found.reason


@pytest.mark.parametrize("names", [("tanh", "gelu"), ("gelu", "tanh"), ("relu", "tanh"), ("tanh", "sigmoid")])
@pytest.mark.parametrize("inputs", [None, 1.0])
def test_layers_that_differ_are_each_on_the_edge_of_chaos(names: tuple[str, ...], inputs: float | None) -> None:
    # A layer's own fixed point is not that of the next: σ_b² = q_l − σ_w² E x² with the x that it is given.
    layers = [{"activation": name, "repeat": 2} for name in names]
    family = critical_family({"layers": layers, "weights": "orthogonal", "input_variance": inputs})
    net = placed(family, 0.25)
    field = spectra.predict(net).mean_field
    np.testing.assert_allclose(field.chi, 1.0, rtol=1e-11)
    assert spectra.predict(net).moments(1)[0] == pytest.approx(1.0, rel=1e-11)
    if inputs is None:
        assert field.q[0] == pytest.approx(0.25, rel=1e-13)


def test_tuning_of_layers_that_differ_keeps_to_the_target_at_a_mean_square_gradient_of_1() -> None:
    layers = [{"activation": "tanh", "repeat": 2}, {"activation": "gelu", "repeat": 2}]
    found = tune({"weights": "orthogonal", "layers": layers}, Target("variance", 0.5), advise=False)
    assert found.reachable
    assert found.prediction is not None
    np.testing.assert_allclose(found.prediction.moments(2), [1.0, 1.5], rtol=1e-9)
    assert f"mean square of {found.network.input_variance:.6g}" in found.notes[-1]  # type: ignore[union-attr]


def test_no_variance_at_all_is_for_linear_layers() -> None:
    assert tuned(value=0.0, activation="identity").reachable
    assert not tuned(value=0.0, activation="relu").reachable


def test_weights_alone() -> None:
    # Each layer of independent entries adds N_L/N_l, in the normalisation of JJᵀ.
    family = critical_family({"activation": "tanh", "input_width": 80, "layers": [{"width": 40}, {"width": 20}]})
    linear = spectra.Network(activation="identity", sigma_w=1.0, input_width=80, layers=[{"width": 40}, {"width": 20}])
    m_1, m_2 = spectra.predict(linear).moments(2)
    assert weights_share(family) == pytest.approx(m_2 / m_1**2 - 1, rel=1e-10)


# What is given and what comes out ---------------------------------------------------------------------------------


def test_scales_that_are_given_are_set_aside_and_said() -> None:
    found = tuned(weights="orthogonal", sigma_w=3.0, sigma_b=0.2)
    assert found.set_aside == ("sigma_w", "sigma_b")
    assert found.found.q_star == tuned().found.q_star
    assert "set aside" in found.notes[0]
    other = tune({"depth": 20, "activation": "tanh", "init": "orthogonal"}, Target("variance", 0.25), advise=False)
    assert other.found.q_star == found.found.q_star


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("variance", -1.0),
        ("variance", math.nan),
        ("s_max", 0.0),
        ("condition", 0.5),
        ("gradient", 0.99),
        ("spread", 1.0),
    ],
)
def test_impossible_targets_are_refused(kind: str, value: float) -> None:
    with pytest.raises(ConfigError, match="must be"):
        Target(kind, value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "keys",
    [
        {"depth": 6, "activation": "tanh", "weights": "orthogonal"},
        {"depth": 3, "activation": "erf", "weights": "gaussian"},
        {
            "activation": "tanh",
            "weights": "orthogonal",
            "input_width": 90,
            "layers": [{"width": 90}, {"width": 60, "repeat": 2}],
        },
    ],
)
def test_tuned_networks_are_as_predicted(keys: dict) -> None:
    found = tune(keys, Target("variance", 4.0), advise=False)
    assert found.reachable
    assert found.prediction is not None
    assert found.prediction.variance == pytest.approx(4.0, rel=1e-9)
    sampled = sample(found.prediction.network, 90, samples=6, seed=1)
    assert crosscheck(found.prediction, sampled).agree
    # And they are not as another tuning predicts.
    other = tune(keys, Target("variance", 16.0), advise=False).prediction
    assert other is not None
    assert not crosscheck(other, sampled).agree


# The text to paste ------------------------------------------------------------------------------------------------


class _Weight:
    def __init__(self, *shape: int) -> None:
        self.shape, self.calls = shape, []

    def __getattr__(self, name: str):
        def call(*arguments: float):
            self.calls.append((name, arguments))
            return self

        return call


def pasted(text: str, shapes: list[tuple[int, int]]):
    """Run the snippet on a stand-in for torch that notes what is asked of it."""

    class Linear:
        def __init__(self, out: int, into: int) -> None:
            self.weight, self.bias = _Weight(out, into), _Weight(out)

    def note(name: str):
        return lambda tensor, *arguments, **options: tensor.calls.append((name, (*arguments, *options.values())))

    torch, nn, init = (types.ModuleType(name) for name in ("torch", "torch.nn", "torch.nn.init"))
    torch.nn, nn.Linear, nn.init = nn, Linear, init  # type: ignore[attr-defined]
    torch.no_grad = lambda: lambda function: function  # type: ignore[attr-defined]
    for name in ("orthogonal_", "normal_", "uniform_", "zeros_"):
        setattr(init, name, note(name))
    layers = [Linear(*shape) for shape in shapes]
    kept = {name: sys.modules.get(name) for name in ("torch", "torch.nn")}
    sys.modules |= {"torch": torch, "torch.nn": nn}
    try:
        scope: dict = {}
        exec(compile(text, "snippet", "exec"), scope)
        scope["init_weights"](types.SimpleNamespace(modules=lambda: layers))
    finally:
        for name, module in kept.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module
    return [(layer.weight.calls, layer.bias.calls) for layer in layers]


def test_the_snippet_asks_torch_for_the_same_weights() -> None:
    net = spectra.Network(
        activation="tanh", sigma_b=0.2, input_width=100, input_variance=1.0, sigma_w=1.5, layers=[
            {"weights": "orthogonal", "width": 400}, {"weights": "orthogonal", "width": 100},
            {"weights": "gaussian", "width": 100}, {"weights": "uniform", "width": 25},
        ],
    )  # fmt: skip
    calls = pasted(pytorch_snippet(mean_field(net)), [(400, 100), (100, 400), (100, 100), (25, 100)])
    bound = 1.5 * math.sqrt(3 / 100)
    # orthogonal_ makes all singular values its gain: 400 outputs of 100 inputs need 2σ_w for entries of σ_w²/fan_in.
    expected = [("orthogonal_", (3.0,)), ("orthogonal_", (1.5,)), ("normal_", (0.15,)), ("uniform_", (-bound, bound))]
    for (weights, biases), (name, arguments) in zip(calls, expected, strict=True):
        assert [call[0] for call in weights] == [name]
        assert weights[0][1] == pytest.approx(arguments, rel=1e-15)
        assert biases == [("normal_", (0.2,))]


def test_the_snippet_counts_layers() -> None:
    text = pytorch_snippet(mean_field(spectra.Network(depth=3, activation="relu", sigma_w=2**0.5)))
    assert [biases for _, biases in pasted(text, [(5, 5)] * 3)] == [[("zeros_", ())]] * 3
    with pytest.raises(ValueError, match="zip"):
        pasted(text, [(5, 5)] * 2)


def test_nothing_in_numpy_warns() -> None:
    with np.errstate(all="raise"):
        assert tuned(value=1e-9).reachable
