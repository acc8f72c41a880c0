"""Finitely many atoms, Σ p_i δ_{a_i}, known through ψ(u) = Σ p_i u a_i/(1 − u a_i)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from ..law import NodalLaw
from ..transforms import moments, stieltjes
from .nodes import NodeLaw

# Rounding of the given masses, which are then scaled to sum to 1.
MASS_ROUNDING = 1e-12


@dataclass(frozen=True, init=False)
class Discrete(NodalLaw):
    """Σ p_i δ_{a_i}, a_i ≥ 0.

    Parameters
    ----------
    locations : a_i, not all 0; equal ones are merged.
    masses : p_i ≥ 0, Σ p_i = 1; equal masses if left out.
    """

    locations: tuple[float, ...]
    masses: tuple[float, ...]

    def __init__(self, locations: Sequence[float], masses: Sequence[float] | None = None) -> None:
        places = [float(a) for a in locations]
        if not places:
            raise ValueError("`Discrete(locations=[])`: at least one location is needed.")
        weights = [1.0 / len(places)] * len(places) if masses is None else [float(p) for p in masses]
        if len(places) != len(weights):
            raise ValueError(
                f"`Discrete`: {len(places)} locations but {len(weights)} masses; there must be as many of each."
            )
        if not all(math.isfinite(a) and a >= 0.0 for a in places):
            raise ValueError(f"`Discrete(locations={places})`: `locations` must be finite and not negative.")
        total = math.fsum(weights)
        if not (all(p >= 0.0 for p in weights) and abs(total - 1.0) < MASS_ROUNDING):
            raise ValueError(f"`Discrete(masses={weights})`: `masses` must be ≥ 0 and sum to 1; they sum to {total}.")
        merged: dict[float, float] = {}
        for a, p in sorted(zip(places, weights, strict=True)):
            if p > 0.0:
                merged[a] = merged.get(a, 0.0) + p / total
        if set(merged) <= {0.0}:
            raise ValueError(f"`Discrete(locations={places})`: some mass must lie off zero; the mean must be positive.")
        object.__setattr__(self, "locations", tuple(merged))
        object.__setattr__(self, "masses", tuple(merged.values()))

    def node_law(self, level: int = 0) -> NodeLaw:  # noqa: ARG002 (there is nothing to resolve)
        """Real nodes at the atoms off zero, scaled to mean one."""
        return _nodes(self.locations, self.masses)


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
        return (np.array(law.masses) / (z - np.array(law.locations))).sum(-1)[()]


@moments.register
def _(law: Discrete, order: int) -> np.ndarray:
    return np.array(law.locations) ** np.arange(1.0, order + 1.0)[:, None] @ np.array(law.masses)
