"""φ' on the whole line, by enclosures on cells: where φ'² takes a value, and its supremum, with nothing missed.

A cell is an interval between the kinks of φ', or a half line beyond T.  On an interval X about m the values of φ' lie
in φ'(X) and in φ'(m) + φ''(X)(X − m); on a half line in the bounds of `tail_bounds`.  Cells that do not tell are cut.

Source
------
Moore, Kearfott, Cloud, Introduction to Interval Analysis (2009), §6.3 and §8.1: the mean value form, covers by cells.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from heapq import heappop, heappush
from itertools import count, pairwise
from typing import Any

import sympy
from flint import acb, arb, ctx

from ..activations import Activation
from ..activations.expression import is_cut_exactly
from ..activations.symbolic import X
from ..errors import ConvergenceError
from ..line.numbers import exactly
from .ball_functions import BallFunction, constant
from .budget import OverBudget, spend
from .enclosures import enclosed_zero
from .power_series import working_precision
from .rational_balls import ball_of
from .tail_bounds import tail_of

# Cells looked at, at most; for a bound of |φ'| that is to be near.
MOST_CELLS, FEW_CELLS = 6000, 1500
# Half lines begin here, or at twice the outermost kink; the next four times farther out, or beyond the second number at
# the square; no farther than 2 to the fourth.
FIRST, FAR, FARTHEST = 4, 2**16, 2**12
# Cuts are no round numbers, at which φ' might take just the value asked for; others are tried where it does.
CUTS = ("0.48710937519", "0.51343072", "0.4937261")
# Bits below the working precision that a supremum may lose to rounding.
LOST = 28
# Precision of a bound of |φ'|, and how near it is to come to the supremum: nearer than the last is welcome.
ROUGH_BITS, BOUND_BITS = 64, (30, 16, 8, 3)
# Bounds of the catalogue are known as doubles: rounded up.
ROUNDED_UP = 1.0 + 1e-12


@dataclass(frozen=True)
class SlopePiece:
    """A branch of φ' on (lower, upper), None for infinite ends, with its derivative; `steady` where it is constant."""

    lower: Fraction | None
    upper: Fraction | None
    slope: Any

    @cached_property
    def steady(self) -> bool:
        """Whether φ' is constant."""
        return not self.slope.free_symbols

    @cached_property
    def function(self) -> BallFunction:
        """φ' and φ'' of balls."""
        return BallFunction(self.slope, sympy.diff(self.slope, X))

    @cached_property
    def mirrored(self) -> Any:
        """φ'(−x)."""
        return self.slope.xreplace({X: -X})

    @cached_property
    def period(self) -> Any:
        """A period of φ', as an exact number, where x enters it through sines and cosines alone; else None."""
        waves = [e for e in self.slope.atoms(sympy.sin, sympy.cos) if e.has(X)]
        if not waves or self.slope.xreplace({e: sympy.Dummy() for e in waves}).has(X):
            return None
        rates = [sympy.diff(e.args[0], X) for e in waves]
        ratios = [sympy.simplify(r / rates[0]) for r in rates]
        if any(r.has(X) for r in rates) or not all(r.is_Rational for r in ratios):
            return None
        return 2 * sympy.pi / abs(rates[0] * sympy.gcd_list([abs(r) for r in ratios]))

    def values(self, x: arb) -> tuple[arb, arb]:
        """φ' and φ'' over a ball."""
        spend()
        slope, bend = self.function(acb(x))
        return slope.real, bend.real


@lru_cache(maxsize=64)
def slope_pieces(activation: Activation) -> tuple[SlopePiece, ...]:
    """The branches of φ'.

    Raises
    ------
    NotImplementedError : φ is a callable.
    """
    ends = [None, *map(exactly, activation.kinks), None]
    return tuple(
        SlopePiece(a, b, slope) for (a, b), (_, slope) in zip(pairwise(ends), activation._formulas(), strict=True)
    )


@dataclass(frozen=True)
class Cell:
    """[lower, upper] of a piece; with `side` = ±1 instead the half line from `lower` on, of φ'(±x)."""

    piece: SlopePiece
    lower: arb
    upper: arb
    side: int = 0

    @cached_property
    def ball(self) -> arb:
        """The interval, and no more than rounding of its ends."""
        return self.lower.union(self.upper)

    @cached_property
    def slopes(self) -> tuple[arb, arb]:
        """Enclosures of φ' and φ'' on an interval."""
        slope, bend = self.piece.values(self.ball)
        middle = self.ball.mid()
        finer = self.piece.values(middle)[0] + bend * (self.ball - middle)
        if not finer.is_finite():
            return slope, bend
        return (finer.intersection(slope) if slope.is_finite() else finer), bend

    @cached_property
    def sizes(self) -> tuple[arb, arb]:
        """Bounds of |φ'| below and above; (0, ∞) where there are none."""
        if self.side:
            return _tail_sizes(self.piece, self.lower, self.side)
        size = abs(self.slopes[0])
        low, high = (size.lower(), size.upper()) if size.is_finite() else (arb(0), arb("inf"))
        if self.lower > FIRST or self.upper < -FIRST:
            # Where functions level off it may be what is true of the whole half line that tells.
            far = (self.lower, 1) if self.lower > 0 else (-self.upper, -1)
            least, top = _tail_sizes(self.piece, *far)
            low, high = low.max(least), high.min(top)
        return low, high

    def cut(self, share: arb) -> tuple[Cell, Cell]:
        """Two cells, the smaller part `share` of it; of a half line an interval, and a half line farther out.

        Raises
        ------
        ConvergenceError : the half line begins too far out.
        """
        a, b = self.lower, self.upper
        if self.side:
            if a > arb(2) ** FARTHEST:
                raise ConvergenceError(f"nothing was shown of φ' = {str(self.piece.slope)[:40]} for large |x|")
            far = 4 * a if a < FAR else a * a
            near, far = far.mid(), far.mid()
            inner = Cell(self.piece, a, near) if self.side > 0 else Cell(self.piece, -near, -a)
            return inner, Cell(self.piece, far, arb("inf"), self.side)
        if (a > 0 and b > 4 * a) or (b < 0 and a < 4 * b):
            # Of many octaves half of them.
            middle = (a * b).sqrt() if a > 0 else -(a * b).sqrt()
        else:
            middle = a + share * (b - a)
        middle = middle.mid()
        if not (a < middle < b):
            raise ConvergenceError("cells of φ' as narrow as rounding")
        return Cell(self.piece, a, middle), Cell(self.piece, middle, b)


def _tail_sizes(piece: SlopePiece, start: arb, side: int) -> tuple[arb, arb]:
    """Bounds of |φ'(±x)| for x ≥ `start`."""
    try:
        tail = tail_of(piece.slope if side > 0 else piece.mirrored, start)
    except ConvergenceError:
        return arb(0), arb("inf")
    try:
        return tail.least(), abs(tail.range).upper()
    except ConvergenceError:
        return tail.least(), arb("inf")


def whole_line(activation: Activation) -> list[Cell]:
    """Cells that cover the branches on which φ' is not constant; one period of what is periodic."""
    cells: list[Cell] = []
    for piece in slope_pieces(activation):
        if piece.steady:
            continue
        if piece.lower is None and piece.upper is None and piece.period is not None:
            cells.append(one_period(piece, arb(0)))
            continue
        ends = [abs(ball_of(x)) for x in (piece.lower, piece.upper) if x is not None]
        far = (2 * sum(ends, arb(0)).upper() + FIRST).mid()
        low = -far if piece.lower is None else ball_of(piece.lower)
        high = far if piece.upper is None else ball_of(piece.upper)
        cells.append(Cell(piece, low, high))
        cells += [Cell(piece, far, arb("inf"), 1)] if piece.upper is None else []
        cells += [Cell(piece, far, arb("inf"), -1)] if piece.lower is None else []
    return cells


def one_period(piece: SlopePiece, start: arb) -> Cell:
    """An interval as long as the period."""
    return Cell(piece, start, start + constant(piece.period))


def largest_slope(activation: Activation, bits: int, most: int = MOST_CELLS) -> arb:
    """The supremum of |φ'|, a ball of relative width 2^−bits that holds it.

    Raises
    ------
    ConvergenceError : it was not enclosed; φ' may be unbounded.
    """
    # The largest |φ'| seen, from below.
    best = arb(0)
    for piece in slope_pieces(activation):
        if piece.steady:
            best = best.max(abs(constant(piece.slope)).lower())
    order, share, heap = count(), arb(CUTS[0]), []

    def push(cell: Cell) -> None:
        nonlocal best
        if not cell.side:
            seen = abs(cell.piece.values(cell.ball.mid())[0])
            best = best.max(seen.lower()) if seen.is_finite() else best
        low, top = cell.sizes
        if cell.side:
            best = best.max(low)
        if not top < best:
            # Half lines first: where φ' levels off its supremum is seen there.
            heappush(heap, (-math.inf if cell.side else -float(top), next(order), cell))

    for cell in whole_line(activation):
        push(cell)
    top = best
    steady = [abs(constant(piece.slope)) for piece in slope_pieces(activation) if piece.steady]
    for size in steady:
        top = top.max(size.upper())
    for _ in range(most):
        if not heap:
            return best.union(top)
        cell = heappop(heap)[2]
        if cell.sizes[1] < best * (1 + arb(2) ** (-bits)):
            top = top.max(cell.sizes[1])
            continue
        for part in cell.cut(share):
            push(part)
    raise ConvergenceError(f"sup |φ'| of {activation.name} was not enclosed with {most} cells")


@lru_cache(maxsize=256)
def slope_bound(activation: Activation) -> arb | None:
    """An upper bound of |φ'| on the line, a little above the supremum; None where none is shown.

    Of a name in the catalogue it is the one known there; of an expression it is proven, and with it that the branches
    are where its formulas say.
    """
    if activation.source == "catalogue":
        known = activation.slope_bound
        return arb(known * ROUNDED_UP) if math.isfinite(known) else None
    if activation.source != "expression" or not is_cut_exactly(activation.name):
        return None
    with working_precision(ROUGH_BITS):
        for bits in BOUND_BITS:
            try:
                return largest_slope(activation, bits, FEW_CELLS).upper()
            except OverBudget:
                raise
            except ConvergenceError:
                # Where φ' nears its supremum for large x only, terms of the tail may cancel.
                pass
    return None


def preimages(cells: list[Cell], value: arb, share: arb) -> Iterator[tuple[SlopePiece, arb]]:
    """All x in the cells at which |φ'| = `value` > 0, each as a ball, with the branch it lies on.

    Raises
    ------
    ConvergenceError : `value` is too near one that φ' takes where φ'' = 0, at an end of a cell, or at infinity.
    """
    left = list(cells)
    for _ in range(MOST_CELLS):
        if not left:
            return
        cell = left.pop()
        low, high = cell.sizes
        if high < value or low > value:
            continue
        bend = arb(0) if cell.side else cell.slopes[1]
        if bend > 0 or bend < 0:
            for target in (value, -value):
                if cell.slopes[0].overlaps(target):
                    yield from ((cell.piece, x) for x in _crossing(cell, target, share))
        else:
            left += cell.cut(share)
    raise ConvergenceError(f"not all points with |φ'| = {float(value.mid()):.6g} were found with {MOST_CELLS} cells")


def _crossing(cell: Cell, target: arb, share: arb) -> list[arb]:
    """The point of a cell on which φ' is monotone where φ' = `target`, if there is one.

    Raises
    ------
    ConvergenceError : φ' takes the value at an end of the cell, or next to it.
    """
    piece = cell.piece

    def value(x: arb) -> arb:
        return piece.values(x)[0] - target

    signs = [_sign(value(x)) for x in (cell.lower, cell.upper)]
    if signs[0] == signs[1]:
        return []
    for _ in range(ctx.prec):
        try:
            x = enclosed_zero(value, lambda x: piece.values(x)[1], cell.ball, "a point with a given slope")
            if cell.lower < x < cell.upper:
                return [x]
        except ConvergenceError:
            # From a nearer start.
            pass
        first, second = cell.cut(share)
        cell = second if _sign(value(first.upper)) == signs[0] else first
    raise ConvergenceError("a point with a given slope was not enclosed")


def _sign(x: arb) -> int:
    if x > 0:
        return 1
    if x < 0:
        return -1
    raise ConvergenceError("φ' takes the value at an end of a branch, or at a cut")
