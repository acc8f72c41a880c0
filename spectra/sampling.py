"""Singular values of real finite-width Jacobians J = D_L W_L ⋯ D_1 W_1, each from its own forward pass."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ConfigError, ConvergenceError
from .graded import GradedProduct
from .network.meanfield import mean_field

if TYPE_CHECKING:
    from .network.config import LayerSpec, Network

Progress = Callable[[int, int], None]

_RESCALE = 1e100  # entries of a homogeneous net's state beyond this (or below its inverse) are rescaled


@dataclass(frozen=True)
class Ensemble:
    """Sampled Jacobians of one network at one width.

    Parameters
    ----------
    log_singular_values : (samples, min(N_0, N_L)), descending natural logarithms, −inf for exact zeros.
    q : (samples, depth), the mean of h_l² over the neurons of layer l.
    chi : (samples, depth), σ_w² times the mean of φ'(h_l)².
    widths : N_0, N_1, …, N_L as sampled.
    seed : what the streams were spawned from.
    network : the description that was sampled; None for singular values from elsewhere.

    Notes
    -----
    JJᵀ has N_L eigenvalues: the squares, and N_L − min(N_0, N_L) zeros that `log_singular_values` does not list.
    """

    log_singular_values: np.ndarray
    q: np.ndarray
    chi: np.ndarray
    widths: tuple[int, ...]
    seed: int
    network: Network | None = field(default=None, repr=False)

    @property
    def samples(self) -> int:
        """Number of sampled networks."""
        return self.log_singular_values.shape[0]

    @property
    def width(self) -> int:
        """Largest width, input included: the number `sample(width=…)` sets."""
        return max(self.widths)

    @property
    def depth(self) -> int:
        """Number of layers L."""
        return len(self.widths) - 1

    @property
    def n_out(self) -> int:
        """Dimension N_L of JJᵀ."""
        return self.widths[-1]

    @property
    def singular_values(self) -> np.ndarray:
        """Singular values of J, (samples, min(N_0, N_L)), descending; inf or 0 where a double cannot hold them."""
        with np.errstate(over="ignore", under="ignore"):
            return np.exp(self.log_singular_values)

    @property
    def log_eigenvalues(self) -> np.ndarray:
        """Natural logarithms of all N_L eigenvalues of JJᵀ, (samples, N_L), descending, −inf for zeros."""
        missing = self.n_out - self.log_singular_values.shape[1]
        return np.pad(2 * self.log_singular_values, ((0, 0), (0, missing)), constant_values=-np.inf)


def sample(
    net: Network, width: int | None = None, samples: int = 8, seed: int = 0, progress: Progress | None = None
) -> Ensemble:
    """Sample J = D_L W_L ⋯ D_1 W_1, D_l = diag φ'(h_l), of `samples` random networks and take its singular values.

    Every network has fresh weights and biases and a real forward pass, from a Gaussian input direction scaled so that
    the mean square of x_0 is exactly the input variance (for "fixed-point": (q* − σ_b²)/σ_w², so that q_1 = q*).

    Parameters
    ----------
    net : the network; its own widths are used where `width` is left out.
    width : the largest width. A square net gets it in every layer; in a rectangular net all widths, the input
        included, are scaled by width / max(widths) and rounded, so that the ratios stay.
    samples : number of networks.
    seed : non-negative; network i draws from child i of SeedSequence((seed, width)) and from nothing else, so one
        network does not depend on how many others are sampled, in which order, or at which other widths.
    progress : called with (networks done, networks in all) after every network.

    Returns
    -------
    Ensemble: natural logarithms of the singular values, (samples, min(N_0, N_L)), with q_l and χ_l of every network.

    Raises
    ------
    ValueError : impossible width, samples or seed, no width anywhere, or one network is more than memory holds.
    ConvergenceError : the forward pass left the range of doubles.

    Accuracy
    --------
    1e-8 relative on every nonzero singular value at any scale, the smallest of a deep Gaussian product included: the
    product is kept graded (`GradedProduct`) once its condition may pass 1e7 (tests/test_sampling.py, against mpmath).
    Exact zeros are counted (dead neurons, narrow layers), not guessed; only a Rademacher matrix of few neurons, where
    n² 2^{1−n} is not small, may be singular unnoticed and leave a value at rounding level instead.
    """
    samples = _count("samples", samples, 1)
    seed = _count("seed", seed, 0)
    refuse_beyond_memory(net, width, f"sample(width={width})")
    state = mean_field(net)
    specs: list[LayerSpec] = [run.spec for run in state.runs for _ in range(run.repeat)]
    widths = scaled_widths(net, width)
    for spec in specs:
        if spec.kind != "dense":
            raise NotImplementedError(f"`sample(...)`: cannot sample layers of kind {spec.kind!r} yet; use 'dense'.")

    stopped = Event()

    def one(stream: np.random.SeedSequence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        product, q, chi = GradedProduct(widths[0]), np.empty(len(specs)), np.empty(len(specs))
        layers = _layers(specs, widths, state.input_variance, np.random.default_rng(stream))
        for index, (weights, slopes, q[index], chi[index]) in enumerate(layers):
            if stopped.is_set():
                raise InterruptedError("`sample(...)`: stopped.")
            product.multiply(weights, slopes, orthogonal=specs[index].weights == "orthogonal")
        return product.log_singular_values(), q, chi

    results, streams = [], np.random.SeedSequence((seed, max(widths))).spawn(samples)
    for done, result in enumerate(_parallel(one, streams, stopped), start=1):
        results.append(result)
        if progress is not None:
            progress(done, samples)
    logs = np.full((samples, min(widths[0], widths[-1])), -np.inf)
    for row, (values, _, _) in zip(logs, results, strict=True):
        row[: values.size] = values
    return Ensemble(
        log_singular_values=logs,
        q=np.array([q for _, q, _ in results]),
        chi=np.array([chi for _, _, chi in results]),
        widths=widths,
        seed=seed,
        network=net,
    )


def companions(ensemble: Ensemble, *, progress: Progress | None = None) -> tuple[Ensemble, ...]:
    """Sample the same network at a half and a quarter of the width, four and sixteen times as many networks.

    What `crosscheck` needs to measure the finite-width bias. A layer costs width³, so the two cost ½ + ¼ of the
    ensemble itself. A width is left out where its narrowest layer would have fewer than four neurons. Where halving
    the narrowest layer does not come out even, the ratio is the nearest one for which it does.
    """
    if ensemble.network is None:
        return ()
    found, narrowest = [], min(ensemble.widths)
    for divisor in (2, 4):
        if narrowest // divisor >= 4:
            width = round(ensemble.width * round(narrowest / divisor) / narrowest)
            found.append(sample(ensemble.network, width, ensemble.samples * divisor**2, ensemble.seed, progress))
    return tuple(found)


def refuse_beyond_memory(net: Network, width: int | None, name: str) -> None:
    """Raise `ConfigError`, naming `name`, where one network of this width is more than the machine's memory holds."""
    memory = _physical_memory()
    if memory is None:
        return
    # The width by itself first: where it is no double, neither are the others.
    if (isinstance(width, int) and 8 * width > memory) or _least_bytes(scaled_widths(net, width)) > memory:
        size = "its own width" if width is None else f"width {width}"
        raise ConfigError(
            f"`{name}`: the matrices of one network of {size} are more than the {memory / 2**30:.3g} GiB of memory of "
            "this machine; choose a smaller width."
        )


def _least_bytes(widths: tuple[int, ...]) -> int:
    """Doubles alive at once in the largest layer: W, D W and the product of all layers so far."""
    return 8 * max(after * (2 * before + widths[0]) for before, after in pairwise(widths))


def _physical_memory() -> int | None:
    """Bytes of memory of this machine; None where the system does not tell."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    return memory if memory > 0 else None


def _parallel(task: Callable[[Any], Any], arguments: Sequence[Any], stopped: Event) -> Iterator[Any]:
    """Yield task(argument) in order, computed by one thread a core, each with single-threaded BLAS.

    `stopped` is set when nobody waits for results any more: at the end, after an error, after Ctrl-C.

    Matrices of a few hundred rows keep one core busy, not several: BLAS threads that wait for each other on a loaded
    machine cost a factor 50 (measured, width 150). One thread a product also makes its rounding reproducible.
    """
    import scipy.linalg.lapack  # noqa: F401  # brings its own BLAS, which the limit must find loaded
    from threadpoolctl import threadpool_limits

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pool = ThreadPoolExecutor(min(cores, len(arguments)))
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            yield from pool.map(task, arguments)
    finally:
        # Nothing is left to wait for, unless an error or Ctrl-C came: then what has not begun never will, and what
        # has is let go at its next layer.
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _count(name: str, value: Any, lowest: int) -> int:
    """Return `value` as an int of at least `lowest`; floats, booleans and strings are refused, not rounded."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ConfigError(f"`sample({name}={value!r})`: `{name}` must be an integer, not {type(value).__name__}.")
    if value < lowest:
        raise ConfigError(f"`sample({name}={value})`: `{name}` must be at least {lowest}.")
    return int(value)


def scaled_widths(net: Network, width: int | None) -> tuple[int, ...]:
    """N_0 … N_L with the largest set to `width` and the ratios kept; equal widths where the net states none."""
    if width is not None:
        width = _count("width", width, 1)
    stated = net.widths
    if stated is None:
        if width is None:
            raise ConfigError("`sample(width=None)`: the network states no width; give one, such as `width=500`.")
        stated = (width,) * (len(net.layers) + 1)
    each = [stated[0], *(n for n, spec in zip(stated[1:], net.layers, strict=True) for _ in range(spec.repeat))]
    largest = max(each)
    return tuple(each) if width is None else tuple(max(1, round(n * width / largest)) for n in each)


def _layers(
    specs: list[LayerSpec], widths: tuple[int, ...], input_variance: float, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray, float, float]]:
    """Run one forward pass; yield (W_l, φ'(h_l), mean h_l², σ_w² mean φ'(h_l)²) layer by layer."""
    x = rng.standard_normal(widths[0])
    x *= np.sqrt(input_variance / np.mean(x**2))
    # Where every φ is positively homogeneous (identity, ReLU and kin), φ(cx) = cφ(x), the state may be rescaled
    # freely: deep nets off criticality leave the range of doubles although J itself is harmless.
    homogeneous = all(_is_homogeneous(spec) for spec in specs)
    log_scale = 0.0
    for index, spec in enumerate(specs):
        sigma_w, sigma_b = float(spec.sigma_w), float(spec.sigma_b or 0.0)
        weights = random_weights(spec.weights, widths[index + 1], widths[index], sigma_w, rng)
        h = weights @ x
        if sigma_b:
            with np.errstate(over="ignore", under="ignore"):
                h += sigma_b * np.exp(-log_scale) * rng.standard_normal(h.size)
        slopes = spec.activation.derivative(h)
        x = spec.activation(h)
        if not (np.all(np.isfinite(x)) and np.all(np.isfinite(slopes))):
            raise ConvergenceError(f"`sample(...)`: the forward pass overflows at layer {index + 1}; lower `sigma_w`.")
        with np.errstate(over="ignore", under="ignore"):
            q = float(np.mean(h**2) * np.exp(2 * log_scale))
        yield weights, slopes, q, sigma_w**2 * float(np.mean(slopes**2))
        size = float(np.max(np.abs(x)))
        if homogeneous and size and not 1 / _RESCALE < size < _RESCALE:
            x, log_scale = x / size, log_scale + np.log(size)


def _is_homogeneous(spec: LayerSpec) -> bool:
    """φ(cx) = cφ(x) for c > 0: straight branches that meet at the origin, in the origin."""
    straight = all(branch.constant_slope is not None for branch in spec.activation.branches)
    return straight and set(spec.activation.kinks) <= {0.0} and float(spec.activation(np.zeros(1))[0]) == 0.0


def random_weights(kind: str, n_out: int, n_in: int, sigma_w: float, rng: np.random.Generator) -> np.ndarray:
    """Draw W, (n_out, n_in), with Var W_ij = σ_w²/n_in whatever the kind.

    Parameters
    ----------
    kind : "gaussian", "uniform" (on an interval), "rademacher" (two points), or "orthogonal": Haar where square,
        else semi-orthogonal, WWᵀ = σ_w² I for n_out ≤ n_in and WᵀW = σ_w² (n_out/n_in) I for n_out > n_in.
    n_out, n_in : the shape.
    sigma_w : standard deviation of an entry times √n_in.
    rng : the stream to draw from.

    Source
    ------
    Haar measure from QR with the signs of diag R divided out: Mezzadri, Notices AMS 54 (2007), 592–604, section 5.
    """
    scale = sigma_w / np.sqrt(n_in)
    if kind == "gaussian":
        return scale * rng.standard_normal((n_out, n_in))
    if kind == "uniform":
        return rng.uniform(-np.sqrt(3) * scale, np.sqrt(3) * scale, (n_out, n_in))
    if kind == "rademacher":
        return scale * (2.0 * rng.integers(0, 2, (n_out, n_in)) - 1.0)
    if kind == "orthogonal":
        tall, r = np.linalg.qr(rng.standard_normal((max(n_out, n_in), min(n_out, n_in))))
        tall *= scale * np.sqrt(max(n_out, n_in)) * np.where(np.diagonal(r) < 0, -1.0, 1.0)
        return tall if n_out >= n_in else np.ascontiguousarray(tall.T)
    raise ConfigError(f"`weights={kind!r}`: allowed are 'gaussian', 'orthogonal', 'uniform', 'rademacher'.")
