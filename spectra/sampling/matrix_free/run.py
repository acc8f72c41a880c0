"""Estimates from products with J and Jᵀ alone: one block of Lanczos runs gives moments, distribution and λ_max."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import SeedSequence
from scipy.sparse.linalg import LinearOperator

from ...errors import ConfigError
from ..forward import resolved_layers
from ..memory import physical_memory
from ..parallel import parallel
from ..run import Progress
from ..widths import scaled_widths, whole_number
from .estimate import Estimate
from .jacobian import LayerProduct, LiveRows, layer_product
from .lanczos import lanczos
from .operators import usable_operator
from .top import largest_eigenvalue
from .weights import child, random_signs

if TYPE_CHECKING:
    from ...network.config import Network

TOLERANCE = 1e-6
_FAMILY = 1  # apart from the streams of `spectra.sampling.sample`
_MEMORY = 2.0**28  # bytes of weights kept by default


@dataclass(frozen=True)
class Effort:
    """Validated: random vectors per Jacobian, Lanczos steps, number of moments, relative accuracy of λ_max."""

    probes: int
    steps: int
    orders: int
    tolerance: float

    def __post_init__(self) -> None:
        for name, lowest in (("probes", 1), ("steps", 2), ("orders", 1)):
            whole_number(name, getattr(self, name), lowest)
        if self.orders > 2 * self.steps - 1:
            raise ConfigError(
                f"`sample(orders={self.orders})`: {self.steps} steps give {2 * self.steps - 1} moments; raise `steps`."
            )
        if not 1e-12 <= self.tolerance < 1:
            raise ConfigError(f"`sample(tolerance={self.tolerance!r})`: must be from 1e-12 to 1.")


def sample(
    net: Network,
    width: int | None = None,
    samples: int = 8,
    seed: int = 0,
    *,
    probes: int = 16,
    steps: int = 32,
    orders: int = 4,
    tolerance: float = TOLERANCE,
    memory: float = _MEMORY,
    progress: Progress | None = None,
) -> Estimate:
    """Estimate m_k, λ_max and the distribution function of JJᵀ for `samples` networks, without their matrices.

    For every network the slopes φ'(h_l) of a real forward pass are kept, O(L N), and weights drawn again for each
    product. G = JJᵀ (or JᵀJ, where that is smaller) has as its trace the mean of zᵀ G^k z over random signs z, and
    `steps` Lanczos steps from z give a Gauss rule, exact for k < 2 · steps, and with it the distribution function.

    Parameters
    ----------
    net, width, samples, seed : as `spectra.sample` takes them; network i draws from child i of
        SeedSequence((seed, width, 1)), other matrices than those of `spectra.sample`.
    probes : random vectors per network. The scatter of m_k between them is √(2 m_2k/N)/m_k at most.
    steps : Lanczos steps, each a product with J and one with Jᵀ. The distribution function is known at as many places.
    orders : number of moments.
    tolerance : relative accuracy of λ_max; more products are made where it is not reached.
    memory : bytes of weights that are kept; what does not fit is drawn again for every product. Results are the same.
    progress : called with (networks done, networks in all) after every network.

    Returns
    -------
    Estimate.

    Raises
    ------
    ValueError : impossible width, samples, seed or effort; the Krylov bases are more than memory holds.
    ConvergenceError : the forward pass left the range of doubles, or λ_max did not settle.

    Notes
    -----
    *Cost.* A product with `probes` columns draws Σ N_l N_{l−1} entries (half as many for orthogonal weights), some 8 ns
    each for Gaussian ones, and makes 2 · probes flops with each (4 for orthogonal ones). Memory is
    8 · probes · (steps + 1) · N bytes for the bases, O(L N) for the slopes, and 1 MiB for the weights in hand
    (benchmarks/matrix_free.py: time and memory beside `spectra.sample`).

    Source
    ------
    Ubaru, Chen, Saad, SIAM J. Matrix Anal. Appl. 38 (2017), 1075–1099; Lin, Saad, Yang, SIAM Rev. 58 (2016), 34–65.
    Hutchinson, Comm. Statist. Simulation 18 (1989), 1059–1076.
    """
    samples, seed = whole_number("samples", samples, 1), whole_number("seed", seed, 0)
    effort = Effort(probes, steps, orders, tolerance)
    refuse_bases_beyond_memory(net, width, probes, steps)
    widths = scaled_widths(net, width)
    specs, input_variance = resolved_layers(net)
    stopped = Event()

    def one(stream: SeedSequence) -> tuple[_Run, LayerProduct]:
        options = {"memory": memory / min(samples, 2), "interrupted": stopped.is_set}
        product = layer_product(specs, widths, input_variance, stream, **options)
        rng = np.random.default_rng(child(stream, len(specs) + 1))
        operator = LiveRows(product) if product.live.size else product
        return _Run(operator, product.log_scale, rng, effort, stopped, n_eigenvalues=widths[-1]), product

    # Operators stay in this process: threads, whatever else is configured.
    found: dict[int, tuple[_Run, LayerProduct]] = {}
    for place, result in parallel(one, _streams(seed, widths, samples), stopped, backend="threading"):
        found[place] = result
        if progress is not None:
            progress(len(found), samples)
    ordered = [found[place] for place in range(samples)]
    q, chi = (np.array([getattr(product, name) for _, product in ordered]) for name in ("q", "chi"))
    return _gathered([run for run, _ in ordered], q, chi, widths, seed, net)


def jacobian(net: Network, width: int | None = None, index: int = 0, seed: int = 0, *, memory: float = 0.0) -> Any:
    """J of network `index` of `sample(net, width, …, seed)`, as scipy's `LinearOperator` (N_L, N_0)."""
    widths, (specs, input_variance) = scaled_widths(net, width), resolved_layers(net)
    stream = _streams(seed, widths, index + 1)[index]
    product = layer_product(specs, widths, input_variance, stream, memory=memory)
    return float(np.exp(product.log_scale)) * product


def estimate(
    operator: Any,
    *,
    seed: int = 0,
    probes: int = 16,
    steps: int = 32,
    orders: int = 4,
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> Estimate:
    """Estimate m_k, λ_max and the distribution function of JJᵀ for a Jacobian that is given by its products.

    Parameters
    ----------
    operator : scipy's `LinearOperator`, a matrix, or any object with `shape`, `matmat` and `rmatmat`: such as jvp and
        vjp of a trained network; or a list of them, all of one shape, as many samples of one law.
    seed, probes, steps, orders, tolerance, progress : as in `sample`. Products in single precision give λ_max no better
        than they are: `tolerance` must allow for it.

    Raises
    ------
    ConfigError : no such operator, different shapes, or two products that are not each other's transposed.
    ConvergenceError : λ_max did not settle.
    """
    seed, effort = whole_number("seed", seed, 0), Effort(probes, steps, orders, tolerance)
    given: Sequence[Any] = operator if isinstance(operator, list) and operator else [operator]
    runs: list[_Run] = []
    shape: tuple[int, int] | None = None
    for done, (each, stream) in enumerate(zip(given, SeedSequence((seed,)).spawn(len(given)), strict=True), start=1):
        rng = np.random.default_rng(stream)
        found = usable_operator(each, rng)
        if shape is not None and found.shape != shape:
            raise ConfigError(f"`estimate`: operators of different shapes, {shape} and {found.shape}.")
        shape = found.shape
        runs.append(_Run(found, 0.0, rng, effort, Event(), products=2))
        if progress is not None:
            progress(done, len(given))
    assert shape is not None
    none = np.empty((len(runs), 0))
    return _gathered(runs, none, none, (shape[1], shape[0]), seed, None)


class _Run:
    """One Jacobian: e^{log_scale} times the operator, and rows of zeros up to `n_eigenvalues` where that is given."""

    def __init__(
        self,
        operator: LinearOperator,
        log_scale: float,
        rng: np.random.Generator,
        effort: Effort,
        stopped: Event,
        *,
        n_eigenvalues: int | None = None,
        products: int = 0,
    ) -> None:
        self.products = products
        n_out, n_in = operator.shape
        wide = n_out <= n_in

        def gram(x: np.ndarray) -> np.ndarray:
            if stopped.is_set():
                raise InterruptedError("`sample(...)`: stopped.")
            self.products += 2 * x.shape[1]
            there = operator.rmatmat(x) if wide else operator.matmat(x)
            return np.asarray(operator.matmat(there) if wide else operator.rmatmat(there), dtype=float)

        n = min(n_out, n_in)
        krylov = lanczos(gram, random_signs(rng, (n, effort.probes)), effort.steps)
        nodes, weights, self.converged = krylov.gauss_rule()
        top = largest_eigenvalue(gram, krylov, effort.tolerance)
        with np.errstate(divide="ignore"):
            self.log_nodes = np.log(nodes) + 2.0 * log_scale
            self.log_top = float(np.log(top.value)) + 2.0 * log_scale
        self.top_bound, self.weights = top.bound, weights * (n / (n_eigenvalues or n_out))
        largest = np.maximum(self.log_nodes[:, -1:], -1e300)
        with np.errstate(divide="ignore"):
            self.log_moments = np.stack(
                [
                    np.log(np.sum(self.weights * np.exp(k * (self.log_nodes - largest)), axis=1)) + k * largest[:, 0]
                    for k in range(1, effort.orders + 1)
                ],
                axis=1,
            )


def _gathered(
    runs: list[_Run], q: np.ndarray, chi: np.ndarray, widths: tuple[int, ...], seed: int, net: Network | None
) -> Estimate:
    # Few living neurons end a run early: nodes at 0 without weight make up for it.
    steps = max(run.log_nodes.shape[1] for run in runs)
    for run in runs:
        missing = ((0, 0), (steps - run.log_nodes.shape[1], 0))
        run.log_nodes = np.pad(run.log_nodes, missing, constant_values=-np.inf)
        run.weights = np.pad(run.weights, missing)
        run.converged = np.pad(run.converged, missing, constant_values=True)
    return Estimate(
        log_probe_moments=np.array([run.log_moments for run in runs]),
        log_nodes=np.array([run.log_nodes for run in runs]),
        weights=np.array([run.weights for run in runs]),
        converged=np.array([run.converged for run in runs]),
        log_top=np.array([run.log_top for run in runs]),
        top_bound=np.array([run.top_bound for run in runs]),
        products=sum(run.products for run in runs),
        q=q,
        chi=chi,
        widths=widths,
        seed=seed,
        network=net,
    )


def _streams(seed: int, widths: tuple[int, ...], count: int) -> list[SeedSequence]:
    return SeedSequence((seed, max(widths), _FAMILY)).spawn(count)


def refuse_bases_beyond_memory(net: Network, width: int | None, probes: int, steps: int) -> None:
    """Raise `ConfigError` where the Krylov bases of one network, and its slopes, are more than the machine's memory."""
    memory = physical_memory()
    if memory is None:
        return
    # The width by itself first: where it is no double, neither are the others.
    needed = 8 * width if isinstance(width, int) else 0
    if needed <= memory:
        widths = scaled_widths(net, width)
        n = min(widths[0], widths[-1])
        needed = 8 * (probes * (min(steps, n) + 3) * n + sum(widths) + probes * max(widths))
    if needed > memory:
        size = "its own width" if width is None else f"width {width}"
        raise ConfigError(
            f"`width`: what {probes} probes and {steps} steps need at {size} is more than the {memory / 2**30:.3g} "
            "GiB of memory of this machine; choose fewer of them, or a smaller width."
        )
