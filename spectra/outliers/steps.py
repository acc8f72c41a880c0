"""What one layer is before its neighbours have their say: tensors in powers of x, or at nodes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .._types import Array
from ..correlated.blocks import mixture_of
from ..network.drift import Values
from .between import Units, Weights
from .passage import Between

# The functions 1, x, x² of a state.
POWERS = 3
# From the coefficients of x b to what is expected of b: x · x² is never asked for.
TIMES_X = np.eye(POWERS, k=-1)


@dataclass(frozen=True, eq=False)
class Step:
    """A `Passage` whose functions are 1, x, x², or indicators of nodes.

    Attributes
    ----------
    inner, outer, through : as there.
    tensors : gives M of 1, e, f, ee, ef, ff; those of all layers at nodes together would take much memory.
    entering, leaving : nodes of x_{l−1} and x_l with their masses; None where powers stand for the functions.
    """

    inner: Array
    outer: Array
    through: Array
    tensors: Callable[[], tuple[Array, ...]]
    entering: Values | None = None
    leaving: Values | None = None
    hidden: tuple[Between, ...] = field(default=())


def fresh(amplitude: float, skip: float, weights: Weights, leaving: Values | None = None) -> Step:
    """Block x ← βx + αφ(h), h = W_K(⋯W_1 x) + b normal and independent of all before.

    Parameters
    ----------
    leaving : of linear φ without a skip, nodes of x_l to give instead of powers of it.
    """
    if leaving is None:
        units = Units.of(weights.activation, weights.weight2 * weights.seconds[-1] + weights.bias2, weights.bias2)
        squares = units.squares
        given = amplitude * weights.given * units.slope
        image = given * units.own * units.h
        both = given**2 * ((units.own * units.h) ** 2 + units.noise)
        tensors = [_powers(skip, amplitude, units, values) for values in (np.ones_like(image), image, both)]
    else:
        slope = float(weights.activation.derivative(np.array([1.0]))[0])
        own = 1.0 - weights.bias2 / (weights.weight2 * weights.seconds[-1] + weights.bias2)
        squares = np.array([slope**2])
        image = weights.given * own * leaving.places
        both = image**2 + (weights.given * amplitude * slope) ** 2 * own * weights.bias2
        tensors = []
        for values in (np.ones_like(image), image, both):
            tensor = np.zeros((1, POWERS, image.size))
            tensor[0, 0] = values * leaving.share
            tensors.append(tensor)
    one, f, ff = tensors
    size = weights.seconds[0] ** -0.5
    e, ef = size * (TIMES_X @ one), size * (TIMES_X @ f)
    ones = np.ones_like(squares)
    all_six = (one, e, f, size * (TIMES_X @ e), ef, ff)
    return Step(ones, squares, skip * ones, lambda: all_six, None, leaving, weights.between())


def _powers(skip: float, amplitude: float, units: Units, values: Array) -> Array:
    """E[v (βx + αφ)^b | x], b = 0, 1, 2, in powers of x, for v as `values`, (J, 3, 3)."""
    y = amplitude * units.phi
    plain, first, second = units.weights(np.stack([values, values * y, values * y**2]))
    zero = np.zeros_like(plain)
    rows = [
        [plain, first, second],
        [zero, skip * plain, 2.0 * skip * first],
        [zero, zero, skip**2 * plain],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def followed(
    entering: Values,
    leaving: Values,
    kernel: Callable[[], Array],
    branch: tuple[Array, float, float],
    diagonals: tuple[Array | None, Array | None, float],
    weights: Weights,
    taken: Array,
) -> Step:
    """A block of which x is followed at nodes.

    Parameters
    ----------
    entering, leaving : x_{l−1} and x_l.
    kernel : gives P(x_l | x_{l−1}), (n, n′).
    branch : the sum βx + α(g + b) at the nodes of x_l, (n′,), the part of α(g + b) that g has in the mean, and the
        variance of αg given both.
    diagonals : E (n,), D (n′,), None for 1, and β; D multiplies βx, too.
    taken : what the first weights take, (n,).
    """
    before, after, skip = diagonals
    slopes = before if before is not None else after
    assert slopes is not None
    size = weights.seconds[0] ** -0.5
    values, mixture = mixture_of(slopes**2 if before is not None else slopes)
    ones = np.ones_like(values)
    # Of slopes after the sum signs count in products of vectors.
    sides = (values, ones, skip * ones) if before is not None else (ones, values**2, skip * values)

    def tensors() -> tuple[Array, ...]:
        sums, own, noise = branch
        g = own * (sums - skip * entering.places[:, None])
        share = mixture.T[:, :, None] if before is not None else mixture.T[:, None, :]
        share = share * kernel()
        e = (size * taken * (before if before is not None else 1.0))[:, None]
        f = weights.given * (after if after is not None else np.ones(g.shape[1]))
        return tuple(share * v for v in (np.ones_like(g), e, f * g, e**2, e * f * g, f**2 * (g**2 + noise)))

    return Step(*sides, tensors, entering, leaving, weights.between())
