"""How sampling is run: workers, array libraries, precision, memory, estimates."""

import threading
import time
import tracemalloc

import joblib
import numpy as np
import pytest

from spectra.errors import ConfigError
from spectra.network import Network
from spectra.sampling import estimate, sample
from spectra.sampling.memory import _peak_bytes
from spectra.sampling.parallel import parallel
from spectra.sampling.reflectors import factored
from spectra.sampling.weights import draw_weights, random_weights
from spectra.threads import single_threaded_blas


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
    deeper = net(**DEEP | {"depth": 24})
    auto, graded, plain = (sample(deeper, 60, 1, method=method) for method in ("auto", "graded", "plain"))
    below = auto.log_singular_values < auto.log_singular_values.max() - 40  # e^-40 = 4e-18
    assert np.count_nonzero(below) >= 3
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
    single, double = (sample(growing, 48, 1, dtype=dtype) for dtype in ("float32", "float64"))
    finite = np.isfinite(double.log_singular_values)
    assert finite.any()
    np.testing.assert_allclose(single.log_singular_values[finite], double.log_singular_values[finite], atol=0.02)
    np.testing.assert_allclose(single.q, double.q, rtol=1e-2)


@pytest.mark.parametrize("module", [None, "array_api_strict"])
def test_slopes_that_leave_the_range_of_single_precision_are_taken_in_steps(module):
    # Slopes of 1e-70 and below beside 1: as they are, they are zero in single precision, or an SVD of infinities.
    steep = net(sigma_w=60.0)
    double, single = (sample(steep, 20, 2, dtype=dtype, array_module=module) for dtype in ("float64", "float32"))
    assert np.max(np.ptp(double.log_singular_values, axis=1)) > 300
    np.testing.assert_allclose(single.log_singular_values, double.log_singular_values, atol=5e-3)


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
    monkeypatch.setattr("spectra.sampling.memory.physical_memory", lambda: 2500)
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


@pytest.mark.parametrize(("module", "device"), [("torch", "cpu"), ("array_api_strict", None)])
def test_array_libraries_take_rectangles_devices_and_single_precision(module, device):
    pytest.importorskip(module)
    pytest.importorskip("array_api_compat")
    layers = [{"width": 40}, {"width": 15}, {"width": 60, "weights": "orthogonal"}]
    layers += [{"width": 30, "weights": "orthogonal"}]
    rectangular = net(depth=None, layers=layers, input_width=50)
    expected = sample(rectangular, samples=2)
    found = sample(rectangular, samples=2, array_module=module, device=device)
    np.testing.assert_allclose(found.log_singular_values, expected.log_singular_values, atol=1e-8)
    single = sample(net(**DEEP), 40, 1, array_module=module, dtype="float32")
    np.testing.assert_allclose(single.log_singular_values, sample(net(**DEEP), 40, 1).log_singular_values, atol=5e-3)
