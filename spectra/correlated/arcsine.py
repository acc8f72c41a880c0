"""One block of orthogonal weights and a slope that is the same, but for its sign, for all: the arcsine law."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .._types import Array
from .bulks import Bulk
from .known import Atom, Known
from .layers import Layer, slope_law
from .solution import STOP, Solution

# Where λ → 0 belongs to the support: as far as the density is followed, e^{−U/2} being what is left; and places.
FARTHEST, PLACES = 36.0, 40


class Arcsine:
    """J = β 1 + s W, W Haar: λ = |β + s e^{iθ}|², θ uniform, between (|β| − s)² and (|β| + s)².

    ψ(u) = ((1 − u λ_min)(1 − u λ_max))^{−1/2} − 1; the density of λ is 1/(π √((λ − λ_min)(λ_max − λ))).
    """

    unknowns = 1
    zero = 0.0
    atom: Atom | None = None
    skipped: float | None = None

    def __init__(self, skip: float, size: float) -> None:
        self._skip, self._size = abs(skip), size

    @property
    def log_mean(self) -> float:
        """Log m_1 = log(β² + s²)."""
        return 2.0 * math.log(math.hypot(self._skip, self._size))

    @property
    def log_range(self) -> tuple[float, float]:
        """U = −log λ at both ends."""
        apart = abs(self._skip - self._size)
        return -2.0 * math.log(self._skip + self._size), -2.0 * math.log(apart) if apart else math.inf

    @property
    def bulk(self) -> Bulk:
        """All of the law."""
        low, high = self.log_range
        u = np.linspace(low, low + FARTHEST if math.isinf(high) else high, PLACES + 1)[1:-1]
        return Bulk(low, high, Known(low, high, u, self.solve(np.exp(u)).x), (-0.5, -0.5))

    def solve(self, u: Array, start: Array | None = None, *, stop: float = STOP) -> Solution:  # noqa: ARG002
        """ψ at u (M,), Im u ≤ 0, as it is."""
        low, high = self.log_range
        log_u = np.log(np.asarray(u, complex))
        psi: Array = np.full(log_u.shape, -1.0 + 0j)
        product: Array = np.ones_like(psi)
        for end in (low, high):
            if math.isfinite(end):
                # 1 − uλ keeps its digits at the ends; from below the axis it is above.
                root: Array = np.sqrt(-np.expm1(log_u - end))
                product *= np.where(root.imag < 0.0, -root, root)
        psi += 1.0 / product
        return Solution(psi[:, None], psi, np.zeros(psi.size), psi.imag <= 0.0)

    def edge_near(self, u: float, x: Array) -> float | None:  # noqa: ARG002
        """None: no edge is that of a square root."""
        return None


def arcsine_of(layers: Sequence[Layer]) -> Arcsine | None:
    """The law of one such block; None of others."""
    if len(layers) != 1 or not layers[0].haar or layers[0].hidden or layers[0].drift or not layers[0].skip:
        return None
    squares, _ = slope_law(layers[0], 2)
    return Arcsine(layers[0].skip, math.sqrt(layers[0].gain * float(squares[0]))) if squares.size == 1 else None
