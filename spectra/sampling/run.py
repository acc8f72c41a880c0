"""Singular values of real finite-width Jacobians J = D_L W_L ⋯ D_1 W_1, each from its own forward pass."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING

import numpy as np

from ..network.meanfield import mean_field
from .ensemble import Ensemble
from .forward import forward_pass
from .graded import GradedProduct
from .memory import refuse_beyond_memory
from .parallel import parallel
from .widths import scaled_widths, whole_number

if TYPE_CHECKING:
    from ..network.config import LayerSpec, Network

Progress = Callable[[int, int], None]


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
    samples = whole_number("samples", samples, 1)
    seed = whole_number("seed", seed, 0)
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
        layers = forward_pass(specs, widths, state.input_variance, np.random.default_rng(stream))
        for index, (weights, slopes, q[index], chi[index]) in enumerate(layers):
            if stopped.is_set():
                raise InterruptedError("`sample(...)`: stopped.")
            product.multiply(weights, slopes, orthogonal=specs[index].weights == "orthogonal")
        return product.log_singular_values(), q, chi

    results, streams = [], np.random.SeedSequence((seed, max(widths))).spawn(samples)
    for done, result in enumerate(parallel(one, streams, stopped), start=1):
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
