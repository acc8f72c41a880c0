"""Commands on networks with normalised layers: what they answer, and what they refuse."""

from __future__ import annotations

import pytest
from command_line import answer, refused

from spectra.normalisation.growth import gradient_growth


@pytest.mark.parametrize("command", [["moments"], ["predict", "--dps", "30"], ["predict", "--certify"], ["tune"]])
def test_what_has_no_theory_is_refused_in_one_line(command: list[str], tmp_path, capsys) -> None:
    path = tmp_path / "net.toml"
    path.write_text('depth = 2\nactivation = "relu"\nsigma_w = 1.0\nnormalise = "layer"\n')
    text = refused(capsys, command[0], str(path), *command[1:], "--json", str(tmp_path / "out.json"))
    assert "normalise" in text
    assert not (tmp_path / "out.json").exists()


def test_the_command_line_compares_and_checks(tmp_path, capsys) -> None:
    path = tmp_path / "net.toml"
    path.write_text('depth = 2\nactivation = "tanh"\nsigma_w = 1.0\nnormalise = "layer"\n')
    runs = answer(capsys, "compare", str(path), "--depths", "1,2")["runs"]
    assert [run["prediction"]["network"]["normalise"] for run in runs] == ["layer", "layer"]
    found = answer(capsys, "check", str(path), "--width", "48", "--samples", "8")
    assert found["agree"] is True
    assert found["prediction"]["mean_field"]["chi_1"] == pytest.approx(gradient_growth("tanh", "layer"), rel=1e-12)
