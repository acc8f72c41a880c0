"""Mean-one laws as finite sums ψ(v) = Σ W_j v t_j / (1 − v t_j), several laws evaluated at once.

An atom is a real node.  A continuous part is a set of complex nodes: the support is pushed into the upper half of
the t-plane, so that the sum stays spectrally accurate for every v in the closed upper half plane, on the cut too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._types import Array

# Below this relative height above the cut, Im ψ is rebuilt from the law's own density (see `_repair_tail`); the plain
# sum would lose up to all digits of Im ψ.
TAIL_HEIGHT = 1e-3
# Where Im ψ is more than this part of |ψ| the plain sum is good enough for an iterate that is not the last.
ROUGH_HEIGHT = 1e-5
# Terms 1/(1 − vt) held at a time: less than the 128 KiB for which the allocator would turn to the system.
BLOCK = 7000


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
    neglected : mass of φ'² ≠ 0 too small to be told from zero, counted as zero.
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
    neglected: float = 0.0

    @property
    def variance(self) -> float:
        """E (t − 1)² of the mean-one part, without cancellation."""
        return float((self.weights @ (self.points - 1.0) ** 2).real)

    def moments(self, order: int) -> Array:
        """E t^k, k = 1…order, of the mean-one part; relative accuracy 1e-13."""
        # Not by `**`: the powers of complex numbers are slow.
        powers = np.multiply.accumulate(np.tile(self.points, (order, 1)))
        return (powers @ self.weights).real


# Beyond so many laws a few points are summed in one row.
FEW, FEW_POINTS = 4, 3


class LawStack:
    """K mean-one laws side by side: ψ, ψ(1 − v) − v and derivatives at v of shape (K, n)."""

    def __init__(self, laws: Sequence[NodeLaw]) -> None:
        self.laws = tuple(laws)
        self._sums = [_NodeSums(law) for law in laws]
        self._narrow = np.array([one.narrow for one in self._sums], bool).reshape(-1, 1)
        self._continuous = [k for k, law in enumerate(self.laws) if law.cut_density is not None]
        self.size = sum(law.points.size for law in laws)
        self._flat = _in_rows(self._sums) if len(laws) > FEW else None

    def points(self, k: int) -> Array:
        """Nodes of law k (J,)."""
        return self._sums[k].points

    def tables(self, k: int) -> tuple[Array, Array, Array]:
        """Weights of law k for the sums behind ψ, A and 1 + ψ (J, 3), ψ' (J,) and ψ'' (J,)."""
        return self._sums[k].first, self._sums[k].slope, self._sums[k].second

    def poles(self, k: int) -> Array:
        """Where ψ of law k is not smooth on the real axis: 0 and the reciprocals of the corners."""
        return self._sums[k].poles

    def is_narrow(self, k: int) -> bool:
        """Variance below 1e-3: A is then always summed as squares."""
        return self._sums[k].narrow

    def evaluate(self, v: Array, order: int = 1, *, rough: bool = False) -> tuple[Array, Array, Array, list[Array]]:
        """ψ(v), 1 + ψ(v), A(v) = ψ(1 − v) − v, and [ψ', ψ'', …] up to `order`, each of shape (K, n).

        A is what S deviates by, S = v(1 + ψ)/ψ = 1 − A/ψ.  All three are sums of their own, without cancellation.
        `rough`: Im ψ above the cut may have an error of 1e-13 |ψ|.
        """
        sums = np.empty((*v.shape, 3), complex)
        derivatives = [np.empty(v.shape, complex) for _ in range(order)]
        if self._flat is not None and v.shape[1] <= FEW_POINTS:
            for part, row in self._flat:
                row.add_up(v[part], sums[part], [d[part] for d in derivatives])
        else:
            for k, one in enumerate(self._sums):
                one.add_up(v[k], sums[k], [d[k] for d in derivatives])
        psi = v * sums[..., 0]
        plus = sums[..., 2]
        away = 1.0 - v
        excess = v**2 * sums[..., 1] / away
        beside = (np.abs(away) < 0.3) & ~self._narrow
        if beside.any():
            excess[beside] = (psi * away - v)[beside]
        # Far above the cut there is nothing to repair, nor, where rough values will do, where Im ψ is large.
        doubtful = np.abs(psi.imag) < ROUGH_HEIGHT * np.abs(psi) if rough else None
        for k in self._continuous:
            if doubtful is None or doubtful[k].any():
                self._repair_tail(k, v[k], psi[k], plus[k], excess[k], rough)
        return psi, plus, excess, derivatives

    def _repair_tail(self, k: int, v: Array, psi: Array, plus: Array, excess: Array, rough: bool) -> None:
        """Give Im ψ its relative accuracy just above the cut, where the node sum has only absolute accuracy.

        With v = a + ib: ψ(v) − ψ(a + i0) = ib E t/((1 − at)(1 − vt)), so that Im ψ is the jump R(a) and the real part
        of that expectation, times b.
        """
        one, law = self._sums[k], self.laws[k]
        if v.size == 1 and v[0].imag == 0.0 and not one.on_cut(v[0].real):
            # A real sum over complex nodes: what is left of its imaginary part is rounding.
            psi.imag, plus.imag, excess.imag = 0.0, 0.0, 0.0
            return
        near = np.abs(v.imag) < TAIL_HEIGHT * np.min(np.abs(v - one.poles[:, None]), axis=0)
        if rough:
            near &= np.abs(psi.imag) < ROUGH_HEIGHT * np.abs(psi)
        if not near.any():
            return
        assert law.cut_density is not None
        here, w = v[near], psi[near]
        a, b = here.real, here.imag
        on_cut = one.on_cut(a)
        imaginary = np.zeros(a.size)
        if on_cut.any():
            imaginary[on_cut] = law.cut_density(a[on_cut])
        imaginary += b * one.divided_difference(a, here).real
        psi[near] = w.real + 1j * imaginary
        plus[near] = plus[near].real + 1j * imaginary
        # Where v is large ψ is near −1: only 1 + ψ has digits there.
        excess[near] = excess[near].real + 1j * (imaginary * (1.0 - a) - plus[near].real * b)


class _NodeSums:
    """Tables of one law and its sums over nodes, in blocks that stay in the cache."""

    def __init__(self, law: NodeLaw) -> None:
        real = not (np.any(np.imag(law.points)) or np.any(np.imag(law.weights)))
        self.points = np.ascontiguousarray(law.points.real) if real else law.points
        t, weights = law.points, law.weights.astype(complex)
        deviation = t - 1.0
        spread = weights * deviation**2
        # The middle column sums squares: S − 1 of a narrow law is of the size of its variance.
        self.first = np.stack([weights * t, spread, weights], axis=-1)
        self.slope = weights * t
        self.second = 2 * weights * t**2
        self.narrow = bool(abs(spread.sum()) < 1e-3)
        self.poles = np.array([0.0, *(1.0 / t for t in law.corners if t > 0.0)])
        self._reach = (law.largest, law.smallest)
        # One row alone would be summed term by term, and with three times the rounding.
        self._rows = max(8, BLOCK // t.size)

    def add_up(self, v: Array, first: Array, derivatives: list[Array]) -> None:
        """Write Σ W/(1 − vt) into `first` (n, 3), for its three tables, and ψ', ψ'' into `derivatives`."""
        for begin in range(0, v.size, self._rows):
            part = slice(begin, begin + self._rows)
            inverse = self._inverse(v[part])
            first[part] = inverse @ self.first
            power = inverse
            for table, values in zip((self.slope, self.second), derivatives, strict=False):
                power = power * inverse if power is inverse else np.multiply(power, inverse, out=power)
                values[part] = power @ table

    def on_cut(self, v: Any) -> Any:
        """Whether real v lies where the law may have a density."""
        largest, smallest = self._reach
        return (v * largest > 1.0) & (v * smallest < 1.0)

    def divided_difference(self, a: Array, v: Array) -> Array:
        """E t/((1 − at)(1 − vt))."""
        result = np.empty(v.shape, complex)
        for begin in range(0, v.size, self._rows):
            part = slice(begin, begin + self._rows)
            product = self._inverse(a[part].astype(complex))
            product *= self._inverse(v[part])
            result[part] = product @ self.slope
        return result

    def _inverse(self, v: Array) -> Array:
        """1/(1 − vt), shape (n, J)."""
        inverse = np.multiply.outer(v, self.points)
        np.subtract(1.0, inverse, out=inverse)
        return np.reciprocal(inverse, out=inverse)


def _in_rows(laws: Sequence[_NodeSums]) -> list[tuple[slice, _FlatSums]]:
    """Rows of laws next to each other that stay in the cache, and which laws they are."""
    rows, begin, size = [], 0, 0
    for k, law in enumerate(laws):
        size += law.points.size
        if k + 1 == len(laws) or size + laws[k + 1].points.size > BLOCK:
            rows.append((slice(begin, k + 1), _FlatSums(laws[begin : k + 1])))
            begin, size = k + 1, 0
    return rows


class _FlatSums:
    """The nodes of many laws in one row, for a few points: the fixed cost of a law is more than its sums."""

    def __init__(self, laws: Sequence[_NodeSums]) -> None:
        sizes = [one.points.size for one in laws]
        self._starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self._law = np.repeat(np.arange(len(laws)), sizes)
        self._points = np.concatenate([one.points.astype(complex) for one in laws])
        self._first = [np.concatenate([one.first[:, j] for one in laws]) for j in range(3)]
        self._powers = [np.concatenate([one.slope for one in laws]), np.concatenate([one.second for one in laws])]

    def add_up(self, v: Array, first: Array, derivatives: list[Array]) -> None:
        """As `_NodeSums.add_up`, for v (K, n)."""
        for column in range(v.shape[1]):
            inverse = 1.0 / (1.0 - v[self._law, column] * self._points)
            for j, table in enumerate(self._first):
                first[:, column, j] = np.add.reduceat(table * inverse, self._starts)
            power = inverse
            for table, values in zip(self._powers, derivatives, strict=False):
                power = power * inverse
                values[:, column] = np.add.reduceat(table * power, self._starts)
