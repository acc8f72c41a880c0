"""`spectra law`: the grammar, what it says, and what it refuses."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import answer, refused

from spectra import (
    ConfigError,
    Network,
    affine,
    compression,
    free_power,
    free_product,
    free_sum,
    parse_law,
    predict,
)
from spectra.cli import main
from spectra.laws import (
    Arcsine,
    Atomic,
    Bernoulli,
    Dirac,
    Discrete,
    FussCatalan,
    MarchenkoPastur,
    Semicircle,
    SquaredSlope,
)

F = Fraction


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("MP(1/2)", MarchenkoPastur(F(1, 2))),
        ("marchenko_pastur(0.2, 3)", MarchenkoPastur(F(1, 5), 3)),
        ("semicircle()", Semicircle(1)),
        ("semicircle(1e-1)", Semicircle(F(1, 10))),
        ("arcsine(2)", Arcsine(-2, 2)),
        ("arcsine(0, 1)", Arcsine(0, 1)),
        ("projection(1/3)", Bernoulli(F(1, 3))),
        ("discrete([1, 10])", Discrete((1, 10))),
        ("discrete([1, 10], [1/4, 3/4])", Discrete((1, 10), (F(1, 4), F(3, 4)))),
        ("discrete({-1: 1/2, 3: 1/2})", Atomic((-1, 3))),
        ("FC(5/2)", FussCatalan(F(5, 2))),
        ("free_poisson(2, 3)", MarchenkoPastur(F(1, 2), 6)),
        ("slope(tanh, 0.5)", SquaredSlope("tanh", 0.5)),
        ("dirac(2) + dirac(-2)", Atomic((0,))),
        ("MP(1/2) * MP(1/5)", free_product(MarchenkoPastur(F(1, 2)), MarchenkoPastur(F(1, 5)))),
        ("MP(1)^3", free_power(MarchenkoPastur(1), 3)),
        ("MP(1)**(3/2)", free_power(MarchenkoPastur(1), F(3, 2))),
        ("2^3 * semicircle(1) / 4", affine(Semicircle(1), 2)),
        ("1 - MP(1)", affine(MarchenkoPastur(1), -1, 1)),
        ("MP(1) - 1", affine(MarchenkoPastur(1), 1, -1)),
        ("-arcsine(0, 1)", affine(Arcsine(0, 1), -1)),
        ("semicircle(1) + bernoulli(1/2)", free_sum(Semicircle(1), Bernoulli(F(1, 2)))),
        ("semicircle(1) - bernoulli(1/2)", free_sum(Semicircle(1), affine(Bernoulli(F(1, 2)), -1))),
        ("compress(discrete([-1, 1]), 1/2)", compression(Atomic((-1, 1)), F(1, 2))),
        ("0 * MP(1)", Atomic((0,))),
        ("3 * dirac(2)", Dirac(6)),
    ],
)
def test_grammar(text: str, law: Any) -> None:
    assert parse_law(text) == law


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not an expression"),
        ("MP(1)*", "not an expression"),
        ("1/2", "a number, not a law"),
        ("MP", "parameters in parentheses"),
        ("MPP(1)", 'did you mean "MP"'),
        ("MP()", "is written MP\\(ratio, scale = 1\\)"),
        ("MP(1, 2, 3)", "is written MP"),
        ("MP(tanh)", "not with `tanh`"),
        ("MP(-1)", "`ratio` must be positive"),
        ("MP(1).mean", "`attribute` is not part of the grammar"),
        ("MP(ratio=1)", "not part of the grammar"),
        ("__import__('os').getcwd()", "not part of the grammar"),
        ("(lambda: MP(1))()", "not part of the grammar"),
        ("[MP(1) for x in [1]]", "not part of the grammar"),
        ("MP(True)", "is not a number"),
        ("MP(1) / MP(2)", "between laws there are"),
        ("MP(1) / 0", "divided by zero"),
        ("2 ** MP(1)", "between laws there are"),
        ("2 ** 65 * MP(1)", "whole powers up to 64"),
        ("MP(1) % 2", "between laws there are"),
        ("7 % 2 * MP(1)", "no operation here"),
        ("MP(1e70)", "within 1e±60"),
        ("(1e50)^50 * MP(1)", "too long"),
        ("((((9^64)^64)^64)^64) * MP(1)", "within 1e±60"),
        ("discrete({1: 1/2, 1: 1})", "stands twice"),
        ("discrete({1: 1/2, 3: 1/2}, [9, 9])", "not in both"),
        ("discrete({[1]: 1})", "expected a number"),
        ("semicircle(1) * semicircle(1)", "two of these do"),
        ("discrete({1: 1/2})", "they sum to 0.5"),
        ("discrete([MP(1)])", "must be numbers"),
        ("slope(tanhh, 1)", "did you mean 'tanh'"),
        ("empirical('nowhere.npy')", "nowhere.npy"),
        ("+".join(["MP(1)"] * 400), "at most"),
        ("(" * 70 + "MP(1)" + ")" * 70 + "+MP(1)" * 200, "too deep or too long|not an expression"),
    ],
)
def test_what_is_no_law_is_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_law(text)


def test_numbers_are_exact() -> None:
    # m_1 = 1 in doubles, but not 1: its power 3/2 is no rational number.
    assert not parse_law("MP(1/2, 1.00000000000000000000001)^(3/2)").is_rational
    assert parse_law("MP(1/2)^(3/2)").is_rational
    law = parse_law("MP(1/3) + 0.1")
    assert law == affine(MarchenkoPastur(F(1, 3)), 1, F(1, 10))
    assert law.is_rational


def test_eigenvalues_of_a_file(tmp_path: Path) -> None:
    values = np.array([[0.5, 2.0], [-1.0, 2.0]])
    np.save(tmp_path / "values.npy", values)
    np.savetxt(tmp_path / "values.txt", values)
    expected = Atomic((-1.0, 0.5, 2.0), (F(1, 4), F(1, 4), F(1, 2)))
    assert parse_law(f"empirical('{tmp_path}/values.npy')") == expected
    assert parse_law(f"empirical('{tmp_path}/values.txt')") == expected
    (tmp_path / "words.txt").write_text("no numbers")
    with pytest.raises(ConfigError, match="not an array of real numbers"):
        parse_law(f"empirical('{tmp_path}/words.txt')")
    np.save(tmp_path / "a^b.npy", values)
    assert parse_law(f"empirical('{tmp_path}/a^b.npy')") == expected
    np.save(tmp_path / "complex.npy", values + 1j)
    with pytest.raises(ConfigError, match="not an array of real numbers"):
        parse_law(f"empirical('{tmp_path}/complex.npy')")
    np.save(tmp_path / "nan.npy", np.array([np.nan]))
    with pytest.raises(ConfigError, match="must be finite"):
        parse_law(f"empirical('{tmp_path}/nan.npy')")


def test_json_is_the_contracts(capsys, tmp_path: Path) -> None:
    path = tmp_path / "law.json"
    arguments = ("--at", "0,0.5,5", "--moments", "4", "--json", str(path))
    assert main(["law", "semicircle(1) + bernoulli(1/2)", *arguments]) == 0
    record = json.loads(path.read_text())
    # Symmetric about 1/2; κ = 1/2, 1 + 1/4, 0, −1/16.
    assert record["schema"] == 1
    assert len(record["support"]) == 1
    assert sum(record["support"][0]) == pytest.approx(1.0, abs=1e-14)
    assert record["atoms"] == []
    assert record["moments"] == [0.5, 1.5, 2.0, 5.0]
    assert record["moments_exact"] == ["1/2", "3/2", "2", "5"]
    assert record["free_cumulants_exact"] == ["1/2", "5/4", "0", "-1/16"]
    assert record["density"]["x"] == [0, 0.5, 5]
    assert record["density"]["pdf"][2] == 0.0
    table = capsys.readouterr().out
    assert "semicircle(1) + bernoulli(1/2)" in table
    assert "[-1.70183, 2.70183]" in table


def test_atoms_and_bulks_are_listed(capsys) -> None:
    record = answer(capsys, "law", "MP(1/10) * discrete([1, 10]) - dirac(1)")
    # Edges of MP(1/10) ⊠ (δ_1 + δ_10)/2 to 15 digits, from its algebraic equation in 30, moved by −1.
    expected = [[0.5608977978710303 - 1, 1.4272595162712767 - 1], [6.085256863272032 - 1, 15.02658582258566 - 1]]
    assert np.array(record["support"]) == pytest.approx(np.array(expected), rel=1e-11)
    assert len(record["density"]["x"]) == 400
    record = answer(capsys, "law", "bernoulli(3/5) + bernoulli(7/10)")
    # 3/5 + 7/10 − 1 at 2, 2/5 + 7/10 − 1 at 1 (by 0 + 1)
    assert np.array(record["atoms"]) == pytest.approx(np.array([[1.0, 0.1], [2.0, 0.3]]), abs=1e-15)


def test_a_density_that_diverges_is_null_with_a_note(capsys) -> None:
    record = answer(capsys, "law", "FC(2)", "--at", "0,1")
    assert record["density"]["pdf"][0] is None
    assert "diverges" in record["checks"]["notes"][0]


def test_plot_and_bad_input(capsys, tmp_path: Path) -> None:
    texts = {"a.png": "discrete([-1,1]) + discrete([0,1,5])", "b.svg": "MP(3) * FC(10)", "c.pdf": "dirac(1)"}
    for name, text in texts.items():
        assert main(["law", text, "--plot", str(tmp_path / name)]) == 0
        assert (tmp_path / name).stat().st_size > 1000
    capsys.readouterr()
    assert "`ratio` must be positive" in refused(capsys, "law", "MP(-1)", "--json", str(tmp_path / "none.json"))
    assert not (tmp_path / "none.json").exists()


def test_the_help_shows_the_examples_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["law", "--help"]) == 0
    shown = capsys.readouterr().out
    assert '\n  "semicircle(1) + bernoulli(1/2)"    free sum\n' in shown
    assert "\\b" not in shown


def test_quoted_text_is_a_name_or_an_expression() -> None:
    assert parse_law('slope("tanh", 1/2)') == SquaredSlope("tanh", 0.5)
    assert parse_law('slope("x", 2)').spectrum().atoms[0].location == 1.0
    refused = {'slope("tanhh", 1)': "did you mean 'tanh'", 'slope("open(1)", 1)': "unknown function 'open'"}
    for text, message in refused.items():
        with pytest.raises(ConfigError, match=message):
            parse_law(text)


def test_laws_that_reach_to_infinity_are_drawn_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "chi.png"
    assert main(["law", 'slope("x**2/2", 1)', "--plot", str(picture), "--json", "-"]) == 0
    out, err = capsys.readouterr()
    record = json.loads(out)
    assert record["support"] == [[0.0, None]]
    assert "`support` is null: infinite" in err
    assert picture.stat().st_size > 5000
    assert main(["law", 'slope("x**2/2", 1)']) == 0
    assert "[0, ∞)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "ends", "atoms"),
    [
        ("discrete({3: 9/10, 2: 1/10}) * discrete({6: 9/10, 1: 1/10})", [3.0, 12.0], [18.0]),
        ("discrete([2, 3]) * discrete([6, 1])", [2.0, 3.0, 12.0, 18.0], []),
        ("discrete({7: 9/10, 2: 1/10}) * discrete({11: 9/10, 1: 1/10})", [7.0, 22.0], [77.0]),
        ("discrete({1/3: 9/10, 2: 1/10})^3", [], [1 / 27]),
        ("discrete({7: 9/10, 2: 1/10}) * bernoulli(9/10)", [2.0], [0.0, 7.0]),
    ],
)
def test_places_that_are_products_of_fractions_are_these(text: str, ends: list[float], atoms: list[float]) -> None:
    """Not e^{log}: 18, not 17.999999999999996; and quantiles, distribution function and atoms agree on it."""
    law: Any = parse_law(text)
    spectrum = law.spectrum()
    assert [atom.location for atom in spectrum.atoms] == atoms
    assert set(ends) <= {end for bulk in spectrum.bulks for end in bulk}
    for atom in spectrum.atoms:
        below = spectrum.cdf(np.nextafter(atom.location, -1.0)) if atom.location else 0.0
        assert spectrum.cdf(atom.location) - below == pytest.approx(atom.mass, abs=1e-12)
        assert spectrum.icdf(spectrum.cdf(atom.location) - 0.5 * atom.mass) == atom.location


def test_an_exact_place_in_the_json_of_a_law_and_of_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    record = answer(capsys, "law", "discrete({3: 9/10, 2: 1/10}) * discrete({6: 9/10, 1: 1/10})")
    assert record["atoms"][0][0] == 18.0
    net = Network(depth=3, activation="hardtanh", weights="orthogonal", sigma_w=2.0, sigma_b=0.1, input_variance=0.05)
    found = predict(net)
    assert found.spectrum.atoms[-1].location == 64.0
    assert found.spectrum.support()[1] == 64.0
    assert found.singular_values.icdf(0.999) == found.singular_values.atoms[-1].location == 8.0
