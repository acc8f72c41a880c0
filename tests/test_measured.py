"""Singular values from elsewhere: the same verdict as for sampled ones, wrong networks caught, bad arrays refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spectra import ConfigError, Network, crosscheck, measured, predict, sample
from spectra.cli import main

NET = Network(depth=8, activation="tanh", weights="orthogonal", sigma_w="critical", sigma_b=0.1)
CONFIG = 'depth = 8\nactivation = "tanh"\nweights = "orthogonal"\nsigma_w = "critical"\nsigma_b = 0.1\n'


def test_singular_values_of_numpy_are_taken_as_they_are() -> None:
    # Plain matrices, multiplied and decomposed here: nothing of `sample`.
    rng, n = np.random.default_rng(3), 90
    field, sigma_b = predict(NET).mean_field, 0.1
    sigma_w = float(field.runs[0].spec.sigma_w)  # type: ignore[arg-type]
    rows = []
    for _ in range(6):
        q_0 = (field.q[0] - sigma_b**2) / sigma_w**2
        x, jacobian = rng.standard_normal(n), np.eye(n)
        x *= np.sqrt(q_0 / np.mean(x**2))
        for _ in range(8):
            q, r = np.linalg.qr(rng.standard_normal((n, n)))
            w = sigma_w * q * np.sign(np.diagonal(r))
            h = w @ x + sigma_b * rng.standard_normal(n)
            x, jacobian = np.tanh(h), (1 - np.tanh(h) ** 2)[:, None] * (w @ jacobian)
        # In no particular order.
        rows.append(rng.permutation(np.linalg.svd(jacobian, compute_uv=False)))
    values = np.array(rows)
    found = measured(NET, values)
    np.testing.assert_allclose(found.singular_values, -np.sort(-values, axis=1), rtol=1e-14)
    assert crosscheck(predict(NET), values).agree
    deeper = crosscheck(predict(NET.replace(depth=9)), values)
    assert not deeper.agree


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_rounding_in_place_of_zeros_is_no_spectrum(kind: type, tmp_path: Path, monkeypatch, capsys) -> None:
    """Half of the directions die in every ReLU network; an SVD leaves some 1e-17 of them, or 1e-8."""
    relu = Network(depth=3, activation="relu", weights="gaussian", sigma_w=2**0.5, input_variance=1.0)
    rng, n, rows = np.random.default_rng(1), 100, []
    for _ in range(8):
        x, jacobian = rng.standard_normal(n), np.eye(n)
        x /= np.sqrt(np.mean(x**2))
        for _ in range(3):
            w = rng.standard_normal((n, n)) * np.sqrt(2 / n)
            h = w @ x
            x, jacobian = np.maximum(h, 0.0), (h > 0.0)[:, None] * (w @ jacobian)
        rows.append(np.linalg.svd(jacobian.astype(kind), compute_uv=False))
    values, pred = np.array(rows), predict(relu)
    result = crosscheck(pred, values)
    assert result.agree
    assert any("count as zero" in note for note in result.notes)
    # As they are they have no mass at 0 to speak of.
    assert not crosscheck(pred, measured(relu, values)).agree
    assert not crosscheck(predict(relu.replace(sigma_w=1.0)), values).agree
    monkeypatch.chdir(tmp_path)
    np.save("values.npy", values)
    Path("net.toml").write_text(
        'depth = 3\nactivation = "relu"\nweights = "gaussian"\nsigma_w = 1.4142135623730951\ninput_variance = 1.0\n'
    )
    assert main(["check", "net.toml", "--singular-values", "values.npy"]) == 0
    assert "count as zero" in capsys.readouterr().err


def test_arrays_of_other_libraries_are_taken() -> None:
    strict = pytest.importorskip("array_api_strict")
    values = sample(NET, 40, 4).singular_values
    expected = crosscheck(predict(NET), values, companions=False)
    given: Any = strict.asarray(values)
    assert crosscheck(predict(NET), given, companions=False) == expected


def test_widths_follow_from_what_was_measured() -> None:
    net = Network(
        input_width=40,
        layers=[{"width": 60}, {"width": 20}],
        activation="tanh",
        sigma_w=1.0,
        sigma_b=0.1,
        input_variance=1.0,
    )
    assert measured(net, np.ones((2, 20))).widths == (40, 60, 20)
    assert measured(net, np.ones((2, 10))).widths == (20, 30, 10)
    assert measured(NET, np.zeros(5)).widths == (5,) * 9
    assert np.isneginf(measured(NET, np.zeros(5)).log_singular_values).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0, float("nan")]], r"singular_values\[0, 1\] = nan"),
        ([[1.0, -2.0]], "not negative"),
        ([[1.0, float("inf")]], "finite"),
        ([["a"]], "real numbers"),
        ([[1.0], [1.0, 2.0]], "not an array"),
        ([[]], "is needed"),
        ([1j], "real numbers"),
        (np.ones((2, 2, 2)), "is needed"),
    ],
)
def test_what_is_no_spectrum_is_refused(values: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        measured(NET, values)


def test_one_spectrum_has_no_spread() -> None:
    with pytest.raises(ConfigError, match="at least 2 samples"):
        crosscheck(predict(NET), np.ones(20))


def test_check_takes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, good, bad = tmp_path / "net.toml", tmp_path / "good.npy", tmp_path / "bad.txt"
    config.write_text(CONFIG)
    np.save(good, sample(NET, width=60, samples=4, seed=2).singular_values)
    np.savetxt(bad, sample(NET.replace(sigma_w=1.5), width=60, samples=4, seed=2).singular_values)
    command = ["check", str(config), "--singular-values"]
    assert main([*command, str(good), "--json", str(tmp_path / "out.json")]) == 0
    assert main([*command, str(bad), "--json", str(tmp_path / "out.json")]) == 1
    capsys.readouterr()
    for arguments, message in (
        ([str(tmp_path / "none.npy")], "No such file"),
        ([str(config)], "not an array of numbers"),
        ([str(good), "--width", "50"], "leave `--width`"),
    ):
        assert main([*command, *arguments]) == 2
        assert message in capsys.readouterr().err


def test_a_device_is_no_array(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "net.toml"
    config.write_text(CONFIG)
    assert main(["check", str(config), "--singular-values", "/dev/zero"]) == 2
    assert main(["law", 'empirical("/dev/zero")']) == 2
    assert capsys.readouterr().err.count("not a regular file") == 2
