"""`spectra phase`: its JSON, its tables, its pictures, and what it refuses."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from command_line import answer, refused
from scipy.special import erfc, erfinv

from spectra import edge_of_chaos, phase_grid, slope_distribution, spectrum_along
from spectra.cli import main
from spectra.phase.grid import Phase
from spectra.phase.universality import depth_scaling
from spectra.plot import along_figure, phase_figure, slopes_figure


def test_json_of_one_activation_keeps_to_the_contract(capsys) -> None:
    record = answer(capsys, "phase", "--activation", "erf", "--points", "30", "--q-star", "0.01,10")
    assert record["schema"] == 1
    assert record["activation"] == "erf"
    assert len(record["curve"]) == 30
    for point in record["curve"]:
        assert {"q_star", "sigma_w", "sigma_b"} <= set(point)
        assert point["sigma_w"] ** 4 == pytest.approx(1.0 + math.pi * point["q_star"], rel=1e-12)
    assert [record["curve"][i]["q_star"] for i in (0, -1)] == pytest.approx([0.01, 10.0])
    assert record["universality"]["class"] == "smooth"
    assert record["notes"] == []


def test_json_of_several_activations_lists_them(capsys) -> None:
    record = answer(capsys, "phase", "--activation", "relu", "--activation", "softplus", "--expr", "tanh(x)+x/10")
    assert [run["activation"] for run in record["runs"]] == ["relu", "softplus", "tanh(x)+x/10"]
    relu, softplus, _ = record["runs"]
    assert relu["curve"] == [{"q_star": None, "sigma_w": pytest.approx(2**0.5), "sigma_b": 0.0, "slope": 1.0}]
    assert "every variance is fixed" in relu["notes"][0]
    assert softplus["curve"] == []
    assert softplus["universality"]["power"] is None
    # μ_2/μ_1² at q = 1, by two routes.
    assert softplus["universality"]["spread_gaussian"] == pytest.approx(1.528899601132386, rel=1e-12)
    assert softplus["notes"]


def test_critical_points_asked_for(capsys) -> None:
    record = answer(capsys, "phase", "--activation", "gelu", "--sigma-b", "0.1", "--sigma-w", "1.4106735979665885")
    bias, weight = record["critical"]
    # PEERS: by two routes at 15 digits.
    assert bias["points"][0]["sigma_w"] == pytest.approx(1.727078275308699, rel=1e-13)
    assert bias["points"][0]["slope"] > 1.0
    assert len(weight["points"]) == 2
    assert main(["phase", "--activation", "relu", "--sigma-b", "0.1"]) == 0
    out, err = capsys.readouterr()
    assert "none" in out
    assert "no point of the edge of chaos has it" in err


def test_the_grid_goes_into_the_json(capsys) -> None:
    record = answer(
        capsys,
        "phase",
        "--activation",
        "elu",
        "--grid",
        "5",
        "--weight-variances",
        "0.5,2.5",
        "--bias-variances",
        "0,1",
    )
    grid = record["grid"]
    assert grid["sigma_w2"] == [0.5, 1.0, 1.5, 2.0, 2.5]
    assert grid["phase"][2][0] == "ordered"
    assert grid["phase"][2][4] == "no_fixed_point"
    assert grid["q_star"][2][4] is None
    assert grid["q_star"][0][0] == 0.0


def test_classes_of_the_whole_catalogue(capsys) -> None:
    record = answer(capsys, "phase", "--points", "3", "--classes", "--at", "0.37")
    table = {row["activation"]: row for row in record["classes"]}
    keep = math.erf(1.0 / math.sqrt(2.0 * 0.37))
    assert len(table) == 24
    assert table["hardtanh"]["mu_1"] == pytest.approx(keep, rel=1e-14)
    assert table["hardtanh"]["spread_gaussian"] == pytest.approx(1.0 / keep, rel=1e-13)
    assert [name for name, row in table.items() if not row["on_the_curve"]] == [
        "softplus",
        "sigmoid",
        "logsigmoid",
        "hardsigmoid",
    ]


def test_tables_for_people(capsys) -> None:
    assert main(["phase", "--sigma-b", "0.05"]) == 0
    out = capsys.readouterr().out
    assert "1.1225390047696" in out
    assert "smooth" in out
    assert "rises from 0" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--activation", "tahn"), "did you mean 'tanh'"),
        (("--q-star", "3,1"), "must be two increasing numbers, positive"),
        (("--q-star", "1"), "must be two increasing numbers"),
        (("--weight-variances", "-1,2"), "not negative"),
        (("--sigma-b", "-1", "--json", "-"), "must be a number ≥ 0"),
        (("--at", "0", "--json", "-"), "must be a finite number > 0"),
        (("--expr", "tanh(y)"), "y"),
        (("--page", "spectrum", "--activation", "softplus", "--plot", "never.png"), "no edge of chaos"),
        (("--page", "spectrum", "--weights", "nix", "--plot", "never.png"), "must be one of"),
        (("--page", "slopes", "--variances", "0,1", "--plot", "never.png"), "must be a finite number > 0"),
        (("--page", "slopes", "--variances", "0"), "must be a finite number > 0"),
        (("--page", "spectrum", "--spread", "-1"), "`spread = -1.0`: must be a finite number > 0"),
        # Nothing is passed over in silence.
        (("--weights", "gaussian"), "`--weights`: says something with `--page spectrum` alone"),
    ],
)
def test_refusals(capsys, tmp_path, monkeypatch, arguments: tuple[str, ...], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, "phase", *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("page", ["diagram", "spectrum", "slopes"])
def test_pages_are_written(tmp_path, capsys, page: str) -> None:
    path, record = tmp_path / "page.png", tmp_path / "page.json"
    options = [
        "--grid",
        "12",
        "--points",
        "5",
        *(["--depths", "2"] if page == "spectrum" else []),
        "--page",
        page,
        "--plot",
        str(path),
        "--json",
        str(record),
    ]
    assert main(["phase", "--activation", "hardtanh", *options]) == 0
    assert path.read_bytes()[:4] == b"\x89PNG"
    written = json.loads(record.read_text())
    assert written["activation"] == "hardtanh"
    if page == "spectrum":
        (run,), needed = written["spectrum"], written["needed"]
        keep = np.array([math.erf(1.0 / math.sqrt(2.0 * q)) for q in run["q_star"]])
        np.testing.assert_allclose(run["variance"], 2.0 * (1.0 / keep - 1.0), rtol=1e-11, atol=1e-15)
        assert needed["depth"][0] == 1
        # 1/(2 erfinv(1/(1 + 1/4))²)
        assert needed["q_star"][0] == pytest.approx(0.5 / erfinv(0.8) ** 2, rel=1e-11)
        assert run["condition"][-1] is None
        assert any("infinite" in note for note in written["notes"])
    if page == "slopes":
        first = written["slopes"][0]
        keep = math.erf(1.0 / math.sqrt(2.0 * first["variance"]))
        assert [atom["mass"] for atom in first["atoms"]] == pytest.approx([1.0 - keep, keep], rel=1e-13)
        assert (first["mu_1"], first["spread"]) == pytest.approx((keep, 1.0 / keep - 1.0), rel=1e-12)
        assert first["quantiles"]["0.5"] == 1.0
    capsys.readouterr()


def test_pages_are_listed_in_the_terminal(capsys) -> None:
    arguments = ["phase", "--activation", "relu", "--activation", "tanh", "--page"]
    assert main([*arguments, "spectrum", "--depths", "32", "--q-star", "1e-3,1e2"]) == 0
    out = capsys.readouterr().out
    # 32^32/31^31 (Pennington et al. 2017), and q* of golden value dsq_tanh_L100_s20.25.
    assert "85.6223" in out
    assert "0.0193079" in out
    assert main([*arguments, "slopes", "--variances", "0.5"]) == 0
    out = capsys.readouterr().out
    assert "0.5 at 0, 0.5 at 1" in out
    # φ' = sech² √q z is below its median where |z| > 0.67449: 1 − tanh²(0.67449 √½).
    assert f"{1.0 - math.tanh(0.6744897501960817 * math.sqrt(0.5)) ** 2:.4g}" in out


def test_the_law_of_slopes_in_json_is_that_of_its_closed_form(capsys) -> None:
    record = answer(capsys, "phase", "--activation", "erf", "--page", "slopes", "--variances", "0.7")
    (one,) = record["slopes"]
    slopes, cdf = (np.array(one["density"][key]) for key in ("slope", "cdf"))
    # φ' = e^{−πh²/4} ≤ s where |h| ≥ (−4 log s/π)^½.
    np.testing.assert_allclose(cdf, erfc(np.sqrt(-2.0 * np.log(slopes) / np.pi / 0.7)), rtol=1e-12)
    assert one["mu_1"] == pytest.approx((1.0 + 0.7 * math.pi) ** -0.5, rel=1e-13)
    assert one["mu_2"] == pytest.approx((1.0 + 1.4 * math.pi) ** -0.5, rel=1e-13)


def drawn(figure: Any, kind: str) -> list[Any]:
    return [one for one in figure.axes[0].collections if type(one).__name__ == kind]


def test_the_edge_is_coloured_by_the_variance_and_lost_regions_are_hatched() -> None:
    weights, biases = np.linspace(0.1, 4.0, 40), np.linspace(0.0, 0.5, 40)
    edge = edge_of_chaos("tanh")
    curve = edge.within(4.0, 0.5)
    figure = phase_figure([phase_grid("tanh", weights, biases)], [curve])
    (line,) = drawn(figure, "LineCollection")
    colours = np.asarray(line.get_array())
    assert np.all(np.diff(colours) > 0.0)
    assert colours[0] >= curve.q_star[0]
    words = {text.get_text() for text in figure.axes[0].texts}
    assert {"ordered", "chaotic"} <= words
    assert "no fixed point" not in words
    relu = phase_figure([phase_grid("relu", weights, biases)], [edge_of_chaos("relu").traced()])
    assert {"ordered", "no fixed point"} <= {text.get_text() for text in relu.axes[0].texts}
    assert any("////" in (one.hatches or []) for one in drawn(relu, "QuadContourSet") if hasattr(one, "hatches"))


def test_several_curves_share_a_page() -> None:
    weights, biases = np.linspace(0.1, 4.0, 20), np.linspace(0.0, 0.5, 20)
    names = ("tanh", "relu", "softplus")
    figure = phase_figure(
        [phase_grid(name, weights, biases) for name in names], [edge_of_chaos(name).within(4.0, 0.5) for name in names]
    )
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:3] == ["tanh", "relu: one point", "softplus: none"]
    assert "no fixed point beyond" in labels


def test_a_curve_whose_fixed_points_are_unstable_does_not_part_order_from_chaos() -> None:
    # gelu below q* = 3.56: right of the curve a smaller q* is stable, and ordered.
    weights, biases = np.array([2.0, 2.37, 2.4]), np.array([0.05, 0.1])
    grid, curve = phase_grid("gelu", weights, biases), edge_of_chaos("gelu").within(4.0, 0.5)
    right = edge_of_chaos("gelu").at_bias(0.05**0.5)[0].sigma_w ** 2 < weights[1:]
    assert right.all()
    assert (grid.phase[0, 1:] == Phase.ORDERED).all()
    several = phase_figure([grid, phase_grid("tanh", weights, biases)], [curve, edge_of_chaos("tanh").within(4.0, 0.5)])
    labels = [text.get_text() for text in several.legends[0].get_texts()]
    assert any("unstable" in label for label in labels)
    assert "order to the left, chaos to the right" not in several.axes[0].get_title()


def test_panels_without_numbers_say_so() -> None:
    runs = [spectrum_along("relu", 2, [0.1, 1.0], weights="gaussian")]
    figure = along_figure(runs, [depth_scaling("relu", [2, 8])])
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert words == ["infinite throughout", "out of reach"]


def test_slopes_stand_under_their_activations() -> None:
    columns = [[slope_distribution(name, q) for q in (0.2, 2.0)] for name in ("relu", "erf")]
    figure = slopes_figure(columns)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:2] == ["relu", "erf"]
    assert "atoms alone" in titles
