"""Audits: verdicts on known inits, their numbers, exit statuses."""

from __future__ import annotations

import numpy as np
import pytest
from command_line import answer, refused

import spectra
from spectra.advice import Target
from spectra.advice.audit import audit
from spectra.cli import main
from spectra.errors import ConfigError

BASE = 'depth = 32\nactivation = "tanh"\nwidth = 500\ninput_variance = 1.0\n'


def judged(target: Target | None = None, *, within: float = 10.0, **keys: object):
    return audit(spectra.Network(**({"depth": 32, "activation": "tanh"} | keys)), target, within=within, advise=False)


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ({"init": "torch_default", "width": 500}, "vanishing"),
        ({"init": {"name": "xavier_normal", "nonlinearity": "tanh"}}, "exploding"),
        ({"init": {"name": "kaiming_normal", "nonlinearity": "relu"}, "activation": "relu"}, "uneven"),
        ({"init": "kaiming_normal", "activation": "relu", "depth": 2}, "fair"),
        ({"weights": "orthogonal", "sigma_w": "critical", "q_star": 0.01}, "good"),
        ({"weights": "orthogonal", "sigma_w": "critical", "q_star": 0.5}, "fair"),
        ({"init": "kaiming_normal", "activation": "selu"}, "exploding"),
        ({"init": {"name": "normal", "std": 1.0}, "activation": "identity", "width": 256}, "exploding"),
        # Beyond the range of doubles.
        ({"init": {"name": "normal", "std": 1.0}, "activation": "relu", "width": 256, "depth": 3000}, "exploding"),
        ({"sigma_w": 0.5, "sigma_b": 0.0, "depth": 4}, "vanishing"),
        ({"init": "torch_default", "activation": "sigmoid", "width": 500}, "vanishing"),
    ],
)
def test_verdicts(keys: dict, verdict: str) -> None:
    found = judged(**keys)
    assert found.verdict == verdict
    assert found.ok == (verdict not in ("vanishing", "exploding"))
    assert found.reason.lower().startswith(verdict)
    assert found.reason.endswith(".")


def test_a_gradient_that_recovers_is_still_seen() -> None:
    # χ = 16 in eight layers, then 1/16: the ends agree, the middle does not.
    layers = [{"sigma_w": 4.0, "repeat": 8}, {"sigma_w": 0.25, "repeat": 8}]
    found = audit(spectra.Network(activation="identity", layers=layers, input_variance=1.0), advise=False)
    assert found.flow is not None
    assert found.flow.log_grad_norm[0] == pytest.approx(0.0, abs=1e-12)
    assert found.verdict == "vanishing"
    assert "layer 8" in found.reason


def test_numbers_are_those_of_the_prediction() -> None:
    found = judged(sigma_w=1.2, sigma_b=0.1)
    pred = spectra.predict(found.network)
    numbers = found.numbers()
    assert numbers["chi_1"] == pred.mean_field.chi_1
    assert numbers["log10_mean_square_gradient"] == pytest.approx(np.log10(pred.moments(1)[0]), rel=1e-9)
    assert numbers["s_max"] == pytest.approx(pred.singular_values.support()[1], rel=1e-6)
    assert numbers["norm_bound_looseness"] > 1.0
    assert len(numbers["log10_gradient_norms"]) == 33
    assert len(numbers["log10_signals"]) == 32


def test_what_stands_already_is_no_advice() -> None:
    # He's variance is all there is of relu's edge of chaos.
    found = audit(spectra.Network(depth=8, activation="relu", init="kaiming_normal", width=100))
    assert found.advice
    assert not [line for line in found.advice if line.startswith("on the edge of chaos")]
    other = audit(spectra.Network(depth=8, activation="relu", init="lecun_normal", width=100))
    assert other.advice[0].startswith("on the edge of chaos: σ_w = 1.4142136")


def test_a_target_that_is_missed_is_a_bad_init() -> None:
    critical = {"weights": "orthogonal", "sigma_w": "critical", "q_star": 0.1}
    missed = judged(Target("variance", 0.25), **critical)
    assert not missed.ok
    assert missed.verdict == "fair"
    assert "asked for was at most 0.25" in missed.reason
    assert missed.achieved == pytest.approx(spectra.predict(missed.network).variance, rel=1e-9)
    assert judged(Target("variance", 5.0), **critical).ok


def test_within_moves_the_line() -> None:
    keys = {"sigma_w": 1.1, "sigma_b": 0.05, "depth": 10}
    change = float(judged(**keys).flow.log_grad_norm[0])  # type: ignore[union-attr]
    factor = float(np.exp(abs(change)))
    assert judged(within=factor * 1.01, **keys).ok
    assert not judged(within=factor * 0.99, **keys).ok
    with pytest.raises(ConfigError, match="above 1"):
        judged(within=1.0, **keys)


def test_advice_brings_what_it_promises() -> None:
    found = audit(spectra.Network(depth=32, activation="tanh", init="orthogonal", width=300))
    assert found.tuned is not None
    assert found.tuned.network is not None
    assert all(spec.weights == "orthogonal" for spec in found.tuned.network.layers)
    assert any("σ_w" in line for line in found.advice)
    assert audit(found.tuned.network).ok
    good = audit(spectra.Network(depth=4, activation="tanh", weights="orthogonal", sigma_w="critical", q_star=0.001))
    assert good.advice == ()


def test_depth_scales_and_narrow_nets_are_noted() -> None:
    notes = " ".join(judged(init="torch_default", width=60).notes)
    assert "ξ_c" in notes
    assert "depth over width" in notes


# The command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("init", "status"),
    [('"torch_default"', 1), ('{name = "xavier_normal", nonlinearity = "tanh"}', 1), ('"orthogonal"', 0)],
)
def test_the_exit_status_is_the_verdict(net, capsys, init: str, status: int) -> None:
    record = answer(capsys, "audit", net(BASE + f"init = {init}\n"), status=status)
    assert record["schema"] == 1
    assert record["ok"] is (status == 0)
    assert record["verdict"] in ("good", "fair", "uneven", "vanishing", "exploding")
    assert record["reason"]
    assert isinstance(record["advice"], list)
    assert record["prediction"]["schema"] == 1


def test_an_overflow_is_a_verdict_and_not_bad_input(net, capsys) -> None:
    text = BASE.replace("32", "4000").replace("tanh", "relu") + 'init = {name = "normal", std = 1.0}\n'
    record = answer(capsys, "audit", net(text), status=1)
    assert record["verdict"] == "exploding"
    assert record["prediction"] is None


def test_the_table_is_printed(net, capsys) -> None:
    assert main(["audit", net(BASE + 'init = "torch_default"\n')]) == 1
    out, err = capsys.readouterr()
    assert "Vanishing" in out
    assert "better:" in out
    assert "null" not in err


def test_inputs_from_a_file(net, capsys) -> None:
    path = net(BASE.replace("input_variance = 1.0\n", "") + 'init = "orthogonal"\n')
    np.save("data.npy", 3.0 + np.random.default_rng(0).standard_normal((50, 40)))
    record = answer(capsys, "audit", path, "--input", "data.npy", "--set", "depth=3")
    assert record["inputs"]["q_1"] == pytest.approx(10.0, rel=0.05)
    assert record["inputs"]["c_1"] == pytest.approx(0.9, rel=0.02)
    assert record["network"]["input_variance"] == record["inputs"]["mean_square"]


@pytest.mark.parametrize(
    ("text", "options", "fragment"),
    [
        (BASE, [], "`sigma_w`: missing"),
        (BASE + 'init = "xavier"\n', [], '"xavier_normal"'),
        (BASE + 'init = "orthogonal"\n', ["--within", "1"], "above 1"),
        (BASE + 'init = "orthogonal"\n', ["--input", "nowhere.npy"], "nowhere.npy"),
        (BASE + 'init = "orthogonal"\n', ["--input", "net.toml"], "net.toml"),
    ],
)
def test_bad_input_to_audit(net, capsys, text: str, options: list[str], fragment: str) -> None:
    assert fragment in refused(capsys, "audit", net(text), *options)
