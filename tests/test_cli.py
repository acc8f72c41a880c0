"""The command line: what it prints, what it writes, what it refuses, and with which status it ends."""

from __future__ import annotations

import json
import math
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spectra.cli import main
from spectra.files import check_writable, write_whole
from spectra.network.config import Network
from spectra.prediction import predict

TANH = 'depth = 6\nactivation = "tanh"\nweights = "orthogonal"\nsigma_w = "critical"\nq_star = 0.1\nwidth = 60\n'
RELU = 'depth = 3\nactivation = "relu"\nsigma_w = 1.4142135623730951\nsigma_b = 0.0\ninput_variance = 1.0\n'
LAYERS = """
input_width = 90
input_variance = 1.0
sigma_w = 1.3
sigma_b = 0.1
[[layers]]
activation = "gelu"
width = 60
repeat = 2
[[layers]]
activation = {name = "leaky_relu", negative_slope = 0.2}
weights = "orthogonal"
width = 80
"""


@pytest.fixture
def net(tmp_path, monkeypatch):
    """Write a configuration and go where it lies."""
    monkeypatch.chdir(tmp_path)

    def write(text: str = TANH, name: str = "net.toml") -> str:
        Path(name).write_text(text)
        return name

    return write


def answer(capsys, *arguments: str, status: int = 0) -> dict:
    """JSON on standard output, and nothing else there."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in JSON")

    assert main([*arguments, "--json", "-"]) == status
    return json.loads(capsys.readouterr().out, parse_constant=refuse)


def refused(capsys, *arguments: str) -> str:
    """One line on standard error, nothing on standard output, status 2."""
    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    return err


# predict ----------------------------------------------------------------------------------------------------------


def test_json_has_every_part_of_the_contract(net, capsys) -> None:
    record = answer(capsys, "predict", net(), "--moments", "5", "--points", "50")
    assert list(record) == ["schema", "network", "mean_field", "jacobian", "singular_values", "density", "checks"]
    assert record["schema"] == 1
    assert {"q", "chi", "q_star", "chi_1", "c_star", "xi_c", "xi_q", "phase"} <= set(record["mean_field"])
    assert len(record["mean_field"]["q"]) == len(record["mean_field"]["chi"]) == 6
    jacobian = record["jacobian"]
    assert len(jacobian["moments"]) == 5
    assert jacobian["variance"] == jacobian["moments"][1] - jacobian["moments"][0] ** 2
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


def test_files_are_written_and_nothing_else_is(net, capsys) -> None:
    assert main(["predict", net(), "--json", "out.json", "--plot", "out.png"]) == 0
    assert Path("out.png").read_bytes()[:4] == b"\x89PNG"
    json.loads(Path("out.json").read_text())
    assert sorted(os.listdir()) == ["net.toml", "out.json", "out.png"]


@pytest.mark.parametrize(("name", "start"), [("a.pdf", b"%PDF"), ("a.svg", b"<?xml"), ("a.PNG", b"\x89PNG")])
def test_figures_come_in_three_formats(net, name: str, start: bytes) -> None:
    assert main(["predict", net(RELU), "--plot", name]) == 0
    assert Path(name).read_bytes().startswith(start)


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
        (["--dps", "50"], "not available in this version"),
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


def test_up_to_seventeen_digits_are_what_there_is(net, capsys) -> None:
    answer(capsys, "predict", net(), "--dps", "17")


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


# Files and signals ------------------------------------------------------------------------------------------------


def test_permissions_and_links_are_kept(tmp_path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    write_whole({link: b"new"})
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_failure_between_two_files_leaves_both_as_they_were(tmp_path) -> None:
    first = tmp_path / "first"
    first.write_text("old")
    with pytest.raises(OSError, match="no-such-folder"):
        write_whole({first: b"new", tmp_path / "no-such-folder" / "second": b"new"})
    assert first.read_text() == "old"
    assert os.listdir(tmp_path) == ["first"]


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="needs /dev/fd")
def test_a_pipe_is_written_to_directly() -> None:
    reader, writer = os.pipe()
    path = f"/dev/fd/{writer}"
    check_writable(path)
    write_whole({path: b"new"})
    os.close(writer)
    with open(reader, "rb") as stream:
        assert stream.read() == b"new"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_a_refused_file_is_named_as_it_was_given(net, capsys) -> None:
    # /proc takes no files, whoever asks.
    assert main(["predict", net(), "--json", "/proc/x.json"]) == 2
    error = capsys.readouterr().err
    assert "/proc/x.json:" in error
    assert ".part" not in error


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_interruption_ends_with_130_and_one_line(net) -> None:
    # Sampling interrupts itself, so that nothing depends on how fast the machine is.
    code = """if True:
        import os, signal, sys, time
        import spectra.sampling
        from spectra.cli import main
        spectra.sampling.sample = lambda *_, **__: [os.kill(os.getpid(), signal.SIGINT), time.sleep(60)]
        sys.argv[1:] = ["check", "net.toml", "--width", "30", "--json", "out.json"]
        sys.exit(main())
    """
    net()
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-c", code]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=50, check=False, env=os.environ | {"PYTHONPATH": str(root)}
    )
    assert result.returncode == 130
    assert result.stdout == ""
    assert result.stderr == "spectra: interrupted; nothing was written\n"
    assert os.listdir() == ["net.toml"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_interruption_while_sampling_does_not_wait_for_the_matrices(net) -> None:
    # Ctrl-C from the progress of the first network; each of the others would be busy for seconds.
    code = """if True:
        import os, signal, sys
        import numpy as np
        import spectra.graded
        from spectra.cli import main
        slow = np.linalg.qr
        sent = []
        def interrupted(*args, **keys):
            import time
            # Once, whichever thread comes first.
            sent.append(1)
            if len(sent) == 1:
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(120)
        np.linalg.qr = interrupted
        sys.argv[1:] = ["check", "net.toml", "--width", "30", "--json", "out.json"]
        sys.exit(main())
    """
    net()
    root = Path(__file__).resolve().parent.parent
    command, environment = [sys.executable, "-c", code], os.environ | {"PYTHONPATH": str(root)}
    result = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False, env=environment)
    assert result.returncode == 130
    assert result.stderr == "spectra: interrupted; nothing was written\n"
    assert os.listdir() == ["net.toml"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_interruption_while_modules_are_loaded_ends_with_130(net) -> None:
    code = """if True:
        import builtins, sys
        from spectra.cli import main
        def interrupted(*_, **__):
            raise KeyboardInterrupt
        builtins.__import__ = interrupted
        sys.exit(main())
    """
    root = Path(__file__).resolve().parent.parent
    command, environment = [sys.executable, "-c", code], os.environ | {"PYTHONPATH": str(root)}
    result = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False, env=environment)
    assert (result.returncode, result.stderr) == (130, "spectra: interrupted; nothing was written\n")


def test_closed_standard_output_is_one_line_and_no_traceback(net, capsys, monkeypatch) -> None:
    config = net()
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["predict", config, "--json", "-"]) == 2
    assert "standard output is closed" in capsys.readouterr().err


def test_a_full_device_is_named(net, capsys) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no such device")
    assert "/dev/full" in refused(capsys, "predict", net(), "--json", "/dev/full")
    assert "--json" in refused(capsys, "predict", net(), "--json", "")


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
    assert main(["check", net(), "--width", "60", "--samples", "4"]) == 0
    assert "would have been noticed" in capsys.readouterr().out
