"""Sampled Jacobians: the matrices drawn, the forward pass, the graded product against mpmath, streams, bad input."""

import mpmath
import numpy as np
import pytest
from scipy.linalg.lapack import dgejsv  # pyright: ignore[reportAttributeAccessIssue]  # made at run time by f2py

from spectra.activations import Activation
from spectra.errors import ConfigError
from spectra.network import Network
from spectra.sampling import companions, matrix_free, sample
from spectra.sampling.arrays import HostArrays
from spectra.sampling.forward import forward_pass
from spectra.sampling.graded import GradedProduct
from spectra.sampling.weights import random_weights

KINDS = ("gaussian", "orthogonal", "uniform", "rademacher")


def net(**keys):
    return Network(**({"depth": 3, "activation": "tanh", "sigma_w": 1.5, "sigma_b": 0.3, "input_variance": 0.7} | keys))


def test_orthogonal_weights_are_haar_and_not_merely_orthogonal():
    # Exact: E Q = 0 (not so without the sign fix), E Q_ij^2 = 1/n, E Q_ij^4 = 3/(n(n+2)), E (tr Q)^2 = 1.
    n, trials, rng = 5, 4000, np.random.default_rng(1)
    q = np.array([random_weights("orthogonal", n, n, 1.0, rng) for _ in range(trials)])
    np.testing.assert_allclose(q @ q.transpose(0, 2, 1), np.broadcast_to(np.eye(n), q.shape), atol=1e-14)
    assert np.max(np.abs(q.mean(axis=0))) < 4.5 / np.sqrt(n * trials)  # sd of an entry is n^{-1/2}; 25 entries
    for power, expected in ((2, 1 / n), (4, 3 / (n * (n + 2)))):
        spread = (q**power).std(axis=0) / np.sqrt(trials)
        assert np.max(np.abs((q**power).mean(axis=0) - expected) / spread) < 4.5
    traces = np.trace(q, axis1=1, axis2=2) ** 2
    assert abs(traces.mean() - 1) < 4.5 * traces.std() / np.sqrt(trials)
    signs = np.linalg.det(q)
    assert abs(np.mean(signs)) < 4.5 / np.sqrt(trials)  # both components of O(n) alike


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n_out", "n_in"), [(40, 40), (30, 50), (50, 30)])
def test_entries_have_variance_over_fan_in(kind, n_out, n_in):
    rng, sigma = np.random.default_rng(2), 1.7
    draws = np.array([random_weights(kind, n_out, n_in, sigma, rng) for _ in range(30)])
    squares = draws**2 * n_in / sigma**2
    error = squares.mean(axis=(1, 2)).std() / np.sqrt(30) + 1e-12
    assert abs(squares.mean() - 1) < 4.5 * error
    assert abs(draws.mean()) < 4.5 * sigma / np.sqrt(n_in * draws.size)
    if kind == "rademacher":
        np.testing.assert_allclose(squares, 1, rtol=1e-14)
    if kind == "uniform":
        assert np.max(squares) <= 3
    if kind == "orthogonal" and n_out <= n_in:
        np.testing.assert_allclose(draws[0] @ draws[0].T, sigma**2 * np.eye(n_out), atol=1e-13)
    if kind == "orthogonal" and n_out > n_in:
        np.testing.assert_allclose(draws[0].T @ draws[0], sigma**2 * n_out / n_in * np.eye(n_in), atol=1e-13)


def masked(rng, n):
    return np.where(rng.random(n) < 0.6, 1.0, 0.0)


def saturated(rng, n):
    return 1 / np.cosh(6 * rng.standard_normal(n)) ** 2  # from 1 to 1e-15 and below


def steep(rng, n):
    return 10.0 ** (-300 * rng.random(n))  # two of them would leave the range of doubles


def open_slopes(rng, n):
    return np.ones(n)


@pytest.mark.parametrize(
    ("n", "depth", "slopes", "scale", "digits"),
    [
        (10, 1, saturated, 1.0, 80),  # one layer, condition beyond 1e10
        (10, 3, open_slopes, 1.0, 80),  # plain product
        (12, 60, open_slopes, 1.0, 150),  # spans 130 nats: one Jacobi
        (10, 25, masked, 1.0, 80),  # exact zeros
        (8, 20, saturated, 1.0, 400),  # spans more than 250 nats: windows
        (5, 400, open_slopes, 3.0, 700),  # windows, and e^{440} leaves the double range
        (5, 3, steep, 1.0, 1100),  # ratios of slopes beyond what one factor may hold
        (5, 3, steep, None, 1100),
        (12, 40, masked, None, 100),  # orthogonal, but not between the live neurons
    ],
)
def test_singular_values_of_a_product_agree_with_mpmath(n, depth, slopes, scale, digits):
    rng = np.random.default_rng(3)
    kind, scale = ("gaussian", scale) if scale else ("orthogonal", 1.0)
    factors = [(random_weights(kind, n, n, scale, rng), slopes(rng, n)) for _ in range(depth)]
    product, exact = GradedProduct(n), mpmath.eye(n)
    for weights, diagonal in factors:
        product.multiply(weights, diagonal, orthogonal=kind == "orthogonal")
    with mpmath.workdps(digits):
        for weights, diagonal in factors:
            exact = mpmath.diag(diagonal.tolist()) * (mpmath.matrix(weights.tolist()) * exact)
        values = [
            float(mpmath.log(v)) for v in mpmath.svd_r(exact, compute_uv=False) if v > mpmath.mpf(10) ** -(digits - 20)
        ]
    assert product.rank == len(values) == min(np.count_nonzero(diagonal) for _, diagonal in factors)
    np.testing.assert_allclose(product.log_singular_values(), values, rtol=0, atol=1e-8)


def jacobi(log_d, right):
    """One-sided Jacobi, LAPACK dgejsv with its columns scaled: another algorithm, of the same relative accuracy."""
    top = log_d.max()
    values, _, _, work, _, info = dgejsv(right.T * np.exp(log_d - top), joba=0, jobu=3, jobv=3, jobr=0, jobt=0, jobp=0)
    assert info == 0
    return top + np.log(values * (work[0] / work[1]))


@pytest.mark.parametrize(
    "slopes", [open_slopes, masked, saturated, lambda rng, n: np.where(rng.random(n) < 0.5, 1, 1e-3)]
)
@pytest.mark.parametrize(("n", "depth"), [(60, 3), (60, 6), (30, 7)])
def test_windows_agree_with_one_sided_jacobi(slopes, n, depth):
    # Spans of 15 to 200 nats: up to forty windows, cut where neighbours are a fraction of a nat apart.
    rng = np.random.default_rng(4)
    product = GradedProduct(n, method="graded")
    for _ in range(depth):
        product.multiply(rng.standard_normal((n, n)) / np.sqrt(n), slopes(rng, n))
    found = product.log_singular_values()
    log_d, right = product._log_d, product._right
    assert np.ptp(log_d) < 250  # what one Jacobi can hold
    np.testing.assert_allclose(found, product._log_scale + jacobi(log_d, right), rtol=0, atol=1e-10)


def test_sampled_product_is_the_derivative_of_the_network():
    seen = []

    def value(x):
        seen.append(np.array(x))
        return np.sin(x) + x / 3

    activation = Activation.from_callable(value, lambda x: np.cos(x) + 1 / 3, name="recorded")
    spec = net(depth=3, activation=activation).layers[0]
    seen.clear()  # the activation may have been tried out on construction
    layers = list(forward_pass([spec] * 3, (5, 7, 4, 6), 0.7, np.random.default_rng(5)))
    weights, h = [layer[0] for layer in layers], [x for x in seen if x.size > 1][-3:]
    biases = [h[1] - weights[1] @ (np.sin(h[0]) + h[0] / 3), h[2] - weights[2] @ (np.sin(h[1]) + h[1] / 3)]
    assert all(np.any(np.abs(b) > 1e-3) for b in biases)

    def output(step):
        x = h[0] + weights[0] @ step
        for w, b in zip(weights[1:], biases, strict=True):
            x = w @ (np.sin(x) + x / 3) + b
        return np.sin(x) + x / 3

    steps = 1e-5 * np.eye(5)
    numeric = np.stack([(output(e) - output(-e)) / 2e-5 for e in steps], axis=1)
    product = GradedProduct(5)
    for w, slopes, *_ in layers:
        product.multiply(w, slopes)
    np.testing.assert_allclose(np.exp(product.log_singular_values()), np.linalg.svd(numeric)[1][:4], rtol=1e-8)


def test_input_has_exactly_the_stated_mean_square():
    emp = sample(net(depth=1, weights="orthogonal", sigma_b=0.0, input_variance=0.7), 30, 4)
    np.testing.assert_allclose(emp.q[:, 0], 1.5**2 * 0.7, rtol=1e-13)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_at_the_fixed_point_every_layer_stays_at_q_star_and_chi_is_one(weights):
    emp = sample(
        net(depth=6, weights=weights, sigma_w="critical", sigma_b=None, q_star=0.4, input_variance="fixed-point"),
        150,
        30,
    )
    assert emp.q.shape == emp.chi.shape == (30, 6)
    for recorded, expected in ((emp.q, 0.4), (emp.chi, 1.0)):
        error = recorded.std(axis=0, ddof=1) / np.sqrt(30)
        assert (
            np.max(np.abs(recorded.mean(axis=0) - expected) / (error + 0.005 * expected)) < 4.5
        )  # bias of order L/N: 0.04
    np.testing.assert_allclose(  # m_1 is the product of the chi up to fluctuations of order 1/N
        np.mean(emp.singular_values**2, axis=1), np.prod(emp.chi, axis=1), rtol=0.25
    )


def test_dead_relus_are_exact_zeros_and_nothing_else_is():
    emp = sample(net(depth=5, activation="relu", weights="orthogonal", sigma_w=1.4), 60, 4)
    alive = np.rint(emp.chi / 1.4**2 * 60).astype(int)  # φ'² averages to the fraction of live neurons
    np.testing.assert_array_equal(np.isfinite(emp.log_singular_values).sum(axis=1), alive.min(axis=1))
    assert np.all(np.diff(emp.singular_values, axis=1) <= 0)
    assert np.min(emp.log_singular_values[np.isfinite(emp.log_singular_values)]) > -20  # no zero in disguise


def test_rank_is_bounded_by_a_narrow_layer():
    layers = [{"width": 12}, {"width": 4}, {"width": 20}]
    emp = sample(net(depth=None, layers=layers, input_width=9), samples=2)
    assert emp.widths == (9, 12, 4, 20)
    assert emp.log_singular_values.shape == (2, 9)
    np.testing.assert_array_equal(np.isfinite(emp.log_singular_values).sum(axis=1), [4, 4])
    assert emp.log_eigenvalues.shape == (2, 20)
    assert np.all(np.isneginf(emp.log_eigenvalues[:, 9:]))
    assert sample(net(depth=None, layers=layers, input_width=9), width=40, samples=1).widths == (18, 24, 8, 40)


@pytest.mark.parametrize("weights", KINDS)
@pytest.mark.parametrize("activation", ["identity", "relu"])
@pytest.mark.parametrize("sigma_w", [3.0, 0.05])
def test_scale_of_the_weights_is_a_shift_at_any_depth(weights, activation, sigma_w):
    depth, width = 300, 24 if activation == "identity" else 64  # wide enough to stay alive and invertible
    deep = {"depth": depth, "activation": activation, "weights": weights, "sigma_b": 0.0}
    one = sample(net(sigma_w=1.0, **deep), width, 1).log_singular_values
    other = sample(net(sigma_w=sigma_w, **deep), width, 1).log_singular_values
    finite = np.isfinite(one)
    np.testing.assert_array_equal(finite, np.isfinite(other))
    assert finite.any()
    np.testing.assert_allclose(other[finite] - one[finite], depth * np.log(sigma_w), rtol=1e-9)


def test_a_thousand_layers_whose_variances_have_no_double_are_sampled():
    deep = {"depth": 1000, "activation": "identity", "sigma_b": 0.0}
    one, other = (sample(net(sigma_w=s, **deep), 4, 1).log_singular_values for s in (1.0, 3.0))
    np.testing.assert_allclose(other - one, 1000 * np.log(3.0), rtol=0, atol=1e-8)
    found = matrix_free.sample(net(sigma_w=3.0, **deep), 4, samples=1)
    assert 0.8 < found.log_top[0] / 2 / (1000 * np.log(3.0)) < 1.0


def test_a_thousand_chaotic_layers_stay_in_range():
    emp = sample(net(depth=1000, sigma_w=3.0, input_variance="fixed-point"), 12, 1)
    assert np.all(np.isfinite(emp.log_singular_values))
    assert np.all(emp.log_singular_values[:, 0] > 0)
    assert np.all(np.ptp(emp.log_singular_values, axis=1) > 745)  # more than the range of doubles, one by one kept


def test_rescaling_a_homogeneous_net_changes_nothing(monkeypatch):
    biased = net(depth=12, activation="relu", sigma_w=2.5, sigma_b=1.0)
    plain = sample(biased, 20, 3)
    monkeypatch.setattr("spectra.sampling.forward.RESCALE", 1.5)
    rescaled = sample(biased, 20, 3)
    np.testing.assert_allclose(rescaled.q, plain.q, rtol=1e-12)
    np.testing.assert_allclose(rescaled.log_singular_values, plain.log_singular_values, atol=1e-8)


def test_each_network_has_its_own_stream():
    few, many = sample(net(), 20, 3, seed=7), sample(net(), 20, 6, seed=7)
    np.testing.assert_array_equal(few.log_singular_values, many.log_singular_values[:3])
    np.testing.assert_array_equal(few.q, many.q[:3])
    assert len(np.unique(many.log_singular_values[:, 0])) == 6
    other = sample(net(), 20, 3, seed=8)
    assert not np.any(other.log_singular_values == few.log_singular_values)


def test_progress_counts_every_network():
    calls = []
    sample(net(depth=3), 5, 6, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 6) for i in range(1, 7)]


def test_companions_keep_the_proportions_and_trade_width_for_samples():
    emp = sample(net(depth=None, layers=[{"width": 40}, {"width": 10}], input_width=20), samples=2, seed=3)
    (half,) = companions(emp)  # a quarter would leave fewer than four outputs
    assert half.widths == (10, 20, 5)
    assert half.samples == 8
    square = companions(sample(net(), 30, 2))
    assert [(e.widths, e.samples) for e in square] == [((15,) * 4, 8), ((8,) * 4, 32)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "`width` must be at least 1"),
        ({"width": 10.5}, "`width` must be an integer"),
        ({"width": "10"}, "`width` must be an integer"),
        ({"width": 10, "samples": 0}, "`samples` must be at least 1"),
        ({"width": 10, "samples": True}, "`samples` must be an integer"),
        ({"width": 10, "seed": -1}, "`seed` must be at least 0"),
        ({}, "the network states no width"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        sample(net(), **arguments)


def test_unknown_weights_are_refused():
    with pytest.raises(ValueError, match="allowed are 'gaussian'"):
        random_weights("cauchy", 2, 2, 1.0, np.random.default_rng(0))


def test_after_an_error_nothing_is_waited_for():
    # The first task fails at once; the others would take a minute each, and must neither be begun nor waited for.
    import threading
    import time

    from spectra.sampling.parallel import parallel

    stopped, begun = threading.Event(), []

    def task(index):
        begun.append(index)
        if index == 0:
            raise KeyboardInterrupt
        stopped.wait(60)

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(parallel(task, range(200), stopped))
    assert time.monotonic() - start < 30
    assert stopped.is_set()
    assert len(begun) < 200


def test_an_abandoned_sample_ends_at_its_next_layer():
    # Closed after the first result: the threads still at work stop, so that the interpreter can end.
    import threading

    class StopError(Exception):
        pass

    def stop(done, total):
        raise StopError

    before = set(threading.enumerate())
    with pytest.raises(StopError):
        sample(net(depth=50), width=60, samples=40, progress=stop)
    for thread in set(threading.enumerate()) - before:
        thread.join(20)
        assert not thread.is_alive()


def test_a_network_larger_than_memory_is_refused_at_once(monkeypatch) -> None:
    net = Network(depth=2, activation="tanh", sigma_w=1.0, sigma_b=0.1)
    # Three matrices of doubles are 2400 bytes at width 10, 2904 at 11.
    monkeypatch.setattr("spectra.sampling.memory.physical_memory", lambda: 2500)
    assert sample(net, width=10, samples=1).width == 10
    with pytest.raises(ConfigError, match=r"sample\(width=11\).*memory"):
        sample(net, width=11, samples=1)
    # Four Gaussian layers are factored, which takes 5808 bytes at width 11 at least; a bare product is not.
    deep = net.replace(depth=4)
    monkeypatch.setattr("spectra.sampling.memory.physical_memory", lambda: 5000)
    with pytest.raises(ConfigError, match=r"sample\(width=11\).*memory"):
        sample(deep, width=11, samples=1)
    assert sample(deep, width=11, samples=1, method="plain").width == 11
    assert sample(deep.replace(weights="orthogonal"), width=11, samples=1).width == 11
    monkeypatch.setattr("spectra.sampling.memory.physical_memory", lambda: None)
    assert sample(net, width=11, samples=1).width == 11


def test_network_that_dies_on_the_way_has_zeros_alone():
    # Five ReLU units: in one of these networks all of a layer are off, and more layers follow.
    net = Network(depth=8, activation="relu", sigma_w=2**0.5, sigma_b=0.0, input_variance=1.0)
    found = sample(net, 5, samples=40, seed=2)
    dead = np.any(found.chi == 0.0, axis=1)
    assert dead.any()
    assert np.isneginf(found.log_singular_values[dead]).all()
    assert np.isfinite(found.log_singular_values[~dead, 0]).all()


def test_slopes_below_single_precision_are_no_zeros() -> None:
    rng = np.random.default_rng(11)
    factors = [(random_weights("gaussian", 4, 4, 1.0, rng), rng.uniform(0.5, 1.0, 4)) for _ in range(3)]
    small, usual = (GradedProduct(4, arrays=HostArrays(np.float32)) for _ in range(2))
    for weights, slopes in factors:
        usual.multiply(weights.astype(np.float32), slopes)
        small.multiply(weights.astype(np.float32), 1e-60 * slopes)
    expected = usual.log_singular_values() - 180 * np.log(10.0)
    np.testing.assert_allclose(small.log_singular_values(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("sigma_w", [1e-50, 1e50])
def test_weights_beyond_single_precision_are_refused(sigma_w: float) -> None:
    # Rounded to single precision they would all be 0, and with them all singular values.
    linear = net(activation="identity", sigma_w=sigma_w, sigma_b=0.0)
    with pytest.raises(ConfigError, match="`sigma_w` from 1e-10 to 1e"):
        sample(linear, 5, 1, dtype="float32")
    assert np.isfinite(sample(linear, 5, 1).log_singular_values).all()


@pytest.mark.filterwarnings("error")
def test_layers_after_the_last_live_unit_have_no_variance() -> None:
    # Six ReLU units, σ_w = 1e50: the state passes e^{354}, where its square has no double, and then dies.
    found = sample(net(depth=60, activation="relu", sigma_w=1e50, sigma_b=0.0), 6, samples=4, seed=2)
    dead = found.chi == 0.0
    assert dead.any()
    assert (found.q[np.roll(dead, 1, axis=1) & dead] == 0.0).all()
    assert not np.isnan(found.q).any()


@pytest.mark.filterwarnings("error")
def test_a_plain_product_of_slopes_of_all_sizes_is_silent() -> None:
    product = GradedProduct(3, method="plain")
    product.multiply(np.eye(3), np.array([1.0, 1e-200, 1e-310]))
    np.testing.assert_allclose(product.log_singular_values(), np.log([1.0, 1e-200, 1e-310]), rtol=1e-9)


def test_a_product_that_is_exactly_zero_has_no_singular_values() -> None:
    product = GradedProduct(3, method="graded")
    product.multiply(np.zeros((3, 3)), np.ones(3))
    assert product.log_singular_values().size == 0
