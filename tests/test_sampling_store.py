"""Sampled networks kept on disk, and the options of `check` that sampling takes."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from spectra.cli import main
from spectra.errors import ConfigError
from spectra.network import Network
from spectra.sampling import Estimate, companions, sample
from spectra.sampling.graded import GradedProduct


def net(**keys):
    return Network(**({"depth": 3, "activation": "tanh", "sigma_w": 1.5, "sigma_b": 0.3, "input_variance": 0.7} | keys))


DEEP = {"depth": 12, "sigma_w": "critical", "sigma_b": 0.1}


# --- networks on disk -------------------------------------------------------------------------------------------------


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    expected = sample(net(**DEEP), 30, 12, seed=5)
    code = f"""
        import time
        from spectra import Network, sample
        def slow(done, total):
            time.sleep(0.2)
        sample(Network(**{net(**DEEP).to_dict()!r}), 30, 12, 5, slow, store={str(tmp_path / "kept")!r})
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    folder = tmp_path / "kept" / "width-30"
    deadline = time.monotonic() + 60
    while len(list(folder.glob("sample-*.npz"))) < 4:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    process.wait()
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("sample-*.npz")}
    assert 4 <= len(before) < 12
    calls = []
    found = sample(net(**DEEP), 30, 12, 5, lambda done, total: calls.append((done, total)), store=tmp_path / "kept")
    np.testing.assert_array_equal(found.log_singular_values, expected.log_singular_values)
    np.testing.assert_array_equal(found.q, expected.q)
    assert calls == [(done, 12) for done in range(len(before), 13)]
    after = {path.name: path.stat().st_mtime_ns for path in folder.glob("sample-*.npz")}
    assert len(after) == 12
    assert before.items() <= after.items()  # none was sampled again


def test_a_store_grows_and_is_read_without_sampling(tmp_path, monkeypatch):
    few = sample(net(), 20, 3, store=tmp_path)
    many = sample(net(), 20, 5, store=tmp_path)
    np.testing.assert_array_equal(many.log_singular_values[:3], few.log_singular_values)
    other = companions(many, store=tmp_path)  # other widths of the same network, beside it
    assert [emp.width for emp in other] == [10, 5]
    assert {path.name for path in tmp_path.iterdir()} == {"ensemble.json", "width-5", "width-10", "width-20"}
    monkeypatch.setattr(GradedProduct, "multiply", None)
    again = sample(net(), 20, 4, store=tmp_path)
    np.testing.assert_array_equal(again.log_singular_values, many.log_singular_values[:4])


@pytest.mark.parametrize(
    ("changes", "options", "what"),
    [
        ({"sigma_w": 1.6}, {}, "network"),
        ({}, {"seed": 1}, "seed"),
        ({}, {"dtype": "float32"}, "dtype"),
        ({}, {"method": "plain"}, "method"),
    ],
)
def test_a_store_of_another_network_is_refused(tmp_path, changes, options, what):
    sample(net(), 10, 2, store=tmp_path)
    kept = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match=f"another {what}"):
        sample(net(**changes), 10, 2, store=tmp_path, **options)
    assert sorted(path.name for path in tmp_path.rglob("*")) == kept


def test_activations_of_one_name_are_told_apart(tmp_path):
    from spectra.activations import Activation

    def named(factor):
        return net(activation=Activation.from_callable(lambda x: factor * x, lambda x: factor + 0 * x, name="mine"))

    sample(named(1.0), 10, 2, store=tmp_path)
    assert sample(named(1.0), 10, 2, store=tmp_path).samples == 2
    with pytest.raises(ConfigError, match="another activation"):
        sample(named(1.1), 10, 2, store=tmp_path)


def test_what_is_no_store_or_no_sample_is_refused(tmp_path):
    (tmp_path / "ensemble.json").write_text("[]")
    with pytest.raises(ConfigError, match="not that of a store"):
        sample(net(), 10, 2, store=tmp_path)
    (tmp_path / "ensemble.json").unlink()
    sample(net(), 10, 2, store=tmp_path)
    assert json.loads((tmp_path / "ensemble.json").read_text())["seed"] == 0
    (tmp_path / "width-10" / "sample-000001.npz").write_bytes(b"PK")
    with pytest.raises(ConfigError, match=r"sample-000001.npz`: not a sampled network"):
        sample(net(), 10, 2, store=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        sample(net(), 10, 2, store=tmp_path / "file")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written_is_refused_at_once(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        sample(net(), 10, 2, store=tmp_path / "kept")


# --- the command line -------------------------------------------------------------------------------------------------


CONFIG = 'depth = 3\nactivation = "tanh"\nsigma_w = "critical"\nsigma_b = 0.1\n'


def checked(tmp_path, monkeypatch, *arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.toml").write_text(CONFIG)
    return main(["check", "net.toml", "--width", "40", "--samples", "4", "--json", "-", *arguments])


def test_check_keeps_networks_and_takes_them_up_again(tmp_path, monkeypatch, capsys):
    first = checked(tmp_path, monkeypatch, "--store", "kept"), capsys.readouterr().out
    assert len(list(tmp_path.glob("kept/width-*/sample-*.npz"))) == 4 + 16 + 64
    monkeypatch.setattr(GradedProduct, "multiply", None)
    assert (checked(tmp_path, monkeypatch, "--store", "kept"), capsys.readouterr().out) == first
    assert checked(tmp_path, monkeypatch, "--store", "kept", "--seed", "3") == 2
    assert "another seed" in capsys.readouterr().err
    assert checked(tmp_path, monkeypatch, "--store", "net.toml") == 2
    assert capsys.readouterr().err == "spectra: net.toml: Not a directory\n"


@pytest.mark.parametrize(
    ("alone", "options"),
    [
        ("--matrix-free", ["--method", "auto"]),
        ("--matrix-free", ["--dtype", "float64"]),
        ("--matrix-free", ["--array-module", "torch"]),
        ("--singular-values", ["--samples", "4"]),
    ],
)
def test_options_that_would_be_left_unused_are_refused(tmp_path, monkeypatch, capsys, alone, options):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.toml").write_text(CONFIG)
    np.save("values.npy", np.ones((4, 10)))
    how = [alone, "values.npy"] if alone == "--singular-values" else [alone, "--width", "20"]
    assert main(["check", "net.toml", *how, *options]) == 2
    assert capsys.readouterr().err == f"spectra: `{options[0]}` does not go with `{alone}`.\n"
    assert not (tmp_path / "kept").exists()


def test_the_seed_is_that_of_networks_sampled_beside_values_from_elsewhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.toml").write_text(CONFIG)
    np.save("values.npy", sample(Network.from_toml("net.toml"), 16, 2).singular_values)
    found = []
    for seed in ("1", "2"):
        main(["check", "net.toml", "--singular-values", "values.npy", "--seed", seed, "--json", "-"])
        found.append(json.loads(capsys.readouterr().out)["widths"])
    assert found[0][0]["ks"] == found[1][0]["ks"]
    assert found[0][1]["ks"] != found[1][1]["ks"]


def test_check_says_where_an_interrupted_run_goes_on(tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("spectra.sampling.store.Store.load", interrupted)
    assert checked(tmp_path, monkeypatch, "--store", "kept") == 130
    assert "what was sampled is in kept; the same command goes on from there" in capsys.readouterr().err


def test_check_says_how_long_it_takes_where_that_is_long(tmp_path, monkeypatch, capsys):
    long = Estimate(3 * 2**30, 7200.0)
    monkeypatch.setattr("spectra.sampling.estimate", lambda *_, **__: long)
    checked(tmp_path, monkeypatch)
    assert "note: sampling: about 3.5 h and 3 GiB of memory" in capsys.readouterr().err
    monkeypatch.setattr("spectra.sampling.estimate", lambda *_, **__: Estimate(2**20, 1.0))
    checked(tmp_path, monkeypatch)
    assert "sampling:" not in capsys.readouterr().err


def test_check_takes_every_option_of_sampling(tmp_path, monkeypatch, capsys):
    seen = []

    def sampled(*arguments, **options):
        seen.append(options)
        return sample(*arguments, **options)

    monkeypatch.setattr("spectra.sampling.sample", sampled)
    options = ["--dtype", "float32", "--method", "graded", "--jobs", "1", "--backend", "threading"]
    assert checked(tmp_path, monkeypatch, *options) == 0
    found = json.loads(capsys.readouterr().out)
    assert seen[0].items() >= {"dtype": "float32", "method": "graded", "n_jobs": 1, "backend": "threading"}.items()
    assert len(found["widths"]) == 3  # its own, a half and a quarter
    assert checked(tmp_path, monkeypatch, "--array-module", "no_such_library") == 2
    assert "no array library of that name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float16"}, "`sample\\(dtype='float16'\\)`: allowed"),
        ({"method": "qr"}, "`sample\\(method='qr'\\)`: allowed"),
        ({"n_jobs": 0}, "n_jobs=0.*joblib says"),
        ({"backend": "no_such_backend"}, "no_such_backend.*joblib says"),
        ({"device": "cuda"}, "needs an `array_module`"),
        ({"array_module": "no_such_library"}, "no array library of that name"),
        ({"array_module": np, "device": "no_such_device"}, "no float64 there"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        sample(net(), 10, 2, **options)
