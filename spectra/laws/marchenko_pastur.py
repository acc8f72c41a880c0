"""The Marchenko-Pastur law of XXᵀ/n, X of size cn×n, S(w) = 1/(v (1 + c w))."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._types import Array
from ..exact.chain import moments_from_cumulants
from ..line.numbers import Number, exactly
from ..positive_law import PositiveLaw
from ..transforms import density, free_cumulants, moments, r_transform, stieltjes

if TYPE_CHECKING:
    from ..exact.power_series import Ring


@dataclass(frozen=True)
class MarchenkoPastur(PositiveLaw):
    """Law of XXᵀ/n, X of size cn×n with entries of variance v: S(w) = 1/(v (1 + c w)).

    Mean v, variance c v², support v [(1 − √c)², (1 + √c)²], and an atom of mass 1 − 1/c at 0 if c > 1.

    Parameters
    ----------
    ratio : c > 0.
    scale : v > 0.

    Source
    ------
    Marchenko and Pastur, Math. USSR Sb. 1 (1967), 457-483.
    """

    ratio: Number
    scale: Number = 1

    def __post_init__(self) -> None:
        for name in ("ratio", "scale"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"`MarchenkoPastur({name}={value})`: `{name}` must be positive and finite.")

    @property
    def mean(self) -> float:
        """The scale v."""
        return float(self.scale)

    def shifts(self) -> tuple[tuple[float, float], ...]:
        """(1 + c w)^{−1}."""
        return ((float(self.ratio), -1.0),)

    def r_and_slope(self, g: Array) -> tuple[Array, Array]:
        """v/(1 − c v g) and its derivative: the law is freely infinitely divisible."""
        c, v = float(self.ratio), float(self.scale)
        r = v / (1.0 - c * v * g)
        return r, c * r**2

    @property
    def hull(self) -> tuple[float, float]:
        """V (1 ± √c)², with the atom at 0."""
        low, high = _edges(float(self.ratio))
        return (low if self.ratio < 1 else 0.0) * self.mean, high * self.mean

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """The atom at 0; at c = 1 the density diverges there."""
        return ((0.0, max(1.0 - 1.0 / float(self.ratio), 0.0)),) if self.ratio >= 1 else ()

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """From κ_k = c^{k−1} v^k."""
        c, v = (ring.number(exactly(x)) for x in (self.ratio, self.scale))
        return moments_from_cumulants(ring, [c ** (k - 1) * v**k for k in range(1, order + 1)])

    @property
    def is_rational(self) -> bool:
        """Always."""
        return True


def _edges(ratio: float) -> tuple[float, float]:
    root = math.sqrt(ratio)
    return (1.0 - root) ** 2, (1.0 + root) ** 2


@stieltjes.register
def _(law: MarchenkoPastur, z: ArrayLike) -> np.ndarray:
    # c z G² − (z + c − 1) G + 1 = 0 at v = 1; of the two forms of its root the one that does not cancel.
    z, c = np.asarray(z, complex) / law.mean, float(law.ratio)
    low, high = _edges(c)
    root = np.sqrt(z - low) * np.sqrt(z - high)
    linear = z + (c - 1.0)
    adds = (linear * root.conj()).real >= 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(adds, 2.0 / (linear + root), (linear - root) / (2.0 * c * z))
    return (value / law.mean)[()]


@density.register
def _(law: MarchenkoPastur, x: ArrayLike) -> np.ndarray:
    x, c = np.asarray(x, float) / law.mean, float(law.ratio)
    low, high = _edges(c)
    inside = (x > low) & (x < high)
    x = np.where(inside, x, 1.0)
    value = np.sqrt(np.abs((x - low) * (high - x))) / (2.0 * math.pi * c * x * law.mean)
    return np.where(inside, value, 0.0)[()]


@r_transform.register
def _(law: MarchenkoPastur, g: ArrayLike) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return (law.mean / (1.0 - float(law.ratio) * law.mean * np.asarray(g)))[()]


@moments.register
def _(law: MarchenkoPastur, order: int) -> np.ndarray:
    # Narayana numbers.
    c, values = float(law.ratio), []
    for k in range(1, order + 1):
        terms = [math.comb(k, j) * math.comb(k - 1, j) / (j + 1) * c**j for j in range(k)]
        values.append(math.fsum(terms) * law.mean**k)
    return np.array(values)


@free_cumulants.register
def _(law: MarchenkoPastur, order: int) -> np.ndarray:
    k = np.arange(1.0, order + 1.0)
    return float(law.ratio) ** (k - 1.0) * law.mean**k
