"""Fully connected layers, x ← φ(Wx + b)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ...quadrature import Array
from ..expectations import gaussian_moments
from .architecture import Back, Level, Norms, Passed, Signal, Taken
from .branch import seconds
from .course import LARGEST, SMALLEST, affine_course, settled
from .pairs import pair_product
from .plain import Plain

if TYPE_CHECKING:
    from ..config import LayerSpec
    from ..resolve import ResolvedRun, Start


class Dense(Plain):
    """J_l = D_l W_l, D_l = diag φ'(h_l), h_l = W_l x_{l−1} + b_l; q_l = σ_w² r_{l−1} + σ_b², r_l = E φ(√q_l z)².

    Source
    ------
    Poole et al., NeurIPS 2016; Schoenholz et al., ICLR 2017.
    """

    keys: tuple[str, ...] = ()
    noun = "layer"
    keeps_width = False
    settles = True
    rests = True
    is_product = True
    is_free = True
    keeps_scale = True

    def options(self, table: Mapping[str, Any], path: str, count: int) -> dict[str, Any]:
        """Return nothing: dense layers have no keys of their own."""
        return {}

    def details(self, spec: LayerSpec) -> str:
        """Return nothing."""
        return ""

    def skip(self, spec: LayerSpec, level: Level | None = None) -> float:
        """Return 0: nothing goes past W."""
        return 0.0

    def scale(self, spec: LayerSpec, level: Level | None = None) -> float:
        """Return 1."""
        return 1.0

    def gain(self, spec: LayerSpec, level: Level) -> float:
        """σ_w²."""
        return float(spec.sigma_w) ** 2

    def reads_state(self, spec: LayerSpec) -> bool:
        """No."""
        return False

    def adds_means(self, spec: LayerSpec, level: Level) -> bool:
        """No: W takes what is common to all neurons anywhere."""
        return False

    def take(self, spec: LayerSpec, x: np.ndarray) -> Taken:
        """The x itself."""
        return Taken(x, None)

    def give(self, spec: LayerSpec, x: np.ndarray, image: np.ndarray) -> Passed:
        """φ(h), h, φ'(h)."""
        slopes = spec.activation.derivative(image)
        return Passed(spec.activation(image), image, slopes)

    def chi(self, run: ResolvedRun, level: Level) -> float:
        """σ_w² E φ'² at variance q; 1.0 where that is how σ_w was found."""
        if run.critical and (level.q == run.q_star or gaussian_moments(run.spec.activation).scale_free is not None):
            return 1.0
        return float(run.spec.sigma_w) ** 2 * level.moments.slope2

    def levels(self, run: ResolvedRun, entering: Signal, begin: Start) -> Iterator[Level]:
        """All layers at once at a fixed point, or for a positively homogeneous φ; else one by one until q rests."""
        repeat = run.spec.repeat
        moments = gaussian_moments(run.spec.activation)
        if begin.at_fixed_point and begin.q_star is not None:
            yield Level(begin.q_star, moments.at(begin.q_star), repeat, entering)
            return
        w2, b2 = float(run.spec.sigma_w) ** 2, float(run.spec.sigma_b or 0.0) ** 2
        q = w2 * entering.second + b2
        if moments.scale_free is not None:
            yield Level(q, moments.at(1.0), repeat, entering)
            return
        change = math.inf
        for done in range(repeat):
            if q < SMALLEST:
                q = 0.0
            m = moments.at(q) if q <= LARGEST else moments.at(0.0)
            image = w2 * m.second + b2
            previous, change = change, image - q
            if not q <= LARGEST or settled(q, change, previous):
                # The fixed point itself where it is known: products over many layers need χ = 1 exactly.
                known = begin.q_star if begin.slope is not None else None
                if known and abs(known - q) <= 1e-11 * q:
                    q, m = known, moments.at(known)
                yield Level(q, m, repeat - done, entering)
                return
            yield Level(q, m, 1, entering)
            entering, q = self.leaving(run.spec, Level(q, m, 1, entering)), image

    def variances(self, spec: LayerSpec, q: float, steps: ArrayLike) -> Array:
        """Variance `steps` layers after q: constant unless φ is positively homogeneous."""
        kappa = gaussian_moments(spec.activation).scale_free
        if kappa is None:
            return np.full(np.asarray(steps).shape, q)
        return affine_course(q, float(spec.sigma_w) ** 2 * kappa, float(spec.sigma_b or 0.0) ** 2, steps)

    def leaving(self, spec: LayerSpec, level: Level) -> Signal:
        """φ(h): a normal variable where φ is linear."""
        moments = gaussian_moments(spec.activation)
        last = float(self.variances(spec, level.q, level.repeat - 1))
        second = level.moments.second if last == level.q and moments.scale_free is None else moments.at(last).second
        shared = None if level.entering.shared_of is None else partial(self._shared, spec, level)
        return Signal(second, partial(moments.first, last), is_linear(spec), shared)

    def back(self, spec: LayerSpec, level: Level, profile: Array | None) -> Back:
        """E φ'² and σ_w² E φ'²."""
        q = self.variances(spec, level.q, np.arange(level.repeat))
        entering = np.append(level.entering.second, seconds(spec.activation, q)[:-1])
        given = np.full((q.size, 1), level.moments.slope2)
        return Back(entering, float(spec.sigma_w) ** 2 * given[:, 0], given, entering[:, None])

    def norms(self, spec: LayerSpec, level: Level, slope: float, spread: float) -> Norms:
        """‖D‖ ‖W‖."""
        return Norms(slope, 0.0, 0.0, float(spec.sigma_w) * spread)

    def _shared(self, spec: LayerSpec, level: Level) -> float:
        """E x_i x_j after the last layer of the level."""
        assert level.entering.shared_of is not None
        w2, b2 = float(spec.sigma_w) ** 2, float(spec.sigma_b or 0.0) ** 2
        shared = level.entering.shared_of()
        for q in self.variances(spec, level.q, np.arange(level.repeat)).tolist():
            shared = pair_product(spec.activation, q, w2 * shared + b2)
        return shared


def is_linear(spec: LayerSpec) -> bool:
    """Whether φ(x) is a multiple of x."""
    return len({b.constant_slope for b in spec.activation.branches} - {None}) == 1 and (
        gaussian_moments(spec.activation).scale_free is not None
    )
