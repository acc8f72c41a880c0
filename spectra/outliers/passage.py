"""What one layer x ← βx + αφ(Wx + b) does to a neuron, averaged over its pre-activation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._types import Array
from ..correlated.blocks import mixture_of
from ..correlated.grid import LONGEST, Grid
from ..network.architectures import architecture_of

if TYPE_CHECKING:
    from ..network.architectures.architecture import Level
    from ..network.config import LayerSpec
    from ..network.meanfield import MeanField


@dataclass(frozen=True, eq=False)
class Passage:
    """A layer of one neuron: h normal, g = h − b, E = φ'(h), at values of E² that carry its law.

    Attributes
    ----------
    skip, amplitude : β and α.
    second : r = E x² of what enters.
    gain : α²σ_w².
    haar : W is orthogonal, or else Gaussian.
    squares : values of E², (J,).
    mass, value, value2, image, image_value, image2 : weights (J,) with Σ_j w_j f(E²_j) = E[y f(E²)] for y = 1, φ(h),
        φ(h)², E g, E g φ(h), E²g².
    """

    skip: float
    amplitude: float
    second: float
    gain: float
    haar: bool
    squares: Array
    mass: Array
    value: Array
    value2: Array
    image: Array
    image_value: Array
    image2: Array


def passages_of(field: MeanField) -> list[Passage] | None:
    """Every layer of the network, J_1 first.

    None where a block reads x itself, is normalised, has several layers in its branch, or φ after its sum.
    """
    found = []
    for run in field.runs:
        if architecture_of(run.spec).reads_state(run.spec) or run.spec.normalise is not None:
            return None
        if run.spec.branch_layers > 1 or run.spec.order == "sum":
            return None
        found += [_passage(run.spec, run.level, q) for q in run.variances.tolist()]
    return found


def _passage(spec: LayerSpec, level: Level, q: float) -> Passage:
    architecture, activation, root = architecture_of(spec), spec.activation, math.sqrt(q)
    grid = Grid.between(np.array(activation.kinks, float) / root, 1.0, min(LONGEST, LONGEST / root))
    h = root * grid.nodes
    phi, slope = np.asarray(activation(h), float), np.asarray(activation.derivative(h), float)
    squares, mixture = mixture_of(slope**2)
    weight2, bias2 = float(spec.sigma_w) ** 2, float(spec.sigma_b or 0.0) ** 2
    # g given h: mean (1 − σ_b²/q) h, variance (1 − σ_b²/q) σ_b².
    own = 1.0 - bias2 / q
    rows = np.stack(
        [np.ones_like(h), phi, phi**2, slope * own * h, slope * own * h * phi, slope**2 * own * (own * h**2 + bias2)]
    )
    gain = architecture.gain(spec, level)
    return Passage(
        architecture.skip(spec),
        math.sqrt(gain / weight2),
        (q - bias2) / weight2,
        gain,
        spec.weights == "orthogonal",
        squares,
        *(rows * grid.share) @ mixture,
    )
