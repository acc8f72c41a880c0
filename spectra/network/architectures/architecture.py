"""What a kind of layer says of itself: which keys it takes, what it does to x, its Jacobian, its mean field."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

    from ...quadrature import Array
    from ..config import LayerSpec
    from ..gaussian import Moments
    from ..resolve import ResolvedRun, Start


class Signal(NamedTuple):
    """The law of one neuron of x between two layers, as far as a layer needs it.

    Parameters
    ----------
    second : r = E x².
    mean_of : gives μ = E x; most layers do not ask.
    gaussian : whether x is a centred normal variable.
    """

    second: float
    mean_of: Callable[[], float] = float
    gaussian: bool = False

    @property
    def mean(self) -> float:
        """μ = E x."""
        return self.mean_of()


class Level(NamedTuple):
    """Consecutive layers of a run with one law of the pre-activations.

    Parameters
    ----------
    q, moments : variance of h, and the activation's moments there.
    repeat : number of layers.
    entering : x before the first of them.
    """

    q: float
    moments: Moments
    repeat: int
    entering: Signal


class Taken(NamedTuple):
    """What W multiplies, and its derivative by x neuron by neuron; None for 1."""

    value: np.ndarray
    slopes: np.ndarray | None


class Passed(NamedTuple):
    """x after a layer, the pre-activations h, and the derivative of x by the product of W neuron by neuron."""

    value: np.ndarray
    h: np.ndarray
    slopes: np.ndarray


class Architecture(Protocol):
    """A kind of layer, x → skip · x + f(W g(x) + b): its Jacobian is skip · 1 + diag(f') W diag(g').

    Attributes
    ----------
    keys : keys of its own in a configuration.
    noun : what a layer is called.
    keeps_width : N_l = N_{l−1}.
    settles : h depends on the layer before through its variance alone, so that a net may sit at a fixed point.
    is_product : the Jacobian is D W.
    """

    keys: tuple[str, ...]
    noun: str
    keeps_width: bool
    settles: bool
    is_product: bool

    def options(self, table: Mapping[str, Any], path: str, count: int) -> dict[str, Any]:
        """Fields of a `LayerSpec` from the keys of its own in a complete table; `count` layers of this kind in all.

        Raises
        ------
        ConfigError : one is missing; the message begins with `path`.
        """
        ...

    def details(self, spec: LayerSpec) -> str:
        """Its own keys in words, to end a list with."""
        ...

    def skip(self, spec: LayerSpec) -> float:
        """Factor of x itself in what leaves the layer."""
        ...

    def gain(self, spec: LayerSpec) -> float:
        """Fan-in times the variance of an entry of W, with what f multiplies it by beside φ'."""
        ...

    def reads_state(self, spec: LayerSpec) -> bool:
        """Whether φ is applied to x itself, g = φ, or else to W x + b, f = φ but for a factor."""
        ...

    def take(self, spec: LayerSpec, x: np.ndarray) -> Taken:
        """What W is to multiply: g(x), g'(x)."""
        ...

    def give(self, spec: LayerSpec, x: np.ndarray, image: np.ndarray) -> Passed:
        """The layer's output for W g(x) + b = `image`, with h and f'."""
        ...

    def chi(self, run: ResolvedRun, q: float | None, moments: Moments) -> float:
        """Mean square of the layer Jacobian, (1/N) E tr J_l J_lᵀ for equal widths."""
        ...

    def levels(self, run: ResolvedRun, entering: Signal, begin: Start) -> Iterator[Level]:
        """Mean field through a run of layers."""
        ...

    def variances(self, spec: LayerSpec, q: float, steps: ArrayLike) -> Array:
        """Variance of h, `steps` layers after q in a level."""
        ...

    def leaving(self, spec: LayerSpec, level: Level) -> Signal:
        """The x after the last layer of the level."""
        ...
