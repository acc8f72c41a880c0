"""Singular values of real finite-width Jacobians J = J_L ⋯ J_1, each from its own forward pass."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError
from .ensemble import Ensemble
from .forward import resolved_layers, together
from .gather import complete, known
from .memory import networks_in_memory, refuse_beyond_memory
from .one import OneNetwork, Options, Sampled
from .store import Store, described
from .widths import scaled_widths, whole_number

if TYPE_CHECKING:
    from ..network.config import LayerSpec, Network

Progress = Callable[[int, int], None]
_SINGLE = 1e10  # σ_w, or its inverse: states within 1e10 and slopes down to 1e-16 of the largest stay above 1e-38


def sample(
    net: Network,
    width: int | None = None,
    samples: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
    *,
    dtype: str = "float64",
    method: str = "auto",
    array_module: Any = None,
    device: Any = None,
    n_jobs: int | None = None,
    backend: Any = None,
    store: str | os.PathLike[str] | None = None,
) -> Ensemble:
    """Sample J = J_L ⋯ J_1 of `samples` random networks and take its singular values.

    J_l = D_l W_l, D_l = diag φ'(h_l), of a dense layer; β1 + αW_l D_l or β1 + αD_l W_l of a residual one. Layer and RMS
    norm add the derivative of their statistics. With batch norm a batch of independent inputs goes through: of large
    batches, 4 N examples, J is that of the first with the statistics held fixed; with `batch = B` J is of all outputs
    by all inputs, (N·B, N·B), the derivative of the statistics included, and so many singular values come back.

    Every network has fresh weights and biases and a real forward pass, from a Gaussian input direction scaled so that
    the mean square of x_0 is exactly the input variance (for "fixed-point": (q* − σ_b²)/σ_w², so that q_1 = q*).

    Parameters
    ----------
    net : the network; its own widths are used where `width` is left out.
    width : the largest width. A square net gets it in every layer; in a rectangular net all widths, the input
        included, are scaled by width / max(widths) and rounded, so that the ratios stay.
    samples : number of networks.
    seed : non-negative; network i draws from child i of SeedSequence((seed, width)) and from nothing else, so one
        network does not depend on how many others are sampled, in which order, by how many workers, or at which other
        widths.
    progress : called with (networks done, networks in all) after every network, and once before the first where
        `store` held some.
    dtype : "float64", or "float32": products and factorisations take half the time, drawing and the last step do not.
    method : "auto" keeps the product graded once its condition is estimated to pass 2e6; "graded" factors in any case;
        "plain" multiplies and takes the SVD, which loses what lies below 1e-16 (1e-7) of the largest.
    array_module : "torch", "cupy", … or a namespace of the array API standard, to multiply and factor there; numpy and
        LAPACK where left out. Random numbers, activations and the last N numbers stay with numpy, so that devices agree
        to rounding (which chaotic layers amplify: the network is then another one, of the same law).
    device : of that library, such as "cuda".
    n_jobs, backend : workers, as in joblib. Where left out, those of an enclosing `joblib.parallel_config` (a backend
        of Dask, Ray or Spark, say), else a thread a core, fewer where memory holds fewer networks, one with an
        `array_module`.
    store : directory to write every network to as it comes. Those already there are not sampled again, so a run that
        was killed goes on where it was, and one of more samples adds to it.

    Returns
    -------
    Ensemble: natural logarithms of the singular values, (samples, min(N_0, N_L)), with q_l and χ_l of every network.

    Raises
    ------
    ValueError : impossible width, samples, seed or option, no width anywhere, one network is more than memory holds,
        σ_w is beyond single precision, or `store` holds another network.
    ConvergenceError : the forward pass left the range of doubles.
    OSError : `store` cannot be written.

    Accuracy
    --------
    1e-8 relative on every nonzero singular value at any scale, the smallest of a deep Gaussian product included: the
    product is kept graded (`GradedProduct`) once its condition may be large (tests/test_sampling.py, against mpmath).
    In single precision 1e-5, and some 1e-3 on the smallest, 2e-2 after two hundred layers.
    Exact zeros are counted (dead neurons, slopes below all doubles, narrow layers), not guessed. Two matrices may be
    singular unnoticed, and leave a value at rounding level instead: a Rademacher matrix of few neurons, where
    n² 2^{1−n} is not small, and β 1 + αW with W orthogonal, det W = −1, and |β| = ασ_w. Memory: some ten matrices
    N × N, whatever the depth.
    """
    samples = whole_number("samples", samples, 1)
    seed = whole_number("seed", seed, 0)
    options = Options(dtype, method, array_module, device)
    factored = method != "plain" and array_module is None
    refuse_beyond_memory(net, width, f"sample(width={width})", dtype=dtype, factored=factored)
    specs, input_variance = resolved_layers(net)
    _refuse_beyond_single(specs, dtype)
    widths = scaled_widths(net, width)

    copies = together(specs, max(widths))
    kept = None
    if store is not None:
        key = described(net, specs, seed=seed, dtype=dtype, method=method)
        kept = Store(store, key, max(widths), tuple(field.name for field in fields(Sampled)))
    results = known(kept, Sampled, samples, progress)
    streams = np.random.SeedSequence((seed, max(widths))).spawn(samples)
    if len(results) < samples:
        one = OneNetwork(specs, widths, input_variance, options)
        # A device, and what another library does on this machine, is busy with one network at a time.
        sizes = tuple(n * copies for n in widths)
        most = networks_in_memory(sizes, dtype) if array_module is None else 1
        complete(results, one, streams, kept, progress, n_jobs=n_jobs, backend=backend, most=most)
    logs = np.full((samples, min(widths[0], widths[-1]) * copies), -np.inf)
    for index, row in enumerate(logs):
        values = results[index].log_singular_values
        row[: values.size] = values
    return Ensemble(
        log_singular_values=logs,
        q=np.array([results[index].q for index in range(samples)]),
        chi=np.array([results[index].chi for index in range(samples)]),
        widths=widths,
        seed=seed,
        network=net,
        examples=copies,
    )


def _refuse_beyond_single(specs: list[LayerSpec], dtype: str) -> None:
    """Raise `ConfigError` where weights, times what they meet, leave the range of single precision."""
    for spec in specs:
        sigma_w = float(spec.sigma_w)
        if dtype == "float32" and not 1 / _SINGLE <= sigma_w <= _SINGLE:
            raise ConfigError(
                f"`sample(dtype='float32')`: holds layers of `sigma_w` from {1 / _SINGLE:.0e} to {_SINGLE:.0e}, not "
                f"{sigma_w:.3g}; use dtype='float64'."
            )


def companions(ensemble: Ensemble, *, progress: Progress | None = None, **options: Any) -> tuple[Ensemble, ...]:
    """Sample the same network at a half and a quarter of the width, four and sixteen times as many networks.

    What `crosscheck` needs to measure the finite-width bias. A layer costs width³, so the two cost ½ + ¼ of the
    ensemble itself. A width is left out where its narrowest layer would have fewer than four neurons. Where halving
    the narrowest layer does not come out even, the ratio is the nearest one for which it does. `options` go to
    `sample`.
    """
    if ensemble.network is None:
        return ()
    found, narrowest = [], min(ensemble.widths)
    for divisor in (2, 4):
        if narrowest // divisor >= 4:
            width = round(ensemble.width * round(narrowest / divisor) / narrowest)
            many = ensemble.samples * divisor**2
            found.append(sample(ensemble.network, width, many, ensemble.seed, progress, **options))
    return tuple(found)
