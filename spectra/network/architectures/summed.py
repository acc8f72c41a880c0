"""Residual blocks with φ after the sum, x ← φ(βx + α(Wx + b)), as in the first residual nets."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ...activations import Activation
from ...errors import ConfigError
from ...quadrature import Array
from ..drift import CERTAIN, Drifted, Values, drifted, length_of
from ..gaussian import Moments
from .architecture import Back, Drift, Level, Norms, Passed, Signal, Taken
from .branch import Branch
from .course import LARGEST
from .residual import NO_MEAN, Residual

if TYPE_CHECKING:
    from ..config import LayerSpec
    from ..resolve import ResolvedRun, Start

# Each block takes a law of its own.
MOST = 1000


class AfterSum(Residual):
    """J_l = D (β1 + αW), D = diag φ'(h), h = βx_{l−1} + α(Wx_{l−1} + b), x_l = φ(h).

    h is no normal variable: given x_{l−1} it is βx_{l−1} plus normal noise of variance v = α²(σ_w² E x² + σ_b²), so
    that its law is followed from block to block, and r ← E φ(h)², μ ← E φ(h), q = E h². χ = (β² + α²σ_w²) E φ'(h)²; of
    branches of n layers, φ between them, σ_w^{2n} Π E φ'(h_k)² stands for σ_w². As the h of a neuron are dependent, m_1
    is not the product of the χ.

    Source
    ------
    He, Zhang, Ren, Sun, CVPR 2016, for the architecture; its mean field is this project's.
    """

    multiplies = False

    def reads_state(self, spec: LayerSpec) -> bool:
        """No: W takes x."""
        return False

    def adds_means(self, spec: LayerSpec, level: Level) -> bool:
        """Where x has a mean already."""
        return abs(level.entering.mean) > NO_MEAN * level.entering.second**0.5

    def hidden(self, spec: LayerSpec, q: float, level: Level) -> tuple[float, ...]:
        """Variances of what φ takes within the branch."""
        return Branch.of(spec).within(level.entering.second)

    def drift(self, spec: LayerSpec, level: Level) -> Drift | None:
        """The variance of α(Wx + b), and of βx where x is normal."""
        return _step(spec, level.entering).drift

    def take(self, spec: LayerSpec, x: np.ndarray) -> Taken:
        """The x itself."""
        return Taken(x, None)

    def give(self, spec: LayerSpec, x: np.ndarray, image: np.ndarray) -> Passed:
        """φ(h), h = βx + α·image; φ'(h) is outside of the sum."""
        h = self.skip(spec) * x + (spec.alpha or 0.0) * image
        return Passed(spec.activation(h), h, np.full_like(h, spec.alpha or 0.0), spec.activation.derivative(h))

    def chi(self, run: ResolvedRun, level: Level) -> float:
        """(β² + α²σ_w^{2n} Π E φ'²) E φ'(h)²."""
        inner = super().chi(run, level._replace(moments=level.moments._replace(slope2=1.0)))
        return inner * level.moments.slope2

    def levels(self, run: ResolvedRun, entering: Signal, begin: Start) -> Iterator[Level]:
        """Block by block."""
        spec = run.spec
        if not entering.gaussian and entering.values is None:
            raise ConfigError(
                '`order = "sum"`: the law of x, of which such a block takes φ after the sum, is not followed where it '
                'comes from an activation: put a dense layer of activation "identity" before it, or other blocks of '
                'order "sum" alone, or use "post".'
            )
        if spec.repeat > MOST:
            raise ConfigError(
                f'`order = "sum"`: blocks of a law each, {MOST:,} in a run at most; here {spec.repeat:,}.'
            )
        for _ in range(spec.repeat):
            step = _step(spec, entering)
            yield Level(step.q, step.moments, 1, entering)
            if not step.q <= LARGEST:
                return
            entering = step.leaving

    def variances(self, spec: LayerSpec, q: float, steps: ArrayLike) -> Array:
        """The same in every block of a level, which has but one."""
        return np.full(np.asarray(steps).shape, q)

    def leaving(self, spec: LayerSpec, level: Level) -> Signal:
        """φ(h), and its law."""
        return _step(spec, level.entering).leaving

    def back(self, spec: LayerSpec, level: Level, profile: Array | None) -> Back:
        """With a(x) = E g² of a neuron after the block: (β² + α²σ_w² ⋯) E φ'(h)² a(φ(h)), for h in the mean.

        Of one x it is β² E φ'(h)² a + α²σ_w² ⋯ E φ'² a, the first expectation over h given that x.
        """
        alpha, beta = spec.alpha or 0.0, spec.skip or 0.0
        given, passed, fed = Branch.of(spec).back(np.array([level.entering.second]))
        found = _law(spec, level.entering)
        squares = np.asarray(spec.activation.derivative(found.values.places), float) ** 2
        after = squares if profile is None else squares * profile
        mean = found.values.mean(after)
        total = beta**2 + alpha**2 * passed
        own = beta**2 * (found.kernel @ after) + alpha**2 * passed * mean
        relative = None if level.entering.values is None or not mean > 0.0 else own / (total * mean)
        entering = np.array([level.entering.second])
        return Back(entering, total * mean, alpha**2 * mean * given, fed, relative)

    def effect(self, spec: LayerSpec) -> str:
        """It adds, and multiplies by slopes that depend on those before."""
        return "adds a branch and multiplies the sum by φ'(h), of which a neuron's next ones depend on the one before"

    def torch(self, spec: LayerSpec) -> str:
        """φ of the sum."""
        return "self.phi(self.skip * x + self.alpha * self.linear(x))"

    def norms(self, spec: LayerSpec, level: Level, slope: float, spread: float) -> Norms:
        """One φ less in the branch, its slope after the sum; nothing from below."""
        branch = (spec.alpha or 0.0) * (float(spec.sigma_w) * spread) ** spec.branch_layers
        return Norms(slope, 0.0, abs(spec.skip or 0.0), branch * slope ** (spec.branch_layers - 1))


class SumStep(NamedTuple):
    """One block: q = E h², E φ'(h)² …, what leaves, what h is made of."""

    q: float
    moments: Moments
    leaving: Signal
    drift: Drift


def _step(spec: LayerSpec, entering: Signal) -> SumStep:
    """Mean field of one block."""
    drift = _drift(spec, entering)
    if not drift.noise + drift.start <= LARGEST:
        nan = float("nan")
        return SumStep(float("inf"), Moments(nan, nan, nan, nan), entering, drift)
    h, phi, moments = _measured(spec.activation, spec.skip or 0.0, drift, _Law(entering.values))
    q, first = h.mean(h.places**2), h.mean(phi)
    leaving = Signal(moments.second, lambda: first, values=Values(phi, h.share))
    return SumStep(q, moments, leaving, drift)


def _drift(spec: LayerSpec, entering: Signal) -> Drift:
    # E x² after the φ of all layers of the branch but its last.
    noise = (spec.alpha or 0.0) ** 2 * Branch.of(spec).leaving(entering.second)
    return Drift(noise, 0.0 if entering.values is not None else (spec.skip or 0.0) ** 2 * entering.second)


def _law(spec: LayerSpec, entering: Signal) -> Drifted:
    """That of h, and of h given x."""
    return _drifted(spec.activation, spec.skip or 0.0, _drift(spec, entering), entering.values)


def _drifted(activation: Activation, skip: float, drift: Drift, law: Values | None) -> Drifted:
    given = CERTAIN if law is None else Values(skip * law.places, law.share)
    total = drift.noise + drift.start
    return drifted(given, total, activation.kinks, finest=drift.noise**0.5, longest=length_of(activation))


class _Law:
    """Values, the same where their places are one array."""

    def __init__(self, values: Values | None) -> None:
        self.values = values
        self._places = None if values is None else values.places

    def __hash__(self) -> int:
        return id(self._places)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Law) and self._places is other._places


@lru_cache(maxsize=64)
def _measured(activation: Activation, skip: float, drift: Drift, law: _Law) -> tuple[Values, Array, Moments]:
    """The law of h, φ(h), and its moments."""
    h = _drifted(activation, skip, drift, law.values).values
    phi, slope2 = np.asarray(activation(h.places), float), np.asarray(activation.derivative(h.places), float) ** 2
    return h, phi, Moments(h.mean(phi**2), h.mean(slope2), h.mean(slope2**2), float("nan"))
