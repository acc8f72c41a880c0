"""What a kind of layer says of itself: which keys it takes, what it does to x, its Jacobian, its mean field."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

    from ...quadrature import Array
    from ..config import LayerSpec
    from ..drift import Values
    from ..gaussian import Moments
    from ..resolve import ResolvedRun, Start
    from .thinned import Beside


class Signal(NamedTuple):
    """The law of one neuron of x between two layers, as far as a layer needs it.

    Parameters
    ----------
    second : r = E x².
    mean_of : gives μ = E x; most layers do not ask.
    gaussian : whether x is a centred normal variable.
    shared_of : gives E x_i x_j for two examples of a batch of independent inputs; None where it is not followed.
    values : places and masses of a quadrature for x, where its law is followed and is no normal one.
    """

    second: float
    mean_of: Callable[[], float] = float
    gaussian: bool = False
    shared_of: Callable[[], float] | None = None
    values: Values | None = None

    @property
    def mean(self) -> float:
        """μ = E x."""
        return self.mean_of()


class Level(NamedTuple):
    """Consecutive layers of a run with one law of the pre-activations.

    Parameters
    ----------
    q, moments : variance of what φ is applied to, and the activation's moments there.
    repeat : number of layers.
    entering : x before the first of them.
    """

    q: float
    moments: Moments
    repeat: int
    entering: Signal


class Drift(NamedTuple):
    """h = βx and normal noise.

    Parameters
    ----------
    noise : its variance.
    start : variance of βx where that is normal and independent of the layers before; 0 where x is φ of the h before.
    """

    noise: float
    start: float


class Back(NamedTuple):
    """Mean squares on the way back through consecutive layers, g = ∂C/∂x_l of mean square 1 behind each of them.

    Parameters
    ----------
    entering : E x² of what enters, (repeat,).
    passed : E (∂C/∂x_{l−1})² for equal widths, (repeat,).
    given : E (∂C/∂y)² of y = W g(x) + b of every matrix W of weights, (repeat, n); that of the biases' gradient.
    fed : mean square of what W multiplies, (repeat, n).
    profile : E g² before the first of them for every value of x (`Signal.values`), relative to its mean; None where it
        is the same for all, or no layer before asks.
    """

    entering: Array
    passed: Array
    given: Array
    fed: Array
    profile: Array | None = None


class Norms(NamedTuple):
    """Largest singular value of a layer ≤ outside (skip + branch), least one ≥ least (skip − branch).

    Parameters
    ----------
    outside, least : largest and least slope after the sum, 1 where there is none; 0 where no least one is known.
    skip, branch : |factor of x itself|, and norm of all beside it.
    """

    outside: float
    least: float
    skip: float
    branch: float


class Taken(NamedTuple):
    """What W multiplies, and its derivative by x, None for 1; of a batch a diagonal may be (N, B) or the first's."""

    value: np.ndarray
    slopes: Beside | None


class Passed(NamedTuple):
    """x after a layer whose Jacobian is outer · (skip · 1 + slopes · W · the derivative that was taken).

    Parameters
    ----------
    value : x.
    h : what φ was applied to.
    slopes : derivative by the product of W.
    outer : derivative of x by the sum; None for 1.
    """

    value: np.ndarray
    h: np.ndarray
    slopes: Beside
    outer: Beside | None = None


class Architecture(Protocol):
    """A kind of layer, x → skip · x + f(W g(x) + b): its Jacobian is skip · 1 + diag(f') W diag(g').

    Signals have shape (N,), or (N, B) where a batch goes through together. Jacobians are those of its first example, or
    of all by all, neuron by neuron, (N·B, N·B), where a layer asks for that.

    Attributes
    ----------
    keys : keys of its own in a configuration.
    noun : what a layer is called.
    keeps_width : N_l = N_{l−1}.
    settles : h depends on the layer before through its variance alone, so that a net may sit at a fixed point.
    rests : the layers may be told to sit at a fixed point, by `input_variance`.
    is_product : the Jacobian is D W, and nothing else.
    is_free : the law of many is a free product of those of D² and W Wᵀ.
    keeps_scale : c x leads to c times what x leads to, where φ does the same.
    multiplies : m_1 of many layers is the product of their χ: slopes of a layer say nothing of what gradients are.
    carries_signal : how a layer takes the direction of its own signal to the next is known (`spectra.outliers`).
    """

    keys: tuple[str, ...]
    noun: str
    keeps_width: bool
    settles: bool
    rests: bool
    is_product: bool
    is_free: bool
    keeps_scale: bool
    multiplies: bool
    carries_signal: bool

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

    def notes(self, spec: LayerSpec) -> tuple[str, ...]:
        """What a prediction is to say of such layers: by which theory, of which Jacobian."""
        ...

    def lacks(self, spec: LayerSpec) -> str:
        """Why there is no law of such layers, in a sentence without its full stop; nothing where there is one."""
        ...

    def skip(self, spec: LayerSpec, level: Level | None = None) -> float:
        """Factor of x itself in what leaves the layer; without a level in what is summed there."""
        ...

    def scale(self, spec: LayerSpec, level: Level | None = None) -> float:
        """Factor of the branch W g(x) + b, or φ of it, beside φ; without a level in what is summed there."""
        ...

    def gain(self, spec: LayerSpec, level: Level) -> float:
        """Fan-in times the variance of an entry of W, with what f multiplies it by beside φ'."""
        ...

    def reads_state(self, spec: LayerSpec) -> bool:
        """Whether φ is applied to x itself, g = φ, or else to W x + b, f = φ but for a factor."""
        ...

    def adds_means(self, spec: LayerSpec, level: Level) -> bool:
        """Whether means of x add up from layer to layer, so that one eigenvalue of JJᵀ leaves the law."""
        ...

    def state(self, spec: LayerSpec, q: float, level: Level) -> float:
        """Variance of x itself where the layer reads it, of a layer whose φ takes a variance of q; else q."""
        ...

    def hidden(self, spec: LayerSpec, q: float, level: Level) -> tuple[float, ...]:
        """Variances of what φ takes between the weights of a branch of several, of such a layer."""
        ...

    def drift(self, spec: LayerSpec, level: Level) -> Drift | None:
        """What makes up h of a block that takes φ after the sum; None of other layers."""
        ...

    def batch(self, spec: LayerSpec, width: int) -> int:
        """How many examples have to go through together, at this width."""
        ...

    def whole_batch(self, spec: LayerSpec) -> bool:
        """Whether its Jacobian is that of all examples that go through together."""
        ...

    def take(self, spec: LayerSpec, x: np.ndarray) -> Taken:
        """What W is to multiply: g(x), g'(x)."""
        ...

    def give(self, spec: LayerSpec, x: np.ndarray, image: np.ndarray) -> Passed:
        """The layer's output for W g(x) + b = `image`, with h and f'."""
        ...

    def chi(self, run: ResolvedRun, level: Level) -> float:
        """Mean square of the layer Jacobian, (1/N) E tr J_l J_lᵀ for equal widths."""
        ...

    def rest(self, run: ResolvedRun) -> Level | None:
        """The level at which such layers stay for ever; None where their variance map is to be asked."""
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

    def back(self, spec: LayerSpec, level: Level, profile: Array | None) -> Back:
        """Gradients through the layers of a level; `profile` of the one after the last, see `Back`."""
        ...

    def effect(self, spec: LayerSpec) -> str:
        """What each block does to gradients as α grows, to go on from "Each block"; nothing where there is no α."""
        ...

    def torch(self, spec: LayerSpec) -> str:
        """What a block returns, in PyTorch, of x, self.alpha, self.skip, self.linear, self.phi and self.norm.

        Nothing of layers that are an `nn.Linear` and φ.
        """
        ...

    def norms(self, spec: LayerSpec, level: Level, slope: float, spread: float) -> Norms:
        """Bounds on singular values, for |φ'| ≤ slope and ‖W‖ = σ_w spread."""
        ...
