"""One Jacobian by its products: Lanczos runs from random signs, and what is kept of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import SeedSequence
from scipy.sparse.linalg import LinearOperator

from ...errors import ConfigError
from ...threads import single_threaded_blas
from ..widths import whole_number
from .jacobian import LiveRows, layer_product
from .lanczos import lanczos
from .top import largest_eigenvalue
from .weights import child, random_signs

if TYPE_CHECKING:
    from ...network.config import LayerSpec


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


@dataclass(frozen=True)
class Found:
    """What one Jacobian gave, of `probes` runs of `steps` steps; see `Estimate`, whose rows these are.

    `top` is log λ_max and the bound on its relative error; `products` a number.
    """

    log_moments: np.ndarray
    log_nodes: np.ndarray
    weights: np.ndarray
    converged: np.ndarray
    top: np.ndarray
    products: np.ndarray
    q: np.ndarray
    chi: np.ndarray


@dataclass(frozen=True)
class OneEstimate:
    """The task of estimating one network, from its stream; it may be sent to another process.

    Parameters
    ----------
    specs, widths, input_variance : see `spectra.sampling.forward.forward_pass`.
    effort : how.
    memory : bytes of weights that are kept.
    stopped : asked at every product; another process has one of its own.
    """

    specs: list[LayerSpec]
    widths: tuple[int, ...]
    input_variance: float
    effort: Effort
    memory: float
    stopped: Event = field(default_factory=Event, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "stopped"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, stopped=Event())

    def __call__(self, stream: SeedSequence) -> Found:
        """Estimate the network of this stream."""
        options = {"memory": self.memory, "interrupted": self.stopped.is_set}
        with single_threaded_blas():
            product = layer_product(self.specs, self.widths, self.input_variance, stream, **options)
            rng = np.random.default_rng(child(stream, len(self.specs) + 1))
            operator = LiveRows(product) if product.live.size else product
            return found(
                operator,
                rng,
                self.effort,
                self.stopped,
                log_scale=product.log_scale,
                n_eigenvalues=self.widths[-1],
                q=product.q,
                chi=product.chi,
            )


def found(
    operator: LinearOperator,
    rng: np.random.Generator,
    effort: Effort,
    stopped: Event,
    *,
    log_scale: float = 0.0,
    n_eigenvalues: int | None = None,
    products: int = 0,
    q: np.ndarray | None = None,
    chi: np.ndarray | None = None,
) -> Found:
    """Estimates of e^{log_scale} times the operator, with rows of zeros up to `n_eigenvalues` where that is given."""
    n_out, n_in = operator.shape
    wide = n_out <= n_in

    def gram(x: np.ndarray) -> np.ndarray:
        nonlocal products
        if stopped.is_set():
            raise InterruptedError("`sample(...)`: stopped.")
        products += 2 * x.shape[1]
        there = operator.rmatmat(x) if wide else operator.matmat(x)
        return np.asarray(operator.matmat(there) if wide else operator.rmatmat(there), dtype=float)

    n = min(n_out, n_in)
    krylov = lanczos(gram, random_signs(rng, (n, effort.probes)), effort.steps)
    nodes, weights, converged = krylov.gauss_rule()
    top = largest_eigenvalue(gram, krylov, effort.tolerance)
    weights = weights * (n / (n_eigenvalues or n_out))
    with np.errstate(divide="ignore"):
        log_nodes = np.log(nodes) + 2.0 * log_scale
        log_top = np.log(top.value) + 2.0 * log_scale
        largest = np.maximum(log_nodes[:, -1:], -1e300)
        log_moments = np.stack(
            [
                np.log(np.sum(weights * np.exp(k * (log_nodes - largest)), axis=1)) + k * largest[:, 0]
                for k in range(1, effort.orders + 1)
            ],
            axis=1,
        )
    none = np.empty(0)
    return Found(
        log_moments=log_moments,
        log_nodes=log_nodes,
        weights=weights,
        converged=converged,
        top=np.array([log_top, top.bound]),
        products=np.array(products),
        q=none if q is None else q,
        chi=none if chi is None else chi,
    )
