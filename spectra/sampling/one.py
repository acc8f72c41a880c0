"""One sampled network: its forward pass, the product of its layers, the singular values."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError
from ..threads import single_threaded_blas
from .arrays import HostArrays
from .forward import forward_pass, together
from .graded import GradedProduct, checked_method
from .heap import give_back_freed_memory
from .layer import put_layer
from .standard import StandardArrays

if TYPE_CHECKING:
    from ..network.config import LayerSpec
    from .arrays import Arrays

DTYPES = {"float64": np.float64, "float32": np.float32}


@dataclass(frozen=True)
class Sampled:
    """What one network gave: logarithms of the singular values not known to vanish, descending; q_l and χ_l."""

    log_singular_values: np.ndarray
    q: np.ndarray
    chi: np.ndarray


@dataclass(frozen=True)
class Options:
    """How matrices are multiplied.

    Parameters
    ----------
    dtype : "float64" or "float32".
    method : see `GradedProduct`.
    array_module, device : see `StandardArrays`; numpy where left out.

    Raises
    ------
    ConfigError : none of those allowed, or no such library or device.
    """

    dtype: str = "float64"
    method: str = "auto"
    array_module: Any = None
    device: Any = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ConfigError(f"`sample(dtype={self.dtype!r})`: allowed are 'float64', 'float32'.")
        checked_method(self.method)
        if self.array_module is None and self.device is not None:
            raise ConfigError(f"`sample(device={self.device!r})`: needs an `array_module`, such as 'torch'.")
        self.arrays()

    def arrays(self) -> Arrays:
        """The arrays to compute with."""
        dtype = DTYPES[self.dtype]
        return HostArrays(dtype) if self.array_module is None else StandardArrays(self.array_module, self.device, dtype)


@dataclass(frozen=True)
class OneNetwork:
    """The task of sampling one network, from its stream; it may be sent to another process.

    Parameters
    ----------
    specs, widths, input_variance : see `forward_pass`.
    options : how.
    stopped : checked at every layer; another process has one of its own.
    """

    specs: list[LayerSpec]
    widths: tuple[int, ...]
    input_variance: float
    options: Options
    stopped: Event = field(default_factory=Event, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "stopped"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, stopped=Event())

    def __call__(self, stream: np.random.SeedSequence) -> Sampled:
        """Sample the network of this stream."""
        try:
            return self._sampled(stream)
        finally:
            give_back_freed_memory()

    def _sampled(self, stream: np.random.SeedSequence) -> Sampled:
        depth, arrays = len(self.specs), self.options.arrays()
        copies = together(self.specs, max(self.widths))
        product = GradedProduct(self.widths[0] * copies, method=self.options.method, arrays=arrays)
        q, chi = np.empty(depth), np.empty(depth)
        with single_threaded_blas():
            layers = forward_pass(self.specs, self.widths, self.input_variance, np.random.default_rng(stream), arrays)
            for index, layer in enumerate(layers):
                if self.stopped.is_set():
                    raise InterruptedError("`sample(...)`: stopped.")
                q[index], chi[index] = layer.q, layer.chi
                haar = self.specs[index].weights == "orthogonal"
                put_layer(product, layer, arrays, orthogonal=haar, examples=copies)
            return Sampled(product.log_singular_values(), q, chi)
