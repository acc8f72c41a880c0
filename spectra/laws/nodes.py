"""Mean-one laws as finite sums ψ(v) = Σ W_j v t_j / (1 − v t_j), several laws evaluated at once.

An atom is a real node.  A continuous part is a set of complex nodes: the support is pushed into the upper half of
the t-plane, so that the sum stays spectrally accurate for every v in the closed upper half plane, on the cut too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from .._types import Array
from ..ratio import Ratio
from .sums import NodeSums

# Below this relative height above the cut, Im ψ is rebuilt from the law's own density (see `_repair_tail`); the plain
# sum would lose up to all digits of Im ψ.
TAIL_HEIGHT = 1e-3
# Where Im ψ is more than this part of |ψ| the plain sum is good enough for an iterate that is not the last.
ROUGH_HEIGHT = 1e-9
# Variance below which a law is narrow.
NARROW = 1e-3


class CutDensity(Protocol):
    """The continuous part of a law on the real axis itself (`spectra.laws.inverse`)."""

    def tables(self) -> list[Array]:
        """What `near` interpolates: rows log t, the logarithm of a part of Im ψ and the slope of that in log t."""
        ...

    @property
    def faded(self) -> bool:
        """Whether that is not yet all."""
        ...

    def __call__(self, v: Array, *, rough: bool = False) -> Array:
        """What Im ψ(v + i0) is on the cut, v > 0 real; `rough`: to some six digits."""
        ...

    def near(self, v: float) -> float:
        """The same at one v, to some four digits."""
        ...

    def mass_below(self, t: Array) -> Array:
        """P(continuous part ≤ t | t ≠ 0)."""
        ...

    def quadrature(self) -> tuple[Array, Array]:
        """Values t and weights of a rule."""
        ...


@dataclass(frozen=True, eq=False)
class NodeLaw:
    """A law on [0, ∞): mass 1 − rank at zero; the rest, scaled to mean one, in a form whose ψ is a sum over nodes.

    Laws are equal where they are the same object.

    Parameters
    ----------
    points, weights : complex arrays (J,); Σ weights = 1, Σ weights·points = 1.
    mean : of the whole law; the part off zero is that of (mean/rank)·t.
    rank, lost : mass off zero, and at zero.
    largest, smallest : the ends of the support (of t).
    atoms : (location, mass) pairs of t given that it is not 0.
    cut_density : π times the density of ψ's jump, R(v) = π Σ_j g(x_j)/|d log t/dx_j| at t(x_j) = 1/v, v real, or
        None for a law of atoms only.
    cuts : the intervals of t where it has a density, ascending and apart; left out, all of the support.
    corners : values of t where the density is not smooth: ends, atoms, critical values.
    resolved : the nodes know the law down to this t.
    neglected : mass of φ'² ≠ 0 too small to be told from zero, counted as zero.
    supremum, infimum : true ends of the support where it reaches beyond `largest`, `smallest` with negligible mass.
    """

    points: Array
    weights: Array
    mean: float
    rank: float
    lost: float
    largest: float
    smallest: float
    atoms: tuple[tuple[float, float], ...]
    cut_density: CutDensity | None = None
    cuts: tuple[tuple[float, float], ...] = ()
    corners: tuple[float, ...] = ()
    resolved: float = 0.0
    supremum: float | None = None
    infimum: float | None = None
    neglected: float = 0.0

    def __post_init__(self) -> None:
        if self.cut_density is not None and not self.cuts:
            object.__setattr__(self, "cuts", ((self.smallest, self.largest),))

    def over_rank(self, ratio: float) -> Ratio:
        """ratio/rank, with the digits of 1 − rank."""
        return Ratio(ratio, self.rank, self.lost)

    @cached_property
    def variance(self) -> float:
        """E (t − 1)² of the mean-one part, without cancellation."""
        return float((self.weights @ (self.points - 1.0) ** 2).real)

    def on_cut(self, v: Any) -> Any:
        """Whether real v lies where the law may have a density."""
        found = (v * self.largest > 1.0) & (v * self.smallest < 1.0)
        if self._has_gaps:
            found = found & np.any([(v * high > 1.0) & (v * low < 1.0) for low, high in self.cuts], axis=0)
        return found

    @cached_property
    def _has_gaps(self) -> bool:
        """Whether its density leaves a part of the support out: between intervals, or between one and an atom."""
        return bool(self.cuts) and self.cuts != ((self.smallest, self.largest),)

    def cut_ahead(self, v: float) -> float:
        """Upper end, in t, of the next interval with a density that growing v > 0 comes to; 0 where there is none."""
        return max((high for _, high in self.cuts if v * high < 1.0), default=0.0)

    def has_density_at(self, v: float) -> bool:
        """Whether real v lies where the law has a density."""
        return self.cut_density is not None and bool(self.on_cut(v))

    def moments(self, order: int) -> Array:
        """E t^k, k = 1…order, of the mean-one part; relative accuracy 1e-13."""
        # Not by `**`: the powers of complex numbers are slow.
        powers = np.multiply.accumulate(np.tile(self.points, (order, 1)))
        return (powers @ self.weights).real


class LawStack:
    """K mean-one laws side by side: ψ, ψ(1 − v) − v and derivatives at v of shape (K, n).

    `sums`, `poles` and `narrow` are those of each: its sums over nodes, where ψ is not smooth on the real axis, and
    whether its variance is so small that A is always summed as squares.
    """

    def __init__(self, laws: Sequence[NodeLaw]) -> None:
        self.laws = tuple(laws)
        self.sums = [NodeSums(law.points, law.weights) for law in laws]
        self.poles = [np.array([0.0, *(1.0 / t for t in law.corners if t > 0.0)]) for law in laws]
        self.narrow = [abs(law.variance) < NARROW for law in laws]
        self._wide = ~np.array(self.narrow, bool).reshape(-1, 1)
        self._continuous = [k for k, law in enumerate(self.laws) if law.cut_density is not None]
        self.size = sum(law.points.size for law in laws)

    def evaluate(self, v: Array, order: int = 1, *, rough: bool = False) -> tuple[Array, Array, Array, list[Array]]:
        """ψ(v), 1 + ψ(v), A(v) = ψ(1 − v) − v, and [ψ', ψ'', …] up to `order`, each of shape (K, n).

        A is what S deviates by, S = v(1 + ψ)/ψ = 1 − A/ψ.  All three are sums of their own, without cancellation.
        `rough`: Im ψ above the cut may have an error of 1e-13 |ψ| where it is more than 1e-9 |ψ|.
        """
        sums = np.empty((*v.shape, 3 + order), complex)
        for k, one in enumerate(self.sums):
            one.add_up(v[k], sums[k])
        derivatives = [sums[..., 3 + k] for k in range(order)]
        psi = v * sums[..., 0]
        plus = sums[..., 2]
        away = 1.0 - v
        excess = v**2 * sums[..., 1] / away
        beside = (np.abs(away) < 0.3) & self._wide
        if beside.any():
            excess[beside] = (psi * away - v)[beside]
        for k in self._continuous:
            real = v[k].imag == 0.0
            if real.any():
                # In a gap a real sum over complex nodes: what there is of its imaginary part is the error of the rule.
                real &= ~self.laws[k].on_cut(v[k].real)
                for rows in (psi, plus, excess):
                    rows[k, real] = rows[k, real].real
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
        one, law = self.sums[k], self.laws[k]
        near = np.abs(v.imag) < TAIL_HEIGHT * np.min(np.abs(v - self.poles[k][:, None]), axis=0)
        if rough:
            near &= np.abs(psi.imag) < ROUGH_HEIGHT * np.abs(psi)
        if not near.any():
            return
        assert law.cut_density is not None
        here, w = v[near], psi[near]
        a, b = here.real, here.imag
        on_cut = law.on_cut(a)
        imaginary = np.zeros(a.size)
        if on_cut.any():
            imaginary[on_cut] = law.cut_density(a[on_cut])
        imaginary += b * one.divided_difference(a, here).real
        psi[near] = w.real + 1j * imaginary
        plus[near] = plus[near].real + 1j * imaginary
        # Where v is large ψ is near −1: only 1 + ψ has digits there.
        excess[near] = excess[near].real + 1j * (imaginary * (1.0 - a) - plus[near].real * b)
