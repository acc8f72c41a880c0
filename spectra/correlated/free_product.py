"""The law of JJᵀ of layers that are free of each other: fast, whatever the depth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np

from .._types import Array
from ..chart import Chart
from ..errors import ConvergenceError
from ..network.rule import gauss_rule, position, variance_at
from ..spectrum import Spectrum
from .arcsine import Arcsine, arcsine_of
from .bulks import Bulk, bulks_of
from .density import chart_of
from .free import FreeBlock, FreeEquation
from .known import Known
from .layers import Layer, slope_law
from .moments import block_moments
from .solved import BlockLaw, Moments, error_beside, log_support, spectrum_of

# Nodes of a law of slopes, and of variances that stand for those of many layers; the first that the next ones move by
# less than this.
SIZES, SETTLED = (4, 8, 16, 32, 64), 1e-11
# Of the deviation from freeness: as found for ReLU and tanh, Gaussian and orthogonal, between 3 and 16 blocks.
DEFECT = 0.4
# Places along the bulk to begin with, and by how much the mass of one bulk may be off for there to be no other.
PLACES, ALL = 40, 1e-9


def free_law(layers: Sequence[Layer]) -> BlockLaw:
    """The law of JJᵀ for wide networks of these layers as if they were free of each other.

    Raises
    ------
    ConvergenceError : as `block_law`.

    Accuracy
    --------
    1e-10 in the density of the law of free layers, stated as `error`; `freeness_defect` says how far that law is from
    that of layers with independent slopes.
    """
    arcsine = arcsine_of(layers)
    if arcsine is not None:
        return _of_arcsine(arcsine)
    equation, size = _resolved(layers)
    charts, bulks = _quick(equation), []
    if charts is None:
        bulks = bulks_of(equation)
        charts = tuple(chart_of(equation, bulk) for bulk in bulks)
    largest = math.exp(-log_support(charts, equation.zero, equation.atom)[1])
    moments = Moments(partial(free_moments, equation), largest)
    spectrum = spectrum_of(charts, equation.zero, moments, equation.log_mean, equation.atom)
    return BlockLaw(
        spectrum,
        max(chart.residual for chart in charts),
        sum(chart.uncertified for chart in charts),
        _error(spectrum, FreeEquation(free_blocks(layers, 2 * size)), bulks),
    )


def _of_arcsine(equation: Arcsine) -> BlockLaw:
    chart = chart_of(equation, equation.bulk)
    moments = Moments(partial(block_moments, equation), math.exp(-equation.log_range[0]))
    spectrum = spectrum_of((chart,), 0.0, moments, equation.log_mean)
    return BlockLaw(spectrum, chart.residual, chart.uncertified, error_beside(spectrum, equation, [None]))


def free_blocks(layers: Sequence[Layer], size: int) -> list[FreeBlock]:
    """Blocks for these layers: laws of slopes with so many nodes, and so many variances for those of many layers."""
    alike: dict[Layer, Counter[float]] = {}
    for layer in layers:
        # Slopes of a homogeneous φ do not depend on the variance.
        variance = 1.0 if layer.activation.is_homogeneous else layer.variance
        alike.setdefault(layer.with_variance(1.0), Counter())[variance] += 1
    blocks = []
    for layer, variances in alike.items():
        places = np.array([position(v) for v in variances])
        counts = np.array([float(n) for n in variances.values()])
        if places.size > size:
            places, counts = gauss_rule(places, counts, size)
            found = [variance_at(float(x)) for x in places]
        else:
            found = list(variances)
        for variance, count in zip(found, counts.tolist(), strict=True):
            squares, share = slope_law(layer.with_variance(variance), size)
            blocks.append(FreeBlock(layer.skip, layer.gain, layer.haar, squares, share, count))
    return blocks


def free_moments(equation: FreeEquation, order: int, largest: float) -> Array:
    """m_1 … m_order = (1/k) [w^{k−1}] (w/u(w))^k, Lagrange's formula, on a circle in w.

    Accuracy
    --------
    1e-12 relative for the first, a digit less every three or so.

    Raises
    ------
    ConvergenceError : the equation was not solved somewhere on the circle.
    """
    return equation.moments(order, 1.0 / largest)


def freeness_defect(layers: Sequence[Layer]) -> float:
    """By how much, about, the density of free layers is off, relatively, where slopes are independent neuron by neuron.

    Two independent diagonal matrices commute, and are not free: centred functions of D_l² and D_m² have
    tr abab = E a² E b², where freeness says 0. In blocks near β this is noticed first by m_4, through
    Σ_{l<m} v_l v_m, v = s² Var D², which is compared with the fourth power of what makes up the variance,
    m_2/m_1² − 1 = 2 Σ s E D².

    A layer without a skip, D W, makes all before it free of all that follows, D included. Its own slopes are beside
    those of the blocks that follow up to the next such layer, with v = Var D²/(E D²)². To 2 Σ s E D² it adds 1 where W
    is Gaussian, and v; but v may leave bulks that are far apart and narrow, so that it counts in one half of the fourth
    power alone.

    Accuracy
    --------
    Within a factor of 2 or so of blocks alone (benchmarks/residual.py), of 4 with Gaussian layers among them; after
    orthogonal ones whose slopes differ much it may be twenty times too large (tests/test_freeness_defect.py).
    """
    pairs = size = spread = 0.0
    for between in _segments(layers):
        total = square = 0.0
        for block in free_blocks(between, SIZES[1]):
            mean = float(block.share @ block.places)
            scale = block.gain / block.skip**2 if block.skip else 1.0 / mean
            part = scale**2 * float(block.share @ (block.places - mean) ** 2)
            total, square = total + block.count * part, square + block.count * part**2
            if block.skip:
                size += block.count * scale * mean
            else:
                size += 0.0 if block.haar else 0.5 * block.count
                spread += 0.5 * block.count * part
        pairs += max(total**2 - square, 0.0)
    return min(DEFECT * 0.5 * pairs / (size * (size + spread)) ** 2, 1.0) if pairs else 0.0


def _segments(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Layers up to the next one without a skip."""
    found: list[list[Layer]] = [[]]
    for layer in layers:
        if layer.skip == 0.0:
            found.append([])
        found[-1].append(layer)
    return found


def _resolved(layers: Sequence[Layer]) -> tuple[FreeEquation, int]:
    """The equation with laws of slopes so fine that finer ones change nothing, and how many nodes they have."""
    equation, used = FreeEquation(free_blocks(layers, SIZES[0])), SIZES[0]
    for finer in SIZES[1:]:
        next_one = FreeEquation(free_blocks(layers, finer))
        if _alike(equation, next_one):
            break
        equation, used = next_one, finer
    return equation, used


def _alike(coarse: FreeEquation, fine: FreeEquation) -> bool:
    """Whether the finer equation leaves the solutions where they are, along the bulk as far as it is known."""
    begun = coarse.near_bulk(PLACES), fine.near_bulk(PLACES)
    if begun[0] is None or begun[1] is None:
        return len(coarse.blocks) == len(fine.blocks) and all(
            a.places.size == b.places.size for a, b in zip(coarse.blocks, fine.blocks, strict=True)
        )
    u = np.exp(begun[0][0][3:-3:4]).astype(complex)
    found, other = coarse.solve(u, begun[0][1][3:-3:4]), fine.solve(u, begun[1][1][3:-3:4])
    return bool(np.all(np.abs(found.psi - other.psi) < SETTLED * np.abs(found.psi)))


def _quick(equation: FreeEquation) -> tuple[Chart, ...] | None:
    """One bulk, from a first idea of it; None where that is not all there is."""
    begun = equation.near_bulk(PLACES) if equation.atom is None else None
    if begun is None:
        return None
    low, high = (equation.edge_near(float(begun[0][k]), begun[1][k]) for k in (0, -1))
    if low is None or high is None or not low < high:
        return None
    try:
        chart = chart_of(equation, Bulk(low, high, _known(equation, low, high, begun)))
    except ConvergenceError:
        return None
    return (chart,) if abs(chart.mass - 1.0) < ALL and not chart.uncertified else None


def _known(equation: FreeEquation, low: float, high: float, begun: tuple[Array, Array]) -> Known:
    """What is found along the bulk from a first idea of it."""
    known = Known.nothing(equation, low, high)
    u, x = begun
    inner = slice(1, -1)
    at = low + (u[inner] - u[0]) * ((high - low) / (u[-1] - u[0]))
    found = equation.solve(np.exp(at).astype(complex), x[inner])
    known.add(at[found.solved], found.x[found.solved])
    return known


def _begun(equation: FreeEquation, spectrum: Spectrum) -> Known | None:
    begun = equation.near_bulk(PLACES)
    if begun is None or len(spectrum.arcs) != 1:
        return None
    (arc,) = spectrum.arcs
    return _known(equation, arc.low, arc.high, begun)


def _error(spectrum: Spectrum, finer: FreeEquation, bulks: Sequence[Bulk]) -> float:
    """That of the density beside the one with laws of slopes that are twice as fine."""
    begun = [bulk.known for bulk in bulks if bulk.known.x.shape[1] == finer.unknowns]
    return error_beside(spectrum, finer, begun or [_begun(finer, spectrum)])
