"""How sampling is run: workers, array libraries, precision, networks kept on disk, memory, estimates, bad options."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc

import joblib
import numpy as np
import pytest

from spectra.cli import main
from spectra.errors import ConfigError
from spectra.network import Network
from spectra.sampling import Estimate, companions, estimate, sample
from spectra.sampling.graded import GradedProduct
from spectra.sampling.memory import _peak_bytes
from spectra.sampling.parallel import parallel, single_threaded_blas
from spectra.sampling.reflectors import factored
from spectra.sampling.weights import draw_weights, random_weights


def net(**keys):
    return Network(**({"depth": 3, "activation": "tanh", "sigma_w": 1.5, "sigma_b": 0.3, "input_variance": 0.7} | keys))


DEEP = {"depth": 12, "sigma_w": "critical", "sigma_b": 0.1}


# --- reflectors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_out", "n_in"), [(40, 40), (30, 50), (50, 30), (1, 1)])
def test_haar_matrices_are_multiplied_as_if_formed(n_out, n_in):
    held = draw_weights("orthogonal", n_out, n_in, 1.7, np.random.default_rng(3))
    dense = random_weights("orthogonal", n_out, n_in, 1.7, np.random.default_rng(3))
    other = np.random.default_rng(4).standard_normal((n_in, 7))
    assert held.shape == dense.shape == (n_out, n_in)
    np.testing.assert_allclose(held @ other, dense @ other, atol=1e-13)
    np.testing.assert_allclose(held @ other[:, 0], dense @ other[:, 0], atol=1e-13)
    # numpy's QR of the same normals, its signs divided out, is the same matrix.
    normals = np.random.default_rng(3).standard_normal((max(n_out, n_in), min(n_out, n_in)))
    q, r = np.linalg.qr(normals)
    q = q * np.sign(np.diagonal(r)) * 1.7 * np.sqrt(max(n_out, n_in) / n_in)
    np.testing.assert_allclose(dense, q if n_out >= n_in else q.T, atol=1e-13)


@pytest.mark.parametrize("shape", [(9, 9), (9, 5), (5, 9)])
def test_qr_as_reflectors_is_a_qr(shape):
    matrix = np.random.default_rng(5).standard_normal(shape)
    q, r = factored(np.asfortranarray(matrix))
    np.testing.assert_allclose(q.dense() @ np.triu(r), matrix, atol=1e-13)
    left = np.random.default_rng(6).standard_normal((4, shape[0]))
    np.testing.assert_allclose(q.after(left), left @ q.dense(), atol=1e-13)


# --- methods and precision --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_methods_agree_where_the_condition_is_small(weights):
    wide = net(weights=weights, depth=2)
    auto, graded, plain = (sample(wide, 20, 4, method=method) for method in ("auto", "graded", "plain"))
    np.testing.assert_allclose(graded.log_singular_values, auto.log_singular_values, atol=1e-9)
    np.testing.assert_allclose(plain.log_singular_values, auto.log_singular_values, atol=1e-9)


def test_the_plain_route_loses_the_tail_and_the_automatic_one_keeps_it():
    auto, graded, plain = (sample(net(**DEEP), 60, 1, method=method) for method in ("auto", "graded", "plain"))
    below = auto.log_singular_values < auto.log_singular_values.max() - 40  # e^-40 = 4e-18
    assert below.any()
    np.testing.assert_allclose(graded.log_singular_values, auto.log_singular_values, atol=1e-8)
    assert np.all(plain.log_singular_values[below] - auto.log_singular_values[below] > 1)
    top = auto.log_singular_values > auto.log_singular_values.max() - 10
    np.testing.assert_allclose(plain.log_singular_values[top], auto.log_singular_values[top], atol=1e-9)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_single_precision_keeps_five_digits_of_most_values_and_three_of_the_tail(weights, activation):
    bias = 0.0 if activation == "relu" else 0.1
    deep = net(**(DEEP | {"weights": weights, "activation": activation, "sigma_b": bias}))
    double, single = sample(deep, 80, 3), sample(deep, 80, 3, dtype="float32")
    finite = np.isfinite(double.log_singular_values)
    np.testing.assert_array_equal(np.isfinite(single.log_singular_values), finite)
    error = np.abs(single.log_singular_values[finite] - double.log_singular_values[finite])
    assert np.median(error) < 1e-5
    assert np.max(error) < 5e-3
    assert np.max(error) > 1e-8  # it is another precision
    np.testing.assert_allclose(single.q, double.q, rtol=1e-4)


def test_a_thousand_chaotic_layers_stay_in_the_range_of_single_precision():
    emp = sample(net(depth=1000, sigma_w=3.0), 12, 1, dtype="float32")
    assert np.all(np.isfinite(emp.log_singular_values))
    assert np.ptp(emp.log_singular_values) > 745
    growing = net(depth=1000, sigma_w=1.9, activation="relu", sigma_b=0.0)  # the state grows to 1e128
    single, double = (sample(growing, 64, 1, dtype=dtype) for dtype in ("float32", "float64"))
    finite = np.isfinite(double.log_singular_values)
    assert finite.any()
    np.testing.assert_allclose(single.log_singular_values[finite], double.log_singular_values[finite], atol=0.02)
    np.testing.assert_allclose(single.q, double.q, rtol=1e-2)


# --- memory and estimates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_memory_is_that_of_a_few_matrices_whatever_the_depth(weights, dtype):
    peaks = []
    for depth in (30, 90):
        deep = net(depth=depth, weights=weights, sigma_w="critical", sigma_b=0.1)
        sample(deep, 8, 1, dtype=dtype)  # what is loaded and kept is none of it
        tracemalloc.start()
        sample(deep, 200, 1, dtype=dtype)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    matrix = 8 * 200**2
    assert peaks[1] < peaks[0] + matrix
    assert max(peaks) < _peak_bytes((200,), dtype)
    assert max(peaks) > 0.7 * _peak_bytes((200,), dtype)  # nor is it stated far too high


def test_estimates_grow_as_depth_and_samples_do():
    one = estimate(net(depth=2), 300, 1)
    assert one.bytes >= 3 * 8 * 300**2
    assert estimate(net(depth=2), 300, 400).seconds > 50 * one.seconds / 8
    assert estimate(net(depth=2), 600, 1).bytes == 4 * one.bytes
    assert estimate(net(depth=2), 300, 1, dtype="float32").bytes < one.bytes
    with pytest.raises(ConfigError, match="`samples` must be at least 1"):
        estimate(net(), 300, 0)


def test_an_estimate_is_right_within_a_small_factor():
    deep = net(depth=10, sigma_w="critical", sigma_b=0.1)
    start = time.perf_counter()
    sample(deep, 200, 4)
    taken = time.perf_counter() - start
    assert taken / 12 < estimate(deep, 200, 4).seconds < taken * 12  # a loaded machine, too


def test_fewer_networks_at_once_where_memory_holds_fewer(monkeypatch):
    seen = []

    def task(index):
        seen.append(threading.active_count())
        time.sleep(0.01)

    monkeypatch.setattr("spectra.sampling.parallel.cores", lambda: 8)
    before = threading.active_count()
    for most, least in ((1, 0), (4, 3)):
        seen.clear()
        assert len(list(parallel(task, range(20), threading.Event(), most=most))) == 20
        assert max(seen) - before >= least
    monkeypatch.setattr("spectra.sampling.memory._physical_memory", lambda: 2500)
    assert sample(net(), 10, 2).samples == 2


# --- workers ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # from Python 3.12 on, of a process with threads
@pytest.mark.parametrize("options", [{"n_jobs": 1}, {"n_jobs": 3}, {"n_jobs": 2, "backend": "multiprocessing"}])
def test_workers_do_not_change_the_numbers(options):
    expected = sample(net(**DEEP), 30, 6, seed=4)
    found = sample(net(**DEEP), 30, 6, seed=4, **options)
    np.testing.assert_array_equal(found.log_singular_values, expected.log_singular_values)
    np.testing.assert_array_equal(found.chi, expected.chi)


def test_the_backend_of_joblib_takes_over():
    expected = sample(net(**DEEP), 30, 4)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        found = sample(net(**DEEP), 30, 4)
    np.testing.assert_array_equal(found.log_singular_values, expected.log_singular_values)


def test_dask_gives_the_same_numbers():
    distributed = pytest.importorskip("distributed")
    expected = sample(net(**DEEP), 30, 5)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        found = sample(net(**DEEP), 30, 5)
    np.testing.assert_array_equal(found.log_singular_values, expected.log_singular_values)
    np.testing.assert_array_equal(found.q, expected.q)


def test_blas_has_its_threads_back_afterwards():
    from threadpoolctl import threadpool_info, threadpool_limits

    def threads():
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    sample(net(), 5, 1)  # all libraries are loaded
    with threadpool_limits(limits=2, user_api="blas"):
        with single_threaded_blas(), single_threaded_blas():
            assert threads() == {1}
        assert threads() == {2}
        sample(net(), 20, 3)
        assert threads() == {2}


# --- array libraries --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["torch", "array_api_strict"])
@pytest.mark.parametrize(
    "keys", [{}, {"weights": "orthogonal"}, {"activation": "relu", "sigma_b": 0.0}, {"activation": "hardtanh"}]
)
def test_array_libraries_agree_with_numpy(module, keys):
    pytest.importorskip(module)
    pytest.importorskip("array_api_compat")
    deep = net(**(DEEP | keys))
    for width in (25, 60):
        expected, found = sample(deep, width, 2), sample(deep, width, 2, array_module=module)
        np.testing.assert_allclose(found.log_singular_values, expected.log_singular_values, atol=1e-8)
        np.testing.assert_allclose(found.chi, expected.chi, rtol=1e-10)


def test_array_libraries_take_rectangles_devices_and_single_precision():
    pytest.importorskip("torch")
    pytest.importorskip("array_api_compat")
    layers = [{"width": 40}, {"width": 15}, {"width": 60, "weights": "orthogonal"}, {"width": 30}]
    rectangular = net(depth=None, layers=layers, input_width=50)
    expected = sample(rectangular, samples=2)
    found = sample(rectangular, samples=2, array_module="torch", device="cpu")
    np.testing.assert_allclose(found.log_singular_values, expected.log_singular_values, atol=1e-8)
    single = sample(net(**DEEP), 40, 1, array_module="torch", dtype="float32")
    np.testing.assert_allclose(single.log_singular_values, sample(net(**DEEP), 40, 1).log_singular_values, atol=5e-3)


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
