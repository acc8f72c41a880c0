"""The normal variables of a layer, and units between two weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._types import Array
from ..correlated.blocks import mixture_of
from ..correlated.grid import LONGEST, Grid
from ..network.expectations import gaussian_moments
from .passage import Between

if TYPE_CHECKING:
    from ..activations import Activation


@dataclass(frozen=True, eq=False)
class Units:
    """φ and φ' of h normal, at nodes, and what is known of g = h − b given h.

    Attributes
    ----------
    h, share : nodes and their weights, (n,).
    phi, slope : (n,).
    own, noise : given h, g has mean own · h and variance own · σ_b².
    squares, mixture : values (J,) that carry the law of φ'², (n, J).
    """

    h: Array
    share: Array
    phi: Array
    slope: Array
    own: float
    noise: float
    squares: Array
    mixture: Array

    @staticmethod
    def of(activation: Activation, q: float, bias2: float) -> Units:
        """Those with Var h = q, Var b = `bias2`."""
        root = math.sqrt(q)
        grid = Grid.between(np.array(activation.kinks, float) / root, 1.0, min(LONGEST, LONGEST / root))
        h = root * grid.nodes
        slope = np.asarray(activation.derivative(h), float)
        own = 1.0 - bias2 / q
        phi = np.asarray(activation(h), float)
        return Units(h, grid.share, phi, slope, own, own * bias2, *mixture_of(slope**2))

    def weights(self, values: Array) -> Array:
        """Weights (…, J) on the squares that stand for E[v f(φ'²)], v as `values` (…, n)."""
        return (values * self.share) @ self.mixture


@dataclass(frozen=True)
class Weights:
    """Weights of a branch: φ, σ_w², σ_b², and E z_k² of what each of them takes."""

    activation: Activation
    weight2: float
    bias2: float
    seconds: tuple[float, ...]

    @staticmethod
    def of(activation: Activation, weight2: float, bias2: float, first: float, hidden: tuple[float, ...]) -> Weights:
        """Those of which the first takes E z² = `first`, Var h_k between them as `hidden`."""
        moments = gaussian_moments(activation)
        return Weights(activation, weight2, bias2, (first, *(moments.at(q).second for q in hidden)))

    @property
    def given(self) -> float:
        """Factor of g in f of the last weights, of gain α²σ_w^{2K}, beside α: those before have gain 1."""
        return self.weight2 ** (0.5 * (len(self.seconds) - 1)) / math.sqrt(self.seconds[-1])

    def between(self) -> tuple[Between, ...]:
        """Units between the weights."""
        found = []
        for before, after in zip(self.seconds[:-1], self.seconds[1:], strict=True):
            units = Units.of(self.activation, self.weight2 * before + self.bias2, self.bias2)
            g, e = units.own * units.h, units.slope * units.phi
            found.append(
                Between(
                    units.squares,
                    units.weights(g**2 + units.noise) / (self.weight2 * before),
                    units.weights(e**2) / after,
                    units.weights(g * e) / math.sqrt(self.weight2 * before * after),
                )
            )
        return tuple(found)
