"""The law of JJᵀ of a chain of blocks as a `Spectrum`, with its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from ..spectrum import Spectrum
from .blocks import Block
from .density import bulks_of, charts_of, density_at
from .equation import BlockEquation
from .layers import Layer, blocks_of
from .moments import block_moments
from .solved import LEVELS, BlockLaw, Moments

# Nodes of the messages: the first of these beyond which they change the density by less than `SETTLED`, at these parts
# of the way through a bulk.
COUNTS, SETTLED, PARTS = (6, 9, 12, 16, 24), 1e-8, (0.1, 0.3, 0.45, 0.5, 0.55, 0.7, 0.9)
# More nodes of a message, and how much finer the states are, where the answer is looked at again.
MORE, FINER = 4, 1.5


def block_law(layers: Sequence[Layer], *, fresh: bool = False) -> BlockLaw:
    """The law of JJᵀ for wide networks of these layers, square ones.

    Parameters
    ----------
    layers : J_1 first.
    fresh : as if the slopes were independent from layer to layer: what plain freeness says.

    Raises
    ------
    ConvergenceError : the law was not found, reaches λ = 0, or has edges that are not those of a square root.

    Accuracy
    --------
    Some 1e-9 relative in the density, stated as `error`; edges 1e-10; moments 1e-11 (tests/test_correlated.py).
    """
    blocks = blocks_of(layers, fresh=fresh)
    bulks = bulks_of(BlockEquation(blocks, COUNTS[0]))
    equation = _resolved(blocks, [low[1] + part * (high[0] - low[1]) for low, high in bulks for part in PARTS])
    charts = charts_of(equation, bulks)
    low, high = charts[0].low, charts[-1].high
    moments = Moments(partial(block_moments, equation), math.exp(-low))
    spectrum = Spectrum(
        arcs=charts,
        log_atoms=(),
        atom_at_zero=0.0,
        log_support=(high, low),
        log_scaled_moments=moments.log_scaled,
        log_mean=math.log(moments.first(1)[0]),
    )
    finer = BlockEquation(blocks_of(layers, fresh=fresh, finer=FINER), equation.count + MORE)
    residual, uncertified = max(c.residual for c in charts), sum(c.uncertified for c in charts)
    return BlockLaw(spectrum, residual, uncertified, _error(spectrum, finer))


def _resolved(blocks: Sequence[Block], at: Sequence[float]) -> BlockEquation:
    """The equation with so many nodes in its messages that more change nothing."""
    u = np.array(at)
    equation = BlockEquation(blocks, COUNTS[0])
    before, _ = density_at(equation, u)
    for count in COUNTS[1:]:
        equation = BlockEquation(blocks, count)
        density, found = density_at(equation, u)
        if found.solved.all() and np.max(np.abs(density / before - 1.0)) < SETTLED:
            break
        before = density
    return equation


def _error(spectrum: Spectrum, finer: BlockEquation) -> float:
    """The largest relative difference of the density to that of a finer equation."""
    u = spectrum.quantile_at(np.array(LEVELS))
    density, found = density_at(finer, u)
    if not found.solved.all():
        return math.inf
    return float(np.max(np.abs(np.exp(spectrum.log_density_at(u)) / density - 1.0)))
