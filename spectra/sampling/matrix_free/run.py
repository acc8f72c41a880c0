"""Estimates from products with J and Jᵀ alone: one block of Lanczos runs gives moments, distribution and λ_max."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import SeedSequence

from ...errors import ConfigError
from ..forward import resolved_layers
from ..gather import complete, known
from ..run import Progress
from ..store import Store, described
from ..widths import scaled_widths, whole_number
from .cost import MEMORY, at_once, refuse_bases_beyond_memory
from .estimate import Estimate
from .jacobian import layer_product
from .one import Effort, Found, OneEstimate, found
from .operators import usable_operator

if TYPE_CHECKING:
    from ...network.config import Network

TOLERANCE = 1e-6
_FAMILY = 1  # apart from the streams of `spectra.sampling.sample`


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
    memory: float = MEMORY,
    progress: Progress | None = None,
    n_jobs: int | None = None,
    backend: Any = None,
    store: str | os.PathLike[str] | None = None,
) -> Estimate:
    """Estimate m_k, λ_max, density and distribution function of JJᵀ for `samples` networks, without their matrices.

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
    progress : called with (networks done, networks in all) after every network, and once before the first where
        `store` held some.
    n_jobs, backend : workers, as `spectra.sample` takes them; where left out, as many threads as memory has room for.
    store : directory to write every network to as it comes; those already there are not estimated again.

    Returns
    -------
    Estimate.

    Raises
    ------
    ValueError : impossible width, samples, seed or effort; the Krylov bases are more than memory holds; or `store`
        holds others.
    OSError : `store` cannot be written.
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
    kept = None
    if store is not None:
        how = {"probes": probes, "steps": steps, "orders": orders, "tolerance": tolerance}
        key = described(net, specs, seed=seed, dtype="float64", method="matrix-free", **how)
        kept = Store(store, key, max(widths), tuple(each.name for each in fields(Found)))
    results = known(kept, Found, samples, progress)
    if len(results) < samples:
        most = at_once(widths, probes, steps, samples - len(results))
        one = OneEstimate(specs, widths, input_variance, effort, memory / most)
        streams = _streams(seed, widths, samples)
        complete(results, one, streams, kept, progress, n_jobs=n_jobs, backend=backend, most=most)
    return _gathered([results[index] for index in range(samples)], widths, seed, net)


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
    runs: list[Found] = []
    shape: tuple[int, int] | None = None
    for done, (each, stream) in enumerate(zip(given, SeedSequence((seed,)).spawn(len(given)), strict=True), start=1):
        rng = np.random.default_rng(stream)
        usable = usable_operator(each, rng)
        if shape is not None and usable.shape != shape:
            raise ConfigError(f"`estimate`: operators of different shapes, {shape} and {usable.shape}.")
        shape = usable.shape
        runs.append(found(usable, rng, effort, Event(), products=2))
        if progress is not None:
            progress(done, len(given))
    assert shape is not None
    return _gathered(runs, (shape[1], shape[0]), seed, None)


def _gathered(runs: list[Found], widths: tuple[int, ...], seed: int, net: Network | None) -> Estimate:
    # Few living neurons end a run early: nodes at 0 without weight make up for it.
    steps = max(run.log_nodes.shape[1] for run in runs)

    def padded(name: str, value: Any) -> np.ndarray:
        arrays = (getattr(run, name) for run in runs)
        return np.array(
            [np.pad(array, ((0, 0), (steps - array.shape[1], 0)), constant_values=value) for array in arrays]
        )

    log_top, top_bound = np.array([run.top for run in runs]).T
    return Estimate(
        log_probe_moments=np.array([run.log_moments for run in runs]),
        log_nodes=padded("log_nodes", -np.inf),
        weights=padded("weights", 0.0),
        converged=padded("converged", True),
        log_top=log_top,
        top_bound=top_bound,
        products=int(sum(run.products for run in runs)),
        q=np.array([run.q for run in runs]),
        chi=np.array([run.chi for run in runs]),
        widths=widths,
        seed=seed,
        network=net,
    )


def _streams(seed: int, widths: tuple[int, ...], count: int) -> list[SeedSequence]:
    return SeedSequence((seed, max(widths), _FAMILY)).spawn(count)
