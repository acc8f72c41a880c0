"""The law of JJᵀ of a chain of blocks as a `Spectrum`, with its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from .._types import Array
from ..errors import ConvergenceError
from ..threads import single_threaded_blas
from .blocks import Block
from .bulks import Bulk, bulks_of, edge_again
from .density import chart_of
from .edge import edge_about
from .equation import APART, EXACT, BlockEquation
from .known import density_at
from .layers import Layer, blocks_of
from .moments import block_moments
from .solved import BlockLaw, Moments, error_beside, log_support, spectrum_of

# Nodes of the messages: the first of these with which the density is as good as `SETTLED`, relatively, at these parts
# of the way through a bulk. Each node takes the error to a part of it: this one where nothing is known, or at best.
COUNTS, SETTLED, PARTS = (6, 8, 10, 12, 14, 17, 20, 24, 32, 44), 1e-9, (0.1, 0.3, 0.45, 0.5, 0.55, 0.7, 0.9)
# The last ones are for laws that stay away from 0.
SLOWEST, FASTEST, FINEST = 0.5, 0.3, 2
# So many of them are tried for a first look.
LOOKS = 3
# By how much, in U, an edge may move with them.
MOVED = 1e-2
# Places inside from which it is looked for.
TRIES = 4
# More nodes of a message, and how much finer the states and slopes are, where the answer is looked at again.
MORE, FINER = 4, 1.6
# They are made finer at most so often, until that changes no density by more than this, relatively.
FINENESSES, ENOUGH = 3, 1e-8
# Density of U that counts as next to none.
SLIGHT = 1e-4
# Of one block of several weights the density is high beside β², where the smallest slopes count: so much finer.
ALONE = 3.0
# With φ after the sum, and so many unknowns, there is a look amid the spectrum first, at these distances in U from the
# mean: rounding may leave no more than this.
MANY, AMID, ROUNDED = 32, np.array([-1.0, 0.0, 4.0]), 1e-11
# A law is a point where its `scale` is less than this.
NARROWEST = 2e-5
# Paths of a neuron that are all kept where nodes did not do, and the error to which they do.
PATHS, GOOD = 2000, 1e-7


@single_threaded_blas()
def block_law(layers: Sequence[Layer]) -> BlockLaw:
    """The law of JJᵀ for wide networks of these layers, square ones.

    Parameters
    ----------
    layers : J_1 first.

    Raises
    ------
    ConvergenceError : the law was not found, or has edges that are not those of a square root.

    Accuracy
    --------
    Some 1e-9 relative in the density, stated as `error`; edges 1e-12; moments 1e-11 (tests/test_correlated.py).
    """
    fine = ALONE if len(layers) == 1 and layers[0].hidden else 1.0
    blocks = blocks_of(layers, finer=fine)
    equation = BlockEquation(blocks)
    _refuse_smeared(equation)
    if any(layer.drift for layer in layers):
        _refuse_rounded(layers, equation)
    _refuse_a_point(equation)
    if equation.is_exact or not BlockEquation(blocks, most=PATHS).is_exact:
        return _law(layers, fine, blocks, EXACT)
    # Beside an edge pivots of rare paths come near their poles, and in narrow laws all of them do; nodes do not stand
    # for them.
    if equation.scale == 1.0:
        try:
            found = _law(layers, fine, blocks, EXACT)
        except ConvergenceError:
            pass
        else:
            if found.error < GOOD:
                return found
    return _law(layers, fine, blocks, PATHS)


def _law(layers: Sequence[Layer], fine: float, blocks: Sequence[Block], most: int) -> BlockLaw:
    """From blocks so fine at first, with so many paths kept; and the error, by finer blocks."""
    first = BlockEquation(blocks, COUNTS[0], most)
    bulks = bulks_of(first) if first.is_exact else _looked_at(blocks)
    places = _places(first, bulks)
    enough = first if first.is_exact else _resolved(blocks, bulks, places)
    equation, finer = _fine_enough(layers, fine, enough, bulks, places)
    moved = [_moved(equation, bulk) for bulk in bulks]
    charts = tuple(chart_of(equation, bulk) for bulk in moved)
    largest = math.exp(-log_support(charts, equation.zero, equation.atom)[1])
    moments = Moments(partial(block_moments, equation), largest)
    spectrum = spectrum_of(charts, equation.zero, moments, math.log(moments.first(1)[0]), equation.atom)
    residual, uncertified = max(c.residual for c in charts), sum(c.uncertified for c in charts)
    return BlockLaw(spectrum, residual, uncertified, error_beside(spectrum, finer, [bulk.known for bulk in moved]))


def _fine_enough(
    layers: Sequence[Layer], fine: float, equation: BlockEquation, bulks: Sequence[Bulk], places: Sequence[Array]
) -> tuple[BlockEquation, BlockEquation]:
    """An equation whose states and slopes are as fine as `ENOUGH` asks, relatively in the density; and a finer one."""
    before = _densities(equation, places, bulks)
    for _ in range(FINENESSES):
        fine *= FINER
        finer = equation.of(blocks_of(layers, finer=fine))
        now = _densities(finer, places, bulks)
        if _change(before, now) < ENOUGH:
            break
        equation, before = finer, now
    return equation, equation.of(finer.blocks, MORE)


def _refuse_a_point(equation: BlockEquation) -> None:
    """Of a law as narrow as this doubles leave too few digits."""
    if equation.scale < NARROWEST:
        low, high = equation.log_range
        raise ConvergenceError(
            f"`alpha`: these blocks add so little that all λ lie within {high - low:.1e} of each other, relatively, "
            "too narrow a law for doubles; give a larger one: the law of (λ − m_1)/alpha no longer depends on it"
        )


def _looked_at(blocks: Sequence[Block]) -> list[Bulk]:
    """The bulks by the fewest nodes that find them."""
    looks = LOOKS if needs_nodes(blocks) else 1
    for count in COUNTS[: looks - 1]:
        try:
            return bulks_of(BlockEquation(blocks, count, roughly=True))
        except ConvergenceError:
            continue
    return bulks_of(BlockEquation(blocks, COUNTS[looks - 1], roughly=True))


def needs_nodes(blocks: Sequence[Block]) -> bool:
    """Whether nodes of messages matter: not where slopes of 0 begin all paths anew, which are then all kept."""
    kept = [np.ptp(block.through) > 0.0 and np.sum(block.through > 0.0) == 1 for block in blocks]
    return not all(kept) or len(blocks) > APART


def _refuse_smeared(equation: BlockEquation) -> None:
    """An atom is one only where all paths are kept: analytic functions of pivots smear it."""
    atom = equation.atom
    if atom is not None and atom.mass > 0.0 and not equation.is_exact:
        raise ConvergenceError(
            f"these blocks leave an atom of mass {atom.mass:.6g} at λ = {math.exp(-atom.place):.6g}, where φ' = 0 in "
            "all of them; such a law is known of up to five blocks of slopes 0 and 1: give fewer, or sample"
        )


def _refuse_rounded(layers: Sequence[Layer], equation: BlockEquation) -> None:
    """Where rounding shows amid the spectrum it takes the digits of the rest: it grows towards λ = 0, over decades."""
    if equation.unknowns < MANY:
        return
    found = equation.solve(np.exp(AMID - equation.log_mean).astype(complex))
    residual = float(found.residual.max())
    if residual > ROUNDED:
        raise ConvergenceError(
            f'`depth`: {len(layers)} blocks of `order = "sum"` are too many at this `alpha`: amid their spectrum '
            f"rounding leaves a residual of {residual:.0e}, and more where λ is small; give fewer, or a smaller α, or "
            "take the mean field and two moments (`spectra audit`), or samples"
        )


def _resolved(blocks: Sequence[Block], bulks: Sequence[Bulk], places: Sequence[Array]) -> BlockEquation:
    """The equation with so many nodes in its messages that more change nothing.

    By how much the last ones have changed the density is the error before them; what they have left is told by how
    fast that falls.
    """
    equation = BlockEquation(blocks, COUNTS[0])
    before, error, rate = _densities(equation, places, bulks), 0.0, SLOWEST
    counts = COUNTS if _is_bounded(equation) else COUNTS[:-FINEST]
    for (fewer, count), added in zip(pairwise(counts), np.diff((counts[0], *counts)), strict=False):
        equation = BlockEquation(blocks, count)
        now = _densities(equation, places, bulks)
        change = _change(before, now)
        if error:
            rate = min(max((change / error) ** (1.0 / added), FASTEST), 1.0)
        if change * rate ** (count - fewer) < SETTLED:
            break
        before, error = now, change
    return equation


def _places(equation: BlockEquation, bulks: Sequence[Bulk]) -> list[Array]:
    """Where equations are compared, on every bulk: at Π β², too, where slopes of 0 leave a peak."""
    places, unmoved = [], -math.fsum(math.log(block.through.max() or 1.0) for block in equation.blocks)
    for bulk in bulks:
        more = [_peak(equation, bulk)]
        if _is_bounded(equation) and bulk.known.u.min() < unmoved < bulk.known.u.max():
            more.append(unmoved)
        places.append(np.append(np.quantile(bulk.known.u, PARTS), more))
    return places


def _densities(equation: BlockEquation, places: Sequence[Array], bulks: Sequence[Bulk]) -> Array:
    """The density at places on every bulk; NaN where it was not found."""
    found = [density_at(equation, u, bulk.known) for u, bulk in zip(places, bulks, strict=True)]
    return np.concatenate([np.where(solution.solved, density, np.nan) for density, solution in found])


def _change(before: Array, now: Array) -> float:
    """The largest relative change of a density; where next to none is left, rounding has taken its digits."""
    return float(np.max(np.abs(now - before) / (before + SLIGHT)))


def _is_bounded(equation: BlockEquation) -> bool:
    """Whether blocks add so little that λ stays away from 0: what lies beside Π β² is then much of the law."""
    return math.isfinite(equation.log_range[1])


def _peak(equation: BlockEquation, bulk: Bulk) -> float:
    """Where the density is highest, as far as is known: units that weights hardly reach leave a narrow peak."""
    density, _ = density_at(equation, bulk.known.u, bulk.known)
    return float(bulk.known.u[np.nanargmax(density)])


def _moved(equation: BlockEquation, bulk: Bulk) -> Bulk:
    """The bulk with its edges where this equation has them."""
    known = zip((bulk.low, bulk.high), bulk.exponents, strict=True)
    low, high = (
        end if math.isinf(end) or exponent < 0.0 else _edge_here(equation, bulk, end) for end, exponent in known
    )
    return Bulk(low, high, bulk.known.between(low, high), bulk.exponents)


def _edge_here(equation: BlockEquation, bulk: Bulk, end: float) -> float:
    """Where this equation has the edge that another has at `end`."""
    u, x = bulk.known.u, bulk.known.x
    tries = (equation.edge_near(float(u[k]), x[k]) for k in np.argsort(np.abs(u - end))[:TRIES])
    for found in (at for ways in ([edge_about(equation, end, bulk.known)], tries) for at in ways):
        if found is not None and abs(found - end) < MOVED * equation.scale * (1.0 + abs(end)):
            return found
    found = edge_again(equation, bulk, end)
    if found is None:
        raise ConvergenceError(f"the edge at λ = {math.exp(-end):.6g} was lost")
    return found
