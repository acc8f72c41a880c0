"""The command line: what it prints, what it writes, what it refuses, and with which status it ends."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from command_line import LAYERS, RELU, TANH, answer, refused

from spectra.cli import main
from spectra.network.config import Network
from spectra.prediction import predict


def test_json_has_every_part_of_the_contract(net, capsys) -> None:
    record = answer(capsys, "predict", net(), "--moments", "5", "--points", "50")
    assert list(record) == ["schema", "network", "mean_field", "jacobian", "singular_values", "density", "checks"]
    assert record["schema"] == 1
    assert {"q", "chi", "q_star", "chi_1", "c_star", "xi_c", "xi_q", "phase"} <= set(record["mean_field"])
    assert len(record["mean_field"]["q"]) == len(record["mean_field"]["chi"]) == 6
    jacobian = record["jacobian"]
    assert len(jacobian["moments"]) == 5
    assert jacobian["variance"] == pytest.approx(jacobian["moments"][1] - jacobian["moments"][0] ** 2, rel=1e-13)
    assert {"support", "effective_support", "bulks", "atoms", "atom_at_zero"} <= set(jacobian)
    assert {"min", "max", "mean", "median", "quantiles"} <= set(record["singular_values"])
    assert {"0.01", "0.5", "0.99"} <= set(record["singular_values"]["quantiles"])
    assert len(record["density"]["lambda"]) == len(record["density"]["pdf"]) == 50
    assert {"residual", "mass_defect", "moment_defects", "certified", "notes"} <= set(record["checks"])


def test_resolved_network_predicts_the_same(net, capsys) -> None:
    for text in (TANH, RELU, LAYERS):
        record = answer(capsys, "predict", net(text))
        again = predict(Network(**record["network"])).moments(6)
        np.testing.assert_allclose(again, record["jacobian"]["moments"], rtol=1e-12)


def test_default_points_lie_inside_the_bulks_in_order(net, capsys) -> None:
    for text in (TANH, RELU, LAYERS):
        record = answer(capsys, "predict", net(text), "--points", "200")
        where, density = np.array(record["density"]["lambda"]), np.array(record["density"]["pdf"], float)
        assert len(where) == 200
        assert np.all(np.diff(where) > 0)
        assert all(any(a <= x <= b for a, b in record["jacobian"]["bulks"]) for x in where)
        assert np.all(np.isfinite(density))
        assert np.all(density >= 0)
        # The points are enough to see the whole continuous mass, in log λ and by the trapezoidal rule alone.
        mass = np.trapezoid(where * density, np.log(where))
        assert mass == pytest.approx(1 - sum(m for _, m in record["jacobian"]["atoms"]), abs=0.02)


def test_at_gives_exactly_the_points_asked_for(net, capsys) -> None:
    record = answer(capsys, "predict", net(), "--at", "0.1,0.5,99,-1")
    assert record["density"]["lambda"] == [0.1, 0.5, 99, -1]
    assert record["density"]["pdf"][2:] == [0.0, 0.0]


def test_an_infinite_density_is_null_with_a_note(net, capsys) -> None:
    record = answer(capsys, "predict", net(RELU), "--at", "0,1")
    assert record["density"]["pdf"][0] is None
    assert any("density.pdf" in note for note in record["checks"]["notes"])


def test_null_depth_scales_have_a_note(net, capsys) -> None:
    record = answer(capsys, "predict", net())
    for key, value in record["mean_field"].items():
        assert value is not None or any(key in note for note in record["checks"]["notes"])


def test_numbers_keep_all_digits(net, capsys) -> None:
    record = answer(capsys, "predict", net())
    pred = predict(Network.from_toml("net.toml"))
    assert record["jacobian"]["moments"] == pred.moments(6).tolist()


def test_moments_beyond_doubles_are_null_with_a_note(net, capsys) -> None:
    text = 'depth = 1500\nactivation = "hardtanh"\nsigma_w = 3.0\nsigma_b = 0.1\n'
    record = answer(capsys, "predict", net(text), "--moments", "4")
    assert None in record["jacobian"]["moments"]
    assert any("jacobian.moments" in note for note in record["checks"]["notes"])
    assert None not in record["density"]["lambda"]


def test_set_changes_single_keys(net, capsys) -> None:
    record = answer(capsys, "predict", net(), "--set", "depth=9", "--set", "weights=gaussian")
    assert len(record["mean_field"]["q"]) == 9
    assert record["network"]["weights"] == "gaussian"
    record = answer(capsys, "predict", net(LAYERS), "--set", "layers.1.activation.negative_slope=0.5")
    assert record["network"]["layers"][-1]["activation"]["negative_slope"] == 0.5


def test_table_and_reading_for_people(net, capsys) -> None:
    assert main(["predict", net()]) == 0
    out, err = capsys.readouterr()
    for words in ("q*", "χ_1", "critical", "λ_min", "condition number", "certified", "singular values"):
        assert words in out
    assert "\x1b" not in out
    assert all(line.startswith("note: ") for line in err.splitlines())


# Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        TANH + "depht = 3\n",
        TANH.replace("tanh", "tahn"),
        TANH.replace("depth = 6", "depth = -1"),
        TANH.replace("q_star = 0.1", "q_star = 0.1\nsigma_b = 0.1"),
        TANH.replace("width = 60", "width = nan"),
        "not toml =",
        "",
    ],
)
def test_bad_networks_are_refused_and_no_file_is_touched(net, capsys, text: str) -> None:
    config = net(text)
    Path("out.json").write_text("before")
    assert "net.toml" in refused(capsys, "predict", config, "--json", "out.json", "--plot", "out.png")
    assert Path("out.json").read_text() == "before"
    assert not Path("out.png").exists()


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["--at", "1,nan"], "not finite"),
        (["--at", "1,two"], "not a number"),
        (["--at", ""], "not a number"),
        (["--moments", "0"], "--moments"),
        (["--moments", "x"], "--moments"),
        (["--points", "0"], "--points"),
        (["--dps", "1001"], "--dps"),
        (["--dps", "0"], "--dps"),
        (["--set", "depth"], "key=value"),
        (["--set", "layers.0.width=3"], "layers"),
        (["--set", "depth=0"], "depth"),
        (["--plot", "figure.jpeg"], ".png"),
        (["--plot", "nowhere/figure.png"], "nowhere"),
        (["--json", "nowhere/out.json"], "nowhere"),
        (["--json", "."], "directory"),
        (["--json", "same.png", "--plot", "same.png"], "same file"),
        (["--jsn", "out.json"], "--json"),
    ],
)
def test_bad_options_are_refused(net, capsys, arguments: list[str], fragment: str) -> None:
    assert fragment in refused(capsys, "predict", net(), *arguments)


@pytest.mark.parametrize("command", ["predict", "compare", "check", "moments", "audit", "tune"])
def test_no_result_takes_the_place_of_its_configuration(net, capsys, command: str) -> None:
    path = net()
    before = Path(path).read_bytes()
    aim = ["--target-variance", "0.25"] if command == "tune" else []
    assert "is the configuration" in refused(capsys, command, path, *aim, "--json", path)
    assert Path(path).read_bytes() == before


def test_up_to_seventeen_digits_are_numbers(net, capsys) -> None:
    assert isinstance(answer(capsys, "predict", net(), "--dps", "17")["mean_field"]["q_star"], float)


def test_missing_file_and_unknown_command_are_refused(net, capsys) -> None:
    assert "nowhere.toml" in refused(capsys, "predict", "nowhere.toml")
    assert 'did you mean "predict"' in refused(capsys, "predct", net())


def test_no_command_shows_the_help() -> None:
    assert main([]) == 2
    assert main(["--help"]) == 0
    assert main(["--version"]) == 0


# compare ----------------------------------------------------------------------------------------------------------


def test_compare_takes_the_product_of_what_varies(net, capsys) -> None:
    record = answer(capsys, "compare", net(), "--weights", "gaussian,orthogonal", "--depths", "2,5")
    labels = [run["label"] for run in record["runs"]]
    assert labels == ["gaussian, depth 2", "gaussian, depth 5", "orthogonal, depth 2", "orthogonal, depth 5"]
    assert [len(run["prediction"]["mean_field"]["q"]) for run in record["runs"]] == [2, 5, 2, 5]
    assert record["runs"][0]["prediction"]["network"]["weights"] == "gaussian"


def test_compare_overrides_layers_that_have_their_own(net, capsys) -> None:
    record = answer(capsys, "compare", net(LAYERS), "--weights", "gaussian", "--activations", "tanh,erf")
    for run, name in zip(record["runs"], ("tanh", "erf"), strict=True):
        layers = run["prediction"]["network"]["layers"]
        assert {(layer["activation"], layer["weights"]) for layer in layers} == {(name, "gaussian")}


def test_compare_labels_are_distinct_and_one_table_and_one_page_come_out(net, capsys) -> None:
    first, second = net(TANH, "first.toml"), net(RELU, "second.toml")
    assert main(["compare", first, second, first, "--plot", "page.png", "--json", "page.json"]) == 0
    assert capsys.readouterr().out.count("network") == 1
    labels = [run["label"] for run in json.loads(Path("page.json").read_text())["runs"]]
    assert labels == ["first", "second", "first (2)"]


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["--weights", "gausian"], 'did you mean "gaussian"'),
        (["--depths", "4,x"], "--depths"),
        (["--depths", "0"], "--depths"),
        (["--activations", "tanh,,erf"], "empty name"),
        (["--activations", "tahn"], "tanh"),
    ],
)
def test_compare_refuses_what_cannot_be_varied(net, capsys, arguments: list[str], fragment: str) -> None:
    assert fragment in refused(capsys, "compare", net(), *arguments)


def test_depths_need_a_network_given_by_depth(net, capsys) -> None:
    assert "--depths" in refused(capsys, "compare", net(LAYERS), "--depths", "3")


# check ------------------------------------------------------------------------------------------------------------


def test_check_agrees_with_real_networks(net, capsys) -> None:
    record = answer(capsys, "check", net(), "--width", "80", "--samples", "6", "--seed", "1")
    assert record["agree"] is True
    assert record["schema"] == 1
    assert record["prediction"]["jacobian"]["moments"]
    assert record["widths"][0]["width"] == 80
    assert {"width", "samples", "ks", "wasserstein", "moments"} <= set(record["widths"][0])
    assert {"k", "predicted", "sampled", "standard_error", "z"} <= set(record["widths"][0]["moments"][0])
    assert {"k", "value", "standard_error", "z"} <= set(record["extrapolated"][0])


def test_check_is_repeatable(net, capsys) -> None:
    arguments = ("check", net(RELU), "--width", "40", "--samples", "4", "--seed", "7")
    assert answer(capsys, *arguments) == answer(capsys, *arguments)


def test_check_prints_a_verdict_and_draws_a_panel_per_width(net, capsys) -> None:
    assert main(["check", net(RELU), "--widths", "30,60", "--samples", "6", "--plot", "check.png"]) == 0
    assert "agree" in capsys.readouterr().out
    assert Path("check.png").read_bytes()[:4] == b"\x89PNG"


def test_disagreement_ends_with_status_one(net, capsys, monkeypatch) -> None:
    # The prediction of another network in place of the right one.
    wrong = predict(Network(depth=6, activation="tanh", weights="gaussian", sigma_w=1.5, sigma_b=0.3))
    monkeypatch.setattr("spectra.prediction.predict", lambda _net: wrong)
    assert answer(capsys, "check", net(), "--width", "60", status=1)["agree"] is False


@pytest.mark.parametrize(
    "arguments",
    [["--width", "0"], ["--widths", "10,x"], ["--widths", "20,20"], ["--samples", "1"], ["--seed", "-1"]],
)
def test_check_refuses_impossible_samples(net, capsys, arguments: list[str]) -> None:
    assert arguments[0] in refused(capsys, "check", net(), *arguments)


@pytest.mark.parametrize(("option", "value"), [("--width", 10**8), ("--widths", "10,99999999"), ("--width", 10**400)])
def test_check_refuses_widths_beyond_memory_before_it_predicts(net, capsys, monkeypatch, option: str, value) -> None:
    monkeypatch.setattr("spectra.prediction.predict", None)
    message = refused(capsys, "check", net(), option, str(value))
    assert f"`{option}`" in message
    assert "memory" in message


def test_check_takes_one_width_or_several(net, capsys) -> None:
    assert "not both" in refused(capsys, "check", net(), "--width", "10", "--widths", "10,20")


# bench ------------------------------------------------------------------------------------------------------------


def test_bench_times_prediction_against_sampling(capsys, monkeypatch) -> None:
    monkeypatch.setattr("spectra.cli.bench.QUICK", (30, 1))
    record = answer(capsys, "bench", "--quick")
    assert all(run["predict_seconds"] > 0 and run["sample_seconds"] > 0 for run in record["runs"])
    assert all(math.isfinite(run["ratio"]) for run in record["runs"])
    assert record["blas"]
    for run in record["runs"]:
        assert [row["width"] for row in run["sampling"]] == [15, 30]
        assert all(row["seconds"] > 0 and 0 < row["ks"] < 1 for row in run["sampling"])
        assert run["checks"]["certified"]
    assert {row["weights"] for row in record["depths"]} == {"gaussian", "orthogonal"}
    assert all(row["ratio"] > 0 for row in record["depths"])


def test_bench_prints_tables_and_draws(capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("spectra.cli.bench.QUICK", (16, 1))
    monkeypatch.setattr("spectra.cli.bench.QUICK_DEPTHS", (1, 2))
    assert main(["bench", "--quick", "--plot", str(tmp_path / "bench.png")]) == 0
    assert "break-even" in capsys.readouterr().out
    assert (tmp_path / "bench.png").read_bytes()[:4] == b"\x89PNG"


def test_break_even_lies_where_both_cost_the_same() -> None:
    from spectra.cli.bench import break_even

    # Seconds N³: equal to 8000 at N = 20, whatever was timed.
    rows = [{"width": n, "seconds": float(n**3)} for n in (8, 16, 32)]
    assert break_even(rows, 8000.0) == pytest.approx(20.0)
    assert break_even(rows, 1.0) is None
    assert break_even(rows, 1e9) is None


def test_activation_tables_are_shown_as_the_file_writes_them(net, capsys) -> None:
    message = refused(capsys, "predict", net(), "--set", 'activation={name="leaky_relu", negative_slope="a"}')
    assert '{name = "leaky_relu", negative_slope = "a"}' in message


def test_quantiles_and_conditions_beyond_doubles_are_printed(net, capsys) -> None:
    assert main(["predict", net('depth = 300\nactivation = "tanh"\nsigma_w = "critical"\nsigma_b = 0.05\n')]) == 0
    out = capsys.readouterr().out
    assert "10^1863" in out
    assert "vanish for most directions" in out


def test_bulks_are_listed_where_an_atom_lies_above_them(net, capsys) -> None:
    assert main(["predict", net(TANH.replace("tanh", "hardtanh"))]) == 0
    assert "bulks" in capsys.readouterr().out


def test_instability_is_said_once(net, capsys) -> None:
    text = 'depth = 3\nactivation = "gelu"\nsigma_w = "critical"\nsigma_b = 0.1\n'
    record = answer(capsys, "predict", net(text))
    assert sum("unstable" in note for note in record["checks"]["notes"]) == 1


def test_check_says_what_it_could_have_noticed(net, capsys) -> None:
    record = answer(capsys, "check", net(), "--width", "60", "--samples", "4")
    assert {row["name"] for row in record["shape"]} == {"mean of log s", "sd of log s"}
    for row in [*record["shape"], *record["extrapolated"]]:
        assert row["detectable"] > 0
    assert record["edge"]["detectable"] > 0
    assert all(row["slope_interval"][0] < row["slope"] < row["slope_interval"][1] for row in record["extrapolated"])
    assert main(["check", net(), "--width", "60", "--samples", "4"]) == 0
    out = capsys.readouterr().out
    assert "would have been noticed" in out
    assert "λ_max" in out
    assert "Slopes in 1/N" in out
