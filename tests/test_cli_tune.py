"""`spectra tune`: its JSON, what it writes, and what it says of bad input."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import answer, refused

import spectra
from spectra.advice import Target
from spectra.cli import main

TANH = 'depth = 20\nactivation = "tanh"\nweights = "orthogonal"\n'


def test_json_of_tune(net, capsys) -> None:
    record = answer(capsys, "tune", net(TANH), "--target-variance", "0.25")
    assert record["schema"] == 1
    assert record["reachable"] is True
    assert record["achieved"] == pytest.approx(0.25, rel=1e-9)
    assert record["prediction"]["jacobian"]["variance"] == pytest.approx(0.25, rel=1e-9)
    # The network is a configuration with numbers: read back, it predicts the same.
    again = spectra.predict(spectra.Network(**record["network"]))
    assert again.variance == pytest.approx(0.25, rel=1e-7)
    assert record["reason"].endswith(".")
    assert "def init_weights" in record["snippet"]


def test_what_is_out_of_reach_is_an_answer(net, capsys) -> None:
    record = answer(capsys, "tune", net(TANH), "--set", "activation=relu")
    assert record["reachable"] is False
    assert record["reason"].startswith("Out of reach")


def test_the_tuned_configuration_can_be_written_and_predicted(net, capsys) -> None:
    assert main(["tune", net(TANH), "--target-gradient", "1.5", "--write", "tuned.toml"]) == 0
    out, _ = capsys.readouterr()
    assert "To paste" in out
    found = spectra.Network.from_toml("tuned.toml")
    assert Target("gradient", 1.5).of(found) == pytest.approx(1.5, rel=1e-7)


@pytest.mark.parametrize(
    ("text", "options", "fragment"),
    [
        (TANH, ["--target-variance", "-1"], "at least 0"),
        (TANH, ["--target-variance", "1", "--target-s-max", "2"], "give one target"),
        (TANH, ["--set", "depth=0"], "`depth = 0`"),
        (TANH, ["--set", "activation=tahn"], "tanh"),
        (TANH, ["--set", "init=xavir"], '"xavier_uniform"'),
        (TANH, ["--write", "nowhere/x.toml"], "no such directory"),
    ],
)
def test_bad_input_to_tune(net, capsys, text: str, options: list[str], fragment: str) -> None:
    assert fragment in refused(capsys, "tune", net(text), *options)
    assert not Path("nowhere").exists()
