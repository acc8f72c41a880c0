"""Layers and residual blocks with a normalisation before φ, after it, or after the sum of a block."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ...errors import ConfigError
from ...normalisation.batch import batch_moments
from ...quadrature import Array
from ..expectations import gaussian_moments
from ..gaussian import Moments
from ..normaliser import Normaliser
from ..schema import refusal
from .architecture import Architecture, Back, Drift, Level, Norms, Passed, Signal, Taken
from .course import LARGEST, settled
from .dense import is_linear
from .measured import normalised, times
from .pairs import pair_product

if TYPE_CHECKING:
    from ..config import LayerSpec
    from ..resolve import ResolvedRun, Start

# Layers within which signals have settled, where they ever do.
SOON = 1000
# Spreads that rounding leaves nine digits of, no more, relative to the square they are the rest of.
LOST = 1e-7


class _Step(NamedTuple):
    """One layer: where φ is evaluated, γ²/(spread + ε), E tr of the branch's square, that of what W takes, x behind."""

    q: float
    moments: Moments
    scale2: float
    block: float
    fed: float
    leaving: Signal


class Normalised:
    """A dense layer, or a residual block, with n(y) = γ (y − centre)/√(spread² + ε) in one place.

    With W of a dense layer as a block of α = 1, β = 0 and order "post": order "post", x ← βx + αφ(n(Wx + b)), or
    βx + αn(φ(Wx + b)), or n(βx + αφ(Wx + b)); order "pre", x ← βx + α(Wφ(n(x)) + b), or βx + α(Wn(φ(x)) + b), or
    n(βx + α(Wφ(x) + b)). With c² = γ²/(spread² + ε), χ = β² + α²σ_w²c² E φ'², where the sum is normalised
    c²(β² + α²σ_w² E φ'²).

    Notes
    -----
    In the wide limit spread² is a number: E y² for RMS norm, Var y over the neurons for layer norm, E y² − E y_i y_j
    over pairs of examples for batch norm of large batches of independent inputs. What the derivative of the statistics
    adds to a Jacobian has rank 1 or 2 a layer (a neuron's batch): nothing of the bulk. For a batch of B examples
    χ = β² + α²σ_w² E tr A Aᵀ/(B − 1), A = diag(φ') ∂n/∂y of a neuron over the batch: see `spectra.normalisation.batch`.

    Source
    ------
    Yang, Pennington, Rao, Sohl-Dickstein, Schoenholz, ICLR 2019, for batch norm without skip; the rest by the same
    steps.
    """

    settles = False
    is_product = False
    keeps_scale = False
    multiplies = True
    carries_signal = False

    def __init__(self, plain: Architecture) -> None:
        self._plain = plain
        self.keys, self.noun, self.keeps_width = plain.keys, plain.noun, plain.keeps_width
        self.rests, self.is_free = plain.settles, plain.is_free

    def options(self, table: Mapping[str, Any], path: str, count: int) -> dict[str, Any]:
        """Those of the layer without it; a branch has one matrix of weights."""
        layers = table.get("branch_layers", 1)
        if layers > 1:
            raise refusal(f"{path}branch_layers", layers, "must be 1 in a block with `normalise`")
        if table.get("order") == "sum":
            raise refusal(f"{path}order", "sum", 'must be "pre" or "post" in a block with `normalise`')
        return self._plain.options(table, path, count)

    def details(self, spec: LayerSpec) -> str:
        """Those of the layer, and the normalisation."""
        return self._plain.details(spec) + _normaliser(spec).details()

    def notes(self, spec: LayerSpec) -> tuple[str, ...]:
        """Which Jacobian is meant, and what the limit leaves out."""
        if _normaliser(spec).over_batch:
            return (
                "batch norm of large batches: J is the derivative of one example's output by its input with the "
                "statistics held fixed; with the derivative of the statistics, of the whole batch, the law has the "
                "same bulk (two directions of a neuron's batch are projected out)",
            )
        words = (
            "layer norm takes two directions" if _normaliser(spec).name == "layer" else "RMS norm takes one direction"
        )
        return (
            f"{words} of N out of a layer's Jacobian, exactly where ε = 0; nothing of that is left in the law of the "
            "limit, which is that of rescaled weights",
        )

    def lacks(self, spec: LayerSpec) -> str:
        """What is missing for batches of finite size: the law of a neuron's block of the Jacobian."""
        size = _normaliser(spec).batch
        if size is None:
            return ""
        return (
            f"`normalise.batch = {size}`: of a batch of finite size the mean square of the Jacobian is known, layer by "
            "layer (`spectra.normalisation.growth`), its spectrum is not; leave `batch` out for large batches"
        )

    def skip(self, spec: LayerSpec, level: Level | None = None) -> float:
        """β, over the spread of the sum where that is normalised."""
        beta = _numbers(spec)[1]
        if level is None or _normaliser(spec).position != "sum":
            return beta
        return beta * math.sqrt(_step(spec, level.entering).scale2)

    def scale(self, spec: LayerSpec, level: Level | None = None) -> float:
        """α, over the spread of what is normalised."""
        alpha = _numbers(spec)[0]
        return alpha if level is None else alpha * math.sqrt(_step(spec, level.entering).scale2)

    def gain(self, spec: LayerSpec, level: Level) -> float:
        """α²σ_w²γ²/(spread² + ε)."""
        return (self.scale(spec, level) * float(spec.sigma_w)) ** 2

    def reads_state(self, spec: LayerSpec) -> bool:
        """Where the activation comes before the weights."""
        return _order(spec) == "pre"

    def adds_means(self, spec: LayerSpec, level: Level) -> bool:
        """Over a batch, with fixed statistics; over neurons their derivative takes out the signal's own direction."""
        if not (_normaliser(spec).over_batch and _order(spec) == "post" and _numbers(spec)[1]):
            return False
        return gaussian_moments(spec.activation).first(level.q) != 0.0

    def state(self, spec: LayerSpec, q: float, level: Level) -> float:
        """Variance of x itself, whatever φ takes of it."""
        return level.entering.second if self.reads_state(spec) else q

    def hidden(self, spec: LayerSpec, q: float, level: Level) -> tuple[float, ...]:
        """Return nothing: one matrix of weights."""
        return ()

    def drift(self, spec: LayerSpec, level: Level) -> Drift | None:
        """Return nothing: no φ after a sum."""
        return None

    def batch(self, spec: LayerSpec, width: int) -> int:
        """Its size, for large ones four times the width: what a finite batch changes goes like 1/N then, too."""
        normaliser = _normaliser(spec)
        return (normaliser.batch or 4 * width) if normaliser.over_batch else 1

    def whole_batch(self, spec: LayerSpec) -> bool:
        """Of a batch of finite size."""
        return _normaliser(spec).whole_batch

    def take(self, spec: LayerSpec, x: np.ndarray) -> Taken:
        """Pre: φ(n(x)), n(φ(x)) or φ(x), and its derivative. Post: x."""
        if _order(spec) == "post":
            return Taken(x, None)
        return Taken(*_activated(spec, x, 1.0)[:2])

    def give(self, spec: LayerSpec, x: np.ndarray, image: np.ndarray) -> Passed:
        """The sum, normalised where that is asked for, and the derivative beside it."""
        alpha, beta = _numbers(spec)
        if _order(spec) == "post":
            value, slopes, h = _activated(spec, image, alpha)
        else:
            value, slopes = alpha * image, np.full_like(image, alpha)
            h = normalised(_normaliser(spec), x)[0] if _normaliser(spec).position == "before" else x
        # A dense layer may change the width: nothing is added there.
        total = beta * x + value if beta else value
        if _normaliser(spec).position != "sum":
            return Passed(total, h, slopes)
        found, outer = normalised(_normaliser(spec), total)
        return Passed(found, h, slopes, outer)

    def chi(self, run: ResolvedRun, level: Level) -> float:
        """β² + α²σ_w²c² E φ'², or c²(β² + α²σ_w² E φ'²)."""
        (alpha, beta), step = _numbers(run.spec), _step(run.spec, level.entering)
        branch = (alpha * float(run.spec.sigma_w)) ** 2 * step.block
        return step.scale2 * (beta**2 + branch) if _normaliser(run.spec).position == "sum" else beta**2 + branch

    def rest(self, run: ResolvedRun) -> Level | None:
        """Of layers without a skip: where they come to, from inputs of mean square 1."""
        if not self.rests:
            return None
        *_, last = _course(run.spec, Signal(1.0, gaussian=True, shared_of=float), SOON)
        if last.repeat == 1:
            return None
        entering = last.entering
        if _normaliser(run.spec).position == "before":
            # Of independent inputs, such as a network has, those with the same spread.
            entering = Signal(entering.second - _shared(entering), gaussian=True, shared_of=float)
        return Level(last.q, last.moments, 1, entering)

    def levels(self, run: ResolvedRun, entering: Signal, begin: Start) -> Iterator[Level]:
        """All layers at once where they are at rest, else one by one until they are."""
        if begin.at_fixed_point and begin.rest is not None:
            yield begin.rest._replace(repeat=run.spec.repeat)
            return
        yield from _course(run.spec, entering, run.spec.repeat)

    def variances(self, spec: LayerSpec, q: float, steps: ArrayLike) -> Array:
        """The same in every layer of a level."""
        return np.full(np.asarray(steps).shape, q)

    def leaving(self, spec: LayerSpec, level: Level) -> Signal:
        """The x after the last layer of the level."""
        return _step(spec, level.entering).leaving

    def back(self, spec: LayerSpec, level: Level, profile: Array | None) -> Back:
        """With statistics held fixed: what their derivative adds has rank 1 or 2 a layer."""
        (alpha, beta), step = _numbers(spec), _step(spec, level.entering)
        outside = step.scale2 if _normaliser(spec).position == "sum" else 1.0
        # What n and φ make of a gradient in the branch: beside the sum (post), or before the weights (pre).
        given = outside * alpha**2 * (1.0 if self.reads_state(spec) else step.block)
        passed = outside * (beta**2 + (alpha * float(spec.sigma_w)) ** 2 * step.block)
        entering, passed, given, fed = (
            np.full(level.repeat, value) for value in (level.entering.second, passed, given, step.fed)
        )
        return Back(entering, passed, given[:, None], fed[:, None])

    def effect(self, spec: LayerSpec) -> str:
        """It adds over what is normalised, or the sum is over it."""
        if "alpha" not in self.keys:
            return ""
        does = "makes the mean square of gradients β² + α²σ_w² E φ'², both"
        if _normaliser(spec).position != "sum":
            does = "adds α²σ_w² E φ'² to the mean square of gradients,"
        return f"{does} over the square that is normalised by, and spreads directions with α"

    def torch(self, spec: LayerSpec) -> str:
        """The sum, with `self.norm` where it stands."""
        position = _normaliser(spec).position
        phi = {"before": "self.phi(self.norm({}))", "after": "self.norm(self.phi({}))"}.get(position, "self.phi({})")
        linear = "self.linear({})"
        outer, inner = (linear, phi) if self.reads_state(spec) else (phi, linear)
        branch = outer.format(inner.format("x"))
        if not self.keeps_width:
            return branch
        total = f"self.skip * x + self.alpha * {branch}"
        return f"self.norm({total})" if position == "sum" else total

    def norms(self, spec: LayerSpec, level: Level, slope: float, spread: float) -> Norms:
        """With statistics held fixed; their derivative is a projection, which makes nothing larger."""
        branch = math.sqrt(self.gain(spec, level)) * spread
        if not self.keeps_width:
            return Norms(slope, 0.0, 0.0, branch)
        return Norms(1.0, 1.0, abs(self.skip(spec, level)), branch * slope)


def _course(spec: LayerSpec, entering: Signal, repeat: int) -> Iterator[Level]:
    changes: tuple[float, ...] = (math.inf,) * 3
    for done in range(repeat):
        step = _step(spec, entering)
        level = Level(step.q, step.moments, 1, entering)
        before, changes = changes, _changes(entering, step.leaving)
        sizes = (entering.second, math.sqrt(entering.second), entering.second)
        if not entering.second <= LARGEST or all(map(settled, sizes, changes, before)):
            yield level._replace(repeat=repeat - done)
            return
        yield level
        entering = step.leaving


def _changes(entering: Signal, leaving: Signal) -> tuple[float, float, float]:
    shared = _shared(leaving) - _shared(entering)
    return leaving.second - entering.second, leaving.mean - entering.mean, shared


def _shared(signal: Signal) -> float:
    return 0.0 if signal.shared_of is None else signal.shared_of()


def _step(spec: LayerSpec, entering: Signal) -> _Step:
    """Mean field of one layer."""
    normaliser, (alpha, beta), order = _normaliser(spec), _numbers(spec), _order(spec)
    if order == "pre" and not entering.gaussian:
        raise ConfigError(
            '`order = "pre"`: such a block reads x itself, which is not Gaussian where it comes from an activation: '
            'put a dense layer of activation "identity" before it, or other blocks of order "pre" alone, or use "post".'
        )
    over_batch, r, mu = normaliser.over_batch, entering.second, entering.mean
    if over_batch and entering.shared_of is None:
        raise ConfigError(
            '`normalise = "batch"`: what two examples have in common is followed through dense layers and through '
            "layers with batch norm, not through those that come before this one; normalise them by the batch, too."
        )
    shared = _shared(entering) if over_batch else 0.0
    w2, b2 = float(spec.sigma_w) ** 2, float(spec.sigma_b or 0.0) ** 2
    moments = gaussian_moments(spec.activation)
    # y, what φ or the normalisation before it is applied to, is Gaussian.
    y_second, y_shared = (r, shared) if order == "pre" else (w2 * r + b2, w2 * shared + b2)
    scale2 = 1.0
    if normaliser.position == "before":
        spread, scale2 = _measured(normaliser, y_second, 0.0, y_shared)
        q = scale2 * spread
    else:
        q = y_second
    at = moments.at(q) if q <= LARGEST else moments.at(0.0)
    second, first, block = at.second, moments.first(q), at.slope2
    if normaliser.batch is not None:
        found = batch_moments(spec.activation, normaliser.batch, normaliser.gain, normaliser.epsilon / spread)
        second, first, product = found.second, found.first, found.product
        at, block = Moments(second, found.slope2, math.nan, math.nan), found.block / (spread * scale2)
    elif not over_batch:
        product = 0.0
    elif normaliser.position == "before":
        product = first**2
    else:
        product = pair_product(spec.activation, q, y_shared)
    if normaliser.position == "after":
        spread, scale2 = _measured(normaliser, second, first, product)
        second, first, product = scale2 * spread, normaliser.mean(first, spread), 0.0
    fed = second if order == "pre" else r
    if order == "pre":
        second, first, product = w2 * second + b2, 0.0, w2 * product + b2
    cross = 2.0 * alpha * beta * mu * first
    total = beta**2 * r + alpha**2 * second + cross
    mean = beta * mu + alpha * first
    common = beta**2 * shared + alpha**2 * product + cross
    if normaliser.position == "sum":
        spread, scale2 = _measured(normaliser, total, mean, common)
        total, mean, common = scale2 * spread, normaliser.mean(mean, spread), 0.0
    else:
        # What multiplies σ_w² in χ, normalised already.
        block *= scale2
    gaussian = order == "pre" or (is_linear(spec) and normaliser.batch is None and (beta == 0.0 or entering.gaussian))
    leaving = Signal(total, lambda: mean, gaussian, (lambda: common) if over_batch else None)
    return _Step(q, at, scale2, block, fed, leaving)


def _measured(normaliser: Normaliser, second: float, mean: float, shared: float) -> tuple[float, float]:
    """The spread of a signal, and γ²/(spread + ε)."""
    spread = normaliser.spread(second, mean, shared)
    if not spread + normaliser.epsilon > LOST * second:
        raise ConfigError(
            "`normalise`: next to nothing is left to normalise by: a layer's signal is the same, but for a part in "
            f"{1 / LOST:.0e} of its square, over all that it is normalised over; give `epsilon`, or other scales."
        )
    return spread, normaliser.scale2(spread)


def _activated(spec: LayerSpec, y: np.ndarray, alpha: float) -> tuple[np.ndarray, Any, np.ndarray]:
    """α times φ(n(y)), n(φ(y)) or φ(y), by the position; its derivative for the first example; what φ takes."""
    normaliser = _normaliser(spec)
    if normaliser.position == "before":
        y, normal = normalised(normaliser, y)
        return alpha * spec.activation(y), times(_slopes(spec, y, alpha), normal, outside=False), y
    value, slopes = spec.activation(y), _slopes(spec, y, alpha)
    if normaliser.position == "sum":
        return alpha * value, slopes, y
    value, normal = normalised(normaliser, value)
    return alpha * value, times(slopes, normal, outside=True), y


def _slopes(spec: LayerSpec, y: np.ndarray, alpha: float) -> np.ndarray:
    """α φ'(y), of all examples where Jacobians are of all, else of the first."""
    whole = _normaliser(spec).whole_batch
    return alpha * spec.activation.derivative(y.ravel() if whole or y.ndim == 1 else y[:, 0])


def _normaliser(spec: LayerSpec) -> Normaliser:
    assert spec.normalise is not None
    return spec.normalise


def _numbers(spec: LayerSpec) -> tuple[float, float]:
    """α and β; a dense layer has all of φ and nothing of x."""
    return (1.0, 0.0) if spec.alpha is None or spec.skip is None else (spec.alpha, spec.skip)


def _order(spec: LayerSpec) -> str:
    return spec.order or "post"
