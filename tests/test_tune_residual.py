"""Residual networks: tuned by α, audited, followed forward and back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import answer, refused

import spectra
from spectra.activations import get_activation
from spectra.advice import Target, audit, tune
from spectra.agreement import crosscheck
from spectra.bounds import norm_bound
from spectra.correlated.network import first_two_moments
from spectra.errors import ConfigError, ConvergenceError
from spectra.flow import flow
from spectra.network.meanfield import mean_field

BLOCKS = {"kind": "residual", "depth": 12, "activation": "relu", "order": "post"}


def test_relu_blocks_with_fresh_slopes_are_tuned_by_a_quadratic_equation() -> None:
    # (1 + 2t + ¾t²)/(1 + t/2)² − 1 = V/L, t = α²σ_w²: tests/test_two_moments.py.
    found = tune(BLOCKS | {"sigma_w": 1.5}, Target("variance", 0.25), advise=False)
    v = 0.25 / 12
    a, b, c = 0.75 - (1 + v) / 4, 2 - (1 + v), -v
    t = (-b + math.sqrt(b * b - 4 * a * c)) / (2 * a)
    assert found.reachable
    assert found.alpha == pytest.approx(math.sqrt(t) / 1.5, rel=1e-8)
    assert f"m_1 = {(1 + t / 2) ** 12:.6g}" in found.reason


def test_what_is_left_out_and_what_is_given() -> None:
    plain = tune(BLOCKS, Target("variance", 0.25), advise=False)
    assert plain.network is not None
    assert {spec.sigma_w for spec in plain.network.layers} == {1.0}
    given = tune(BLOCKS | {"alpha": 3.0, "sigma_w": 2.0}, Target("variance", 0.25), advise=False)
    assert given.set_aside == ("alpha",)
    assert given.alpha == pytest.approx((plain.alpha or 0.0) / 2.0, rel=1e-8)


@pytest.mark.parametrize("kind", ["s_max", "condition"])
def test_targets_that_take_a_spectrum(kind: str) -> None:
    # One linear Gaussian block, factsheet D.5: edges 1 + 5t/2 − t²/8 ± √t (t + 8)^{3/2}/8.
    keys = {"kind": "residual", "depth": 1, "activation": "identity", "input_variance": 1.0}
    found = tune(keys, Target(kind, 1.5), advise=False)  # type: ignore[arg-type]
    t = (found.alpha or 0.0) ** 2
    middle, half = 1 + 2.5 * t - t * t / 8, math.sqrt(t) * (t + 8) ** 1.5 / 8
    exact = math.sqrt(middle + half) if kind == "s_max" else math.sqrt((middle + half) / (middle - half))
    assert found.found.value == pytest.approx(exact, rel=1e-6)
    assert 1.5 * 0.997 <= exact <= 1.5 * (1 + 1e-6)


def test_gradients_within_a_factor_of_2_through_one_block() -> None:
    # Factsheet D.5: t²λG³ − 2tλG² + (λ − 1 + t)G − 1 = 0 for 1 + √t Ginibre; one percent of λ lies below 1/F².
    keys = {"kind": "residual", "depth": 1, "activation": "identity", "input_variance": 1.0}
    found = tune(keys, Target("gradient", 2.0), advise=False)
    t, factor = (found.alpha or 0.0) ** 2, found.found.value
    assert 2.0 * 0.997 <= factor <= 2.0
    low, high = (1 + 2.5 * t - t * t / 8 + sign * math.sqrt(t) * (t + 8) ** 1.5 / 8 for sign in (-1, 1))

    def mass(a: float, b: float, edge: float) -> float:
        """From an edge on, λ = edge ± x²: a square root becomes a polynomial."""
        nodes, weights = np.polynomial.legendre.leggauss(60)
        end = math.sqrt(b - a)
        x = 0.5 * end * (1.0 + nodes)
        values = edge + x**2 if edge == a else edge - x**2
        rho = [np.roots([t * t * y, -2 * t * y, y - 1 + t, -1]).imag.max() / math.pi for y in values]
        return float(0.5 * end * (weights * 2.0 * x) @ rho)

    middle = 0.5 * (low + high)
    assert mass(low, middle, low) + mass(middle, high, high) == pytest.approx(1.0, abs=1e-9)
    # The tail that reaches farther from 1 in logarithms is the lower one.
    assert mass(low, factor**-2, low) == pytest.approx(0.01, rel=1e-6)
    assert factor**2 > high


def test_gradients_within_a_factor_of_2_in_samples() -> None:
    keys = {"kind": "residual", "order": "post", "depth": 4, "activation": "tanh", "input_variance": 1.0}
    found = tune(keys, Target("gradient", 2.0), advise=False)
    assert found.network is not None
    outside = []
    for net in (found.network, found.network.replace(alpha=1.2 * (found.alpha or 0.0))):
        values = spectra.sample(net, width=300, samples=4, seed=2).singular_values
        outside.append([float((values < 0.5).mean()), float((values > 2.0).mean())])
    # One percent below ½ (twelve of 1200), none beyond 2; eigenvalues are rigid: three more or less are much.
    assert 0.0075 <= outside[0][0] <= 0.0125
    assert outside[0][1] == 0.0
    assert outside[1][0] > 0.02


def test_a_weak_skip_alone_is_more_than_a_factor_of_2() -> None:
    # Without blocks all singular values are β^L: 8 = ½^−3 times too small, whatever α.
    keys = {"kind": "residual", "order": "post", "depth": 3, "activation": "tanh", "skip": 0.5, "input_variance": 1.0}
    found = tune(keys, Target("gradient", 2.0), advise=False)
    assert not found.reachable
    assert found.found.least == pytest.approx(8.0, rel=1e-12)
    # A little above it a weak block will do.
    weak = tune(keys, Target("gradient", 8.3), advise=False)
    assert weak.found.value == pytest.approx(8.3, rel=3e-3)
    assert (weak.alpha or 1.0) < 0.011


def test_a_search_among_spectra_that_fail_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"kind": "residual", "order": "post", "depth": 3, "activation": "tanh", "input_variance": 1.0}
    asked: list[Any] = []

    def failing(self: Target, net: spectra.Network) -> float:
        asked.append(net)
        raise ConvergenceError("no spectrum")

    monkeypatch.setattr(Target, "of", failing)
    with pytest.raises(ConvergenceError, match=r"without blocks it is 1, and no α .*: no spectrum"):
        tune(keys, Target("gradient", 2.0), advise=False)
    assert len(asked) < 8


AFTER_SUM = {"kind": "residual", "order": "sum", "depth": 3, "input_variance": 1.0}


def test_blocks_with_relu_after_the_sum() -> None:
    found = tune(AFTER_SUM | {"activation": "relu"}, Target("variance", 2.0), advise=False)
    assert found.prediction is not None
    # The spectrum comes from the equation of the blocks, and knows nothing of the recursion.
    assert found.prediction.relative_variance == pytest.approx(2.0, rel=1e-6)
    m_1 = found.prediction.moments(1)[0]
    assert f"m_1 = {m_1:.6g}" in found.reason
    kept = float(found.reason.rpartition("at α = ")[2].rstrip(").;"))
    same = spectra.Network(**AFTER_SUM, activation="relu", sigma_w=1.0, alpha=kept)
    assert spectra.predict(same).moments(1)[0] == pytest.approx(1.0, rel=1e-5)


def test_what_relu_loses_after_the_sum_is_out_of_reach() -> None:
    few = tune(AFTER_SUM | {"activation": "relu"}, Target("variance", 0.25), advise=False)
    # A projection on half of the neurons has m_2/m_1² − 1 = 1, and every α adds to that.
    assert not few.reachable
    assert 1.0 < few.found.least < 1.2
    assert "of all α that were tried" in few.reason
    lost = tune(AFTER_SUM | {"activation": "relu", "depth": 2}, Target("condition", 50.0), advise=False)
    assert "lose some directions entirely" in lost.reason


def test_spread_that_falls_before_it_grows() -> None:
    # Of gelu after the sum weak blocks are the worst: the search comes from above.
    keys = AFTER_SUM | {"activation": "gelu", "depth": 8}
    found = tune(keys, Target("variance", 10.0), advise=False)
    assert found.reachable
    net = spectra.Network(**(keys | {"sigma_w": 1.0, "alpha": 0.2}))
    first, second = first_two_moments(mean_field(net))
    assert second / first**2 - 1.0 > 11.0
    assert found.found.value == pytest.approx(10.0, rel=1e-8)
    more = spectra.Network(**(keys | {"sigma_w": 1.0, "alpha": 1.05 * (found.alpha or 0.0)}))
    first, second = first_two_moments(mean_field(more))
    assert second / first**2 - 1.0 > 10.0
    assert found.prediction is None
    assert any("finitely many slopes" in note for note in found.notes)


def test_text_for_alpha_is_read_though_it_is_set_aside() -> None:
    with pytest.raises(ConfigError, match=r"`alpha = \"1/sqrt\(L\)\"`: must be a positive number"):
        tune(AFTER_SUM | {"activation": "relu", "alpha": "1/sqrt(L)"}, Target("variance", 0.25))


@pytest.mark.parametrize("position", ["before", "after", "sum"])
def test_normalised_blocks(position: str) -> None:
    keys = {"kind": "residual", "depth": 3, "activation": "tanh", "input_variance": 1.0, "order": "post"}
    normalise = {"name": "rms", "position": position}
    found = tune(keys | {"normalise": normalise}, Target("variance", 0.2), advise=False)
    assert found.prediction is not None
    assert found.prediction.relative_variance == pytest.approx(0.2, rel=1e-6)


def test_signals_that_grow_too_large_end_the_search() -> None:
    keys = {"kind": "residual", "depth": 12, "activation": "gelu", "input_variance": 1.0, "sigma_w": 1.4}
    found = tune(keys, Target("variance", 30.0), advise=False)
    assert "as far as signals and spectra can be followed" in found.reason
    assert found.found.value < 30.0


def test_out_of_reach_says_what_is_there_without_blocks() -> None:
    layers = [{"activation": "identity", "sigma_w": 1.0}, {"kind": "residual", "repeat": 2}]
    found = tune({"layers": layers, "activation": "relu", "input_variance": 1.0}, Target("variance", 0.25))
    # One square Gaussian layer has a relative variance of 1.
    assert not found.reachable
    assert found.prediction is None
    assert "α → 0, the variance of JJᵀ over m_1² is 1 already" in found.reason
    assert found.to_dict()["network"] is None


def test_the_tuned_network_is_what_samples_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, written = tmp_path / "net.toml", tmp_path / "tuned.toml"
    config.write_text(
        'kind = "residual"\norder = "post"\ndepth = 2\nactivation = "relu"\n'
        "sigma_w = 1.0\ninput_variance = 1.0\nwidth = 60\n"
    )
    record: dict[str, Any] = answer(capsys, "tune", str(config), "--target-variance", "0.2", "--write", str(written))
    assert record["reachable"]
    assert record["alpha"] == pytest.approx(spectra.Network.from_toml(str(written)).layers[0].alpha, rel=1e-15)
    net = spectra.Network.from_toml(str(written))
    pred = spectra.predict(net)
    assert pred.relative_variance == pytest.approx(0.2, rel=1e-8)
    assert crosscheck(pred, spectra.sample(net, width=150, samples=8, seed=3)).agree


def test_the_snippet_has_the_block_of_the_order_that_was_tuned() -> None:
    for order, forward in (("post", "self.phi(self.linear(x))"), ("pre", "self.linear(self.phi(x))")):
        found = tune(BLOCKS | {"order": order, "depth": 2, "skip": 0.9}, Target("variance", 0.25), advise=False)
        text = found.snippet or ""
        compile(text, "snippet", "exec")
        assert f"return self.skip * x + self.alpha * {forward}" in text
        assert f"alpha={found.alpha!r}, skip=0.9" in text


def test_gradients_of_residual_networks_against_sampled_ones() -> None:
    for order in ("pre", "post"):
        keys = {"kind": "residual", "order": order, "alpha": 0.7, "skip": 0.9, "sigma_w": 1.3, "sigma_b": 0.2}
        net = spectra.Network(depth=4, activation="tanh", input_variance=2.0, **keys)
        found, phi, n = flow(net), get_activation("tanh"), 1000
        rng = np.random.default_rng(7)
        z = rng.normal(size=n)
        x = z * math.sqrt(2.0 / np.mean(z**2))
        states, fed, slopes, weights = [x], [], [], []
        for _ in range(4):
            w, b = rng.normal(size=(n, n)) * 1.3 / math.sqrt(n), rng.normal(size=n) * 0.2
            weights.append(w)
            fed.append(phi(x) if order == "pre" else x)
            h = x if order == "pre" else w @ x + b
            slopes.append(phi.derivative(h))
            x = 0.9 * x + 0.7 * (w @ phi(x) + b if order == "pre" else phi(h))
            states.append(x)
        grad = rng.normal(size=n)
        grad /= math.sqrt(np.mean(grad**2))
        for layer in reversed(range(4)):
            at_bias = 0.7 * grad * (1.0 if order == "pre" else slopes[layer])
            assert np.mean(at_bias**2) == pytest.approx(math.exp(found.log_grad_h[layer]), rel=0.15)
            in_weights = np.mean(at_bias**2) * np.mean(fed[layer] ** 2)
            assert in_weights == pytest.approx(math.exp(found.log_grad_w[layer]), rel=0.15)
            back = weights[layer].T @ at_bias
            grad = 0.9 * grad + (back * slopes[layer] if order == "pre" else back)
            assert np.mean(grad**2) == pytest.approx(math.exp(found.log_grad_x[layer]), rel=0.15)
        for state, log in zip(states, found.log_x, strict=True):
            assert np.mean(state**2) == pytest.approx(math.exp(log), rel=0.15)


def test_audit_of_residual_networks() -> None:
    keys = BLOCKS | {"depth": 3, "sigma_w": 1.0, "input_variance": 1.0}
    fair = audit(spectra.Network(**keys, alpha=0.5), advise=False)
    assert fair.ok
    assert fair.numbers()["log10_mean_square_gradient"] == pytest.approx(3 * math.log10(1.125), rel=1e-9)
    # β + α ‖D‖ ‖W‖ = 1 + ½ · 2.
    assert norm_bound(fair.prediction).log_bound == pytest.approx(3 * math.log(2.0), rel=1e-12)  # type: ignore[arg-type]
    assert fair.advice == ()
    wild = spectra.Network(**(keys | {"depth": 1}), alpha=16.0)
    found = audit(wild)
    assert found.verdict == "exploding"
    assert not found.ok
    assert any("α = " in line for line in found.advice)


@pytest.mark.parametrize(("keys", "target"), [(3, Target("variance", 0.25)), ({"depth": 2}, 0.25)])
def test_what_is_no_network_or_no_target_is_refused(keys: Any, target: Any) -> None:
    with pytest.raises(ConfigError, match="`tune\\("):
        tune(keys, target)


def test_bad_residual_configurations_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "net.toml"
    config.write_text('kind = "residual"\ndepth = 2\nactivation = "tanh"\nskip = 0\n')
    assert "`skip = 0`" in refused(capsys, "tune", str(config))
