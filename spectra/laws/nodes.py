"""Mean-one laws as finite sums ψ(v) = Σ W_j v t_j / (1 − v t_j), several laws evaluated at once.

An atom is a real node.  A continuous part is a set of complex nodes: the support is pushed into the upper half of
the t-plane, so that the sum stays spectrally accurate for every v in the closed upper half plane, on the cut too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .._types import Array

# Below this relative height above the cut, Im ψ is rebuilt from the law's own density (see `_repair_tail`), to fifth
# order in the height; the plain sum would lose up to all digits of Im ψ.
TAIL_HEIGHT = 1e-3


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
    corners : values of t where the density is not smooth: ends, atoms, critical values.
    resolved : the nodes know the law down to this t.
    supremum, infimum : true ends of the support where it reaches beyond `largest`, `smallest` with negligible mass.
    """

    points: Array
    weights: Array
    mean: float
    rank: float
    largest: float
    smallest: float
    atoms: tuple[tuple[float, float], ...]
    cut_density: Callable[[Array], Array] | None = None
    corners: tuple[float, ...] = ()
    resolved: float = 0.0
    supremum: float | None = None
    infimum: float | None = None

    def moments(self, order: int) -> Array:
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
        if not np.any(np.imag(self.points)) and not np.any(np.imag(weights)):
            self.points, weights = np.real(self.points).copy(), np.real(weights).copy()
        t = self.points[:, 0, :]
        deviation = t - 1.0
        # The middle column sums squares: S − 1 of a narrow law is of the size of its variance.
        self._first = np.stack([weights * t, weights * deviation**2, weights], axis=-1)
        self._narrow = (np.abs((weights * deviation**2).sum(-1)) < 1e-3)[:, None]
        self._slope = (weights * t)[..., None]
        self._second = (2 * weights * t**2)[..., None]
        self._tail_weights = [[w * x**n for n in range(1, 6)] for w, x in zip(weights, t, strict=True)]
        self._poles = [np.array([0.0, *(1.0 / t for t in law.corners if t > 0.0)])[:, None] for law in self.laws]
        self._continuous = [k for k, law in enumerate(self.laws) if law.cut_density is not None]

    def tables(self, k: int) -> tuple[Array, Array, Array]:
        """Weights of law k for the sums behind ψ, A and 1 + ψ (J, 3), ψ' (J,) and ψ'' (J,)."""
        return self._first[k], self._slope[k][:, 0], self._second[k][:, 0]

    def poles(self, k: int) -> Array:
        """Where ψ of law k is not smooth on the real axis: 0 and the reciprocals of the corners."""
        return self._poles[k][:, 0]

    def is_narrow(self, k: int) -> bool:
        """Variance below 1e-3: A is then always summed as squares."""
        return bool(self._narrow[k, 0])

    def evaluate(self, v: Array, order: int = 1) -> tuple[Array, Array, Array, list[Array]]:
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
        for table in (self._slope, self._second)[:order]:
            power = power * inverse
            derivatives.append((power @ table)[..., 0])
        if self._continuous:
            self._repair_tail(v, psi, plus, excess)
        return psi, plus, excess, derivatives

    def _repair_tail(self, v: Array, psi: Array, plus: Array, excess: Array) -> None:
        """Give Im ψ its relative accuracy just above the cut, where the node sum has only absolute accuracy.

        With v = a + ib: Im ψ = R(a) + Im Σ (ib)^n ψ^(n)(a + i0)/n!, n ≥ 1, R the jump.
        """
        for k in self._continuous:
            a, b = v[k].real, v[k].imag
            law = self.laws[k]
            near = np.abs(b) < TAIL_HEIGHT * np.min(np.abs(v[k] - self._poles[k]), axis=0)
            if not near.any():
                continue
            a, b = a[near], b[near]
            inverse = 1.0 / (1.0 - a[:, None] * self.points[k])
            power = inverse * inverse
            assert law.cut_density is not None
            on_cut = (a * law.largest > 1.0) & (a * law.smallest < 1.0)
            imaginary = np.zeros(a.size)
            if on_cut.any():
                imaginary[on_cut] = law.cut_density(a[on_cut])
            for n, weights in enumerate(self._tail_weights[k], start=1):
                # ψ^(n)/n! = E t^n/(1 − vt)^(n+1)
                imaginary = imaginary + ((1j * b) ** n * (power @ weights)).imag
                power = power * inverse
            w = psi[k, near]
            psi[k, near] = w.real + 1j * imaginary
            plus[k, near] = plus[k, near].real + 1j * imaginary
            excess[k, near] = excess[k, near].real + 1j * (imaginary * (1.0 - a) - w.real * b - b)
