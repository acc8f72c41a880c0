"""Mean-one laws as finite sums ψ(v) = Σ W_j v t_j / (1 − v t_j), several laws evaluated at once.

An atom is a real node.  A continuous part is a set of complex nodes: the support is pushed into the upper half of
the t-plane, so that the sum stays spectrally accurate for every v in the closed upper half plane, on the cut too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

# Below this relative height above the cut, Im ψ is rebuilt from the law's own density (see `_repair_tail`): the
# Taylor remainder there, (1e-4)^4, is the rounding unit, and the plain sum would lose up to all digits of Im ψ.
TAIL_HEIGHT = 1e-4


@dataclass(frozen=True)
class NodeLaw:
    """A law on [0, ∞): mass 1 − rank at zero; the rest, scaled to mean one, in a form whose ψ is a sum over nodes.

    Parameters
    ----------
    points, weights : complex arrays (J,); Σ weights = 1, Σ weights·points = 1.
    mean : of the whole law; the part off zero is that of (mean/rank)·t.
    rank : mass off zero.
    largest, smallest : the ends of the support (of t).
    atoms : (location, mass) pairs of t given that it is not 0.
    cut_density : π times the density of ψ's jump, R(v) = π Σ_j g(x_j)/|d log t/dx_j| at t(x_j) = 1/v, v real, or
        None for a law of atoms only.
    """

    points: np.ndarray
    weights: np.ndarray
    mean: float
    rank: float
    largest: float
    smallest: float
    atoms: tuple[tuple[float, float], ...]
    cut_density: Callable[[np.ndarray], np.ndarray] | None = None

    def moments(self, order: int) -> np.ndarray:
        """E t^k, k = 1…order, of the mean-one part; relative accuracy 1e-13."""
        powers = self.points[None, :] ** np.arange(1, order + 1)[:, None]
        return (powers @ self.weights).real


class LawStack:
    """K mean-one laws side by side: ψ, ψ(1 − v) − v and derivatives at v of shape (K, n)."""

    def __init__(self, laws: Sequence[NodeLaw]) -> None:
        self.laws = tuple(laws)
        size = max((law.points.size for law in laws), default=0)
        count = len(self.laws)
        self.points = np.zeros((count, 1, size), complex)
        weights = np.zeros((count, size), complex)
        for k, law in enumerate(self.laws):
            self.points[k, 0, : law.points.size] = law.points
            weights[k, : law.weights.size] = law.weights
        if not np.any(self.points.imag) and not np.any(weights.imag):
            self.points, weights = self.points.real.copy(), weights.real.copy()
        t = self.points[:, 0, :]
        deviation = t - 1.0
        # The middle column sums squares: S − 1 of a narrow law is of the size of its variance.
        self._first = np.stack([weights * t, weights * deviation**2, weights], axis=-1)
        self._narrow = (np.abs((weights * deviation**2).sum(-1)) < 1e-3)[:, None]
        self._slope = (weights * t)[..., None]
        self._second = (2 * weights * t**2)[..., None]
        self._third = (6 * weights * t**3)[..., None]
        self._continuous = [k for k, law in enumerate(self.laws) if law.cut_density is not None]

    def evaluate(
        self, v: np.ndarray, order: int = 1
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]:
        """ψ(v), 1 + ψ(v), A(v) = ψ(1 − v) − v, and [ψ', ψ'', …] up to `order`, each of shape (K, n).

        A is what S deviates by, S = v(1 + ψ)/ψ = 1 − A/ψ.  All three are sums of their own, without cancellation.
        """
        inverse = 1.0 / (1.0 - v[..., None] * self.points)
        sums = inverse @ self._first
        psi = v * sums[..., 0]
        plus = sums[..., 2]
        away = 1.0 - v
        excess = v**2 * sums[..., 1] / away
        beside = (np.abs(away) < 0.3) & ~self._narrow
        if beside.any():
            excess[beside] = (psi * away - v)[beside]
        derivatives = []
        power = inverse
        for table in (self._slope, self._second, self._third)[:order]:
            power = power * inverse
            derivatives.append((power @ table)[..., 0])
        if self._continuous:
            self._repair_tail(v, psi, plus, excess)
        return psi, plus, excess, derivatives

    def _repair_tail(self, v: np.ndarray, psi: np.ndarray, plus: np.ndarray, excess: np.ndarray) -> None:
        """Give Im ψ its relative accuracy just above the cut, where the node sum has only absolute accuracy.

        With v = a + ib: Im ψ = R(a) + b P' − b²/2 R'' − b³/6 P''' + O(b⁴), P the principal value, R the jump.
        """
        for k in self._continuous:
            a, b = v[k].real, v[k].imag
            law = self.laws[k]
            near = (np.abs(b) < TAIL_HEIGHT * np.abs(v[k])) & (a * law.largest > 1.0)
            if law.smallest > 0.0:
                near &= a * law.smallest < 1.0
            outside = (b == 0.0) & ~near
            if outside.any():
                psi[k, outside] = psi[k, outside].real
                plus[k, outside] = plus[k, outside].real
                excess[k, outside] = excess[k, outside].real
            if not near.any():
                continue
            a, b = a[near], b[near]
            inverse = 1.0 / (1.0 - a[:, None] * self.points[k])
            square = inverse * inverse
            first = square @ self._slope[k][:, 0]
            second = (square * inverse) @ self._second[k][:, 0]
            third = (square * square) @ self._third[k][:, 0]
            assert law.cut_density is not None
            imaginary = law.cut_density(a) + b * first.real - b**2 / 2 * second.imag - b**3 / 6 * third.real
            w = psi[k, near]
            psi[k, near] = w.real + 1j * imaginary
            plus[k, near] = plus[k, near].real + 1j * imaginary
            excess[k, near] = excess[k, near].real + 1j * (imaginary * (1.0 - a) - w.real * b - b)
