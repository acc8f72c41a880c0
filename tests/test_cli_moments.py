"""`spectra moments`, and `spectra predict` with `--dps` and `--certify`."""

from __future__ import annotations

import json
from pathlib import Path

import mpmath
import pytest
from command_line import answer, refused

from spectra.cli import main

HE = 'depth = 5\nactivation = "relu"\nweights = "gaussian"\nsigma_w = "critical"\nsigma_b = 0.0\n'
TANH = 'depth = 4\nactivation = "tanh"\nweights = "orthogonal"\nsigma_w = "critical"\nsigma_b = 0.05\n'


def test_moments_are_exact_where_they_are_rational(net, capsys) -> None:
    found = answer(capsys, "moments", net(HE), "--order", "4", "--exact")
    assert found == {"schema": 1, "order": 4, "exact": True, "moments": ["1", "11", "171", "3101"], "notes": []}
    assert answer(capsys, "moments", net(HE), "--order", "3")["moments"] == [1.0, 11.0, 171.0]


def test_moments_as_polynomials_in_the_depth(net, capsys) -> None:
    found = answer(capsys, "moments", net(HE), "--order", "2", "--symbolic", "depth")
    assert found["polynomials"] == ["1", "2*L + 1"]
    from spectra.cli import main

    assert main(["moments", net(HE), "--order", "2", "--symbolic", "depth", "--latex"]) == 0
    assert "m_{2} = 2 L + 1" in capsys.readouterr().out


def test_moments_that_are_not_rational_have_as_many_digits_as_asked_for(net, capsys) -> None:
    found = answer(capsys, "moments", net(TANH), "--order", "2", "--dps", "30")
    assert found["exact"] is False
    assert all(isinstance(m, str) for m in found["moments"])
    assert float(found["moments"][1]) == pytest.approx(
        answer(capsys, "predict", net(TANH))["jacobian"]["moments"][1], rel=1e-13
    )


@pytest.mark.parametrize(
    ("text", "arguments", "fragment"),
    [
        (TANH, ["--exact"], "not rational"),
        (HE, ["--order", "0"], "0"),
        (HE, ["--latex"], "--symbolic"),
        (HE, ["--symbolic", "width"], "width"),
        (HE, ["--order", "101", "--symbolic", "depth"], "at most 100"),
    ],
)
def test_what_moments_cannot_be_had_is_said(net, capsys, text, arguments, fragment) -> None:
    assert fragment in refused(capsys, "moments", net(text), *arguments)


def test_predict_gives_strings_where_more_than_seventeen_digits_are_asked_for(net, capsys) -> None:
    """σ_w and q* of tanh at σ_b = 0.05: 1.12253900476957564… (tests/test_certified.py has it from mpmath)."""
    found = answer(capsys, "predict", net(TANH), "--dps", "25", "--at", "0.5,50", "--moments", "2", "--certify")
    assert found["network"]["sigma_w"].startswith("1.122539004769575")
    assert len(found["network"]["sigma_w"]) == 26
    assert found["mean_field"]["chi_1"].strip("0") == "1."
    plain = answer(capsys, "predict", net(TANH), "--at", "0.5,50", "--moments", "2")
    assert float(found["density"]["pdf"][0]) == pytest.approx(plain["density"]["pdf"][0], rel=1e-12)
    # Off the bulks 0 is exact.
    assert found["density"]["pdf"][1] == 0.0
    assert float(found["jacobian"]["support"][1]) == pytest.approx(plain["jacobian"]["support"][1], rel=1e-13)
    names = {
        "q_star",
        "chi_1",
        "chi_layer_1",
        "sigma_w",
        "mu_1",
        "mu_2",
        "m_1",
        "m_2",
        "lambda_max",
        "density(0.5)",
        "density(50)",
    }
    assert set(found["certified"]) == names - {"density(50)"}
    middle, radius = found["certified"]["lambda_max"]
    assert abs(float(middle) - plain["jacobian"]["support"][1]) < 1e-12
    assert 0.0 < float(radius) < 1e-25
    assert json.dumps(found)


MIXED = """
input_variance = 1.0
weights = "orthogonal"
[[layers]]
activation = "tanh"
repeat = 3
sigma_w = 1.1
sigma_b = 0.1
[[layers]]
activation = "relu"
sigma_w = 2.7
sigma_b = 0.7
repeat = 2
"""


@pytest.mark.parametrize(
    "text", [MIXED, HE.replace('"critical"', "1.1").replace("0.0", "0.3") + "input_variance = 0.7\n"]
)
def test_strings_are_the_numbers_that_doubles_give(net, capsys, text) -> None:
    """Every layer has its own variance, and every run its own σ_w and σ_b."""
    strings = answer(capsys, "predict", net(text), "--dps", "20", "--moments", "2")
    numbers = answer(capsys, "predict", net(text), "--moments", "2")
    for part, keys in (("mean_field", ("q", "chi")), ("jacobian", ("moments",))):
        for key in keys:
            assert all(isinstance(x, str) for x in strings[part][key])
            assert [float(x) for x in strings[part][key]] == pytest.approx(numbers[part][key], rel=1e-13)
    pairs = zip(strings["network"].get("layers", []), numbers["network"].get("layers", []), strict=True)
    for found, expected in pairs:
        assert float(found["sigma_w"]) == expected["sigma_w"]
        assert float(found["sigma_b"]) == expected["sigma_b"]


@pytest.mark.parametrize("sigma_w", [3.0, 0.2])
def test_moments_beyond_doubles_are_null_and_said(capsys, tmp_path: Path, sigma_w: float) -> None:
    config = tmp_path / "far.toml"
    config.write_text(f'depth = 900\nactivation = "relu"\nsigma_w = {sigma_w}\nsigma_b = 0.0\ninput_variance = 1.0\n')
    assert main(["moments", str(config), "--order", "3", "--json", "-"]) == 0
    out, err = capsys.readouterr()
    record = json.loads(out)
    # m_1 = (σ_w²/2)^900: beyond 1e±308 in both.
    assert record["moments"] == [None] * 3
    assert "`moments` is null 3 times" in record["notes"][0]
    assert "null 3 times" in err


def test_rational_moments_have_as_many_digits_as_asked_for(capsys, tmp_path: Path) -> None:
    config = tmp_path / "third.toml"
    config.write_text('depth = 7\nactivation = "relu"\nsigma_w = 1.1\nsigma_b = 0.0\ninput_variance = 1.0\n')
    found = answer(capsys, "moments", str(config), "--order", "2", "--dps", "40")["moments"]
    # m_1 = (σ_w²/2)^L, m_2 = m_1² (1 + 2L), by mpmath.
    with mpmath.workdps(60):
        first = (mpmath.mpf(121) / 200) ** 7
        for text, exact in zip(found, (first, first**2 * 15), strict=True):
            assert abs(mpmath.mpf(text) / exact - 1) < mpmath.mpf("1e-39")


def test_enclosures_show_their_radii_and_are_narrower_on_request(net, capsys) -> None:
    path = net(HE)
    radii = []
    for arguments in ((), ("--dps", "60")):
        certified = answer(capsys, "predict", path, "--certify", "--moments", "2", *arguments)["certified"]
        radii.append(max(float(radius) for _, radius in certified.values()))
    assert 0.0 < radii[1] < 1e-59 < radii[0] < 1e-29
    assert main(["predict", path, "--certify", "--moments", "2"]) == 0
    assert "radius" in capsys.readouterr().out
