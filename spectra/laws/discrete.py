"""Finitely many atoms, Σ p_i δ_{a_i}, known through ψ(u) = Σ p_i u a_i/(1 − u a_i)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..line.atoms import AtomsCurve
from ..line.numbers import Number, exactly
from ..positive_law import NodalLaw
from ..transforms import moments, stieltjes
from .nodes import NodeLaw

if TYPE_CHECKING:
    from ..exact.power_series import Ring

# Rounding of the given masses, which are then scaled to sum to 1.
MASS_ROUNDING = 1e-12


@dataclass(frozen=True, init=False)
class Discrete(AtomsCurve, NodalLaw):
    """Σ p_i δ_{a_i}, a_i ≥ 0.

    Parameters
    ----------
    locations : a_i, not all 0; equal ones are merged.
    masses : p_i ≥ 0, Σ p_i = 1; equal masses if left out.
    """

    locations: tuple[Number, ...]
    masses: tuple[Number, ...]

    def __init__(self, locations: Sequence[Number], masses: Sequence[Number] | None = None) -> None:
        merged = merged_atoms("Discrete", locations, masses)
        if not all(a >= 0 for a in merged):
            raise ValueError(
                f"`Discrete(locations={listed(locations)})`: `locations` must not be negative; `Atomic` allows it."
            )
        if set(merged) <= {0}:
            raise ValueError(
                f"`Discrete(locations={listed(locations)})`: some mass must lie off zero; the mean must be positive."
            )
        object.__setattr__(self, "locations", tuple(merged))
        object.__setattr__(self, "masses", tuple(merged.values()))

    def node_law(self, level: int = 0) -> NodeLaw:  # noqa: ARG002 (there is nothing to resolve)
        """Real nodes at the atoms off zero, scaled to mean one."""
        return _nodes(tuple(float(a) for a in self.locations), tuple(float(p) for p in self.masses))

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """Σ p a^k, exactly."""
        pairs = [(exactly(a), exactly(p)) for a, p in zip(self.locations, self.masses, strict=True)]
        return [ring.number(sum((p * a**k for a, p in pairs), Fraction(0))) for k in range(1, order + 1)]

    @property
    def is_rational(self) -> bool:
        """Always."""
        return True


def merged_atoms(name: str, locations: Sequence[Number], masses: Sequence[Number] | None) -> dict[Number, Number]:
    """Locations in ascending order → masses, equal locations as one; masses left out are equal.

    Raises
    ------
    ValueError : no locations, or ones that are not finite; as many masses as there are not; masses that are negative
        or do not sum to 1.
    """
    if not len(locations):
        raise ValueError(f"`{name}(locations=[])`: at least one location is needed.")
    weights = [Fraction(1, len(locations))] * len(locations) if masses is None else list(masses)
    if len(locations) != len(weights):
        raise ValueError(
            f"`{name}`: {len(locations)} locations but {len(weights)} masses; there must be as many of each."
        )
    if not all(math.isfinite(a) for a in locations):
        raise ValueError(f"`{name}(locations={listed(locations)})`: `locations` must be finite.")
    if not all(math.isfinite(p) and p >= 0 for p in weights):
        raise ValueError(f"`{name}(masses={listed(weights)})`: `masses` must be finite, and none negative.")
    total = sum((exactly(p) for p in weights), Fraction(0))
    if not abs(total - 1) < MASS_ROUNDING:
        raise ValueError(
            f"`{name}(masses={listed(weights)})`: `masses` must be ≥ 0 and sum to 1; they sum to {float(total)}."
        )
    merged: dict[Number, Number] = {}
    for a, p in sorted(zip(locations, weights, strict=True)):
        if p > 0:
            merged[_plain(a)] = merged.get(_plain(a), 0) + (_plain(p) if total == 1 else float(p) / float(total))
    return merged


def _plain(x: Number) -> Number:
    return x if isinstance(x, (int, Fraction)) else float(x)


def listed(numbers: Sequence[Number]) -> list[Number]:
    """Numbers as an error message shows them."""
    return [x if isinstance(x, int) else float(x) for x in numbers]


@lru_cache(maxsize=256)
def _nodes(locations: tuple[float, ...], masses: tuple[float, ...]) -> NodeLaw:
    zero = masses[0] if locations[0] == 0.0 else 0.0
    places = np.array(locations[1:] if zero else locations)
    weights = np.array(masses[1:] if zero else masses)
    rank = 1.0 - zero
    weights = weights / weights.sum()
    centre = float(places @ weights)
    places = places / centre
    places = places / float(places @ weights)
    return NodeLaw(
        points=places.astype(complex),
        weights=weights.astype(complex),
        mean=centre * rank,
        rank=rank,
        lost=zero,
        largest=float(places[-1]),
        smallest=float(places[0]),
        atoms=tuple(zip(places.tolist(), weights.tolist(), strict=True)),
        corners=tuple(places.tolist()),
    )


@stieltjes.register
def _(law: Discrete, z: ArrayLike) -> np.ndarray:
    z = np.asarray(z, complex)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        return (np.array(law.masses, float) / (z - np.array(law.locations, float))).sum(-1)[()]


@moments.register
def _(law: Discrete, order: int) -> np.ndarray:
    return np.array(law.locations, float) ** np.arange(1.0, order + 1.0)[:, None] @ np.array(law.masses, float)
