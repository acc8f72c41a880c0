"""One layer with orthogonal weights in ball arithmetic: JJᵀ has the law of σ_w² φ'(h)², h ~ N(0, q).

ρ(λ) = Σ_i p(h_i)/|dλ/dh|(h_i) over all h_i with σ_w² φ'(h_i)² = λ, p the density of h; dλ/dh = 2σ_w² φ' φ''.
Layers of one slope, the identity among them, are a factor.
"""

from __future__ import annotations

from dataclasses import dataclass

from flint import arb, ctx

from ..errors import ConvergenceError
from .ball_equation import BallEquation
from .ball_functions import constant
from .slope_balls import SlopeBalls
from .slope_cells import CUTS, LOST, Cell, SlopePiece, largest_slope, one_period, preimages, slope_pieces, whole_line

# Periods summed over, at most.
MOST_PERIODS = 100_000


@dataclass(frozen=True)
class PushedBalls:
    """The law of e^`log_scale` t, t under `law`."""

    law: SlopeBalls
    log_scale: arb

    def density(self, location: arb) -> arb:
        """ρ(λ) as a ball; 0 where φ'² does not take the value.

        Raises
        ------
        ConvergenceError : λ is at an atom, at a critical value of φ'², or too near one.
        """
        if location < 0:
            return arb(0)
        if not location > 0:
            raise ConvergenceError("the density at λ = 0 is not proven")
        size = (location / self.log_scale.exp()).sqrt()
        what = f"the density at λ = {float(location.mid()):.6g}"
        known = self.law.atoms
        steady = [p for p in slope_pieces(self.law.activation) if p.steady]
        atoms = [abs(constant(p.slope)) for p in steady] if known is None else [t.sqrt() for _, t in known]
        if any(one.overlaps(size) for one in atoms):
            raise ConvergenceError(f"{what} is not proven: an atom is there")
        if known is not None:
            return arb(0)
        failure: ConvergenceError | None = None
        for share in map(arb, CUTS):
            try:
                return self._sum(size, share) / (2 * self.log_scale.exp() * size)
            except ConvergenceError as error:
                failure = error
        raise ConvergenceError(f"{what} is not proven, it may be at a critical value of φ'²: {failure}")

    def largest(self) -> arb:
        """λ_max = σ_w² sup φ'².

        Raises
        ------
        ConvergenceError : it was not enclosed.
        """
        return self.log_scale.exp() * largest_slope(self.law.activation, ctx.prec - LOST) ** 2

    def _sum(self, size: arb, share: arb) -> arb:
        """Σ p(h_i)/|φ''(h_i)| over |φ'(h_i)| = `size`."""
        total, periodic = arb(0), []
        for cell in whole_line(self.law.activation):
            if cell.piece.period is not None and cell.piece.lower is None and cell.piece.upper is None:
                # Begun where φ' does not take the value, or so it is hoped.
                periodic.append(one_period(cell.piece, share))
                continue
            for piece, x in preimages([cell], size, share):
                total += self._weight(x) / _bend(piece, x)
        for cell in periodic:
            total += sum(
                (self._over_periods(x, cell) / _bend(piece, x) for piece, x in preimages([cell], size, share)), arb(0)
            )
        return total

    def _weight(self, h: arb) -> arb:
        q = self.law.q
        return (-h * h / (2 * q)).exp() / (2 * arb.pi() * q).sqrt()

    def _over_periods(self, h: arb, cell: Cell) -> arb:
        """Σ_k p(h + kP), with a bound of what lies beyond some k."""
        q, period = self.law.q, constant(cell.piece.period)
        reach = (2 * q * (ctx.prec + LOST)).sqrt() + abs(h) + 2 * period
        most = int((reach / period).upper().ceil().unique_fmpz() or 0)
        if not 0 < most < MOST_PERIODS:
            raise ConvergenceError(f"{MOST_PERIODS} periods of φ' are not enough")
        total = sum((self._weight(h + k * period) for k in range(-most, most + 1)), arb(0))
        # Beyond, at distances d + jP from 0, p falls by e^{−dP/q} or more with every step.
        nearest = (most + 1) * period - abs(h)
        rest = 2 * self._weight(nearest.lower()) / (1 - (-nearest.lower() * period / q).exp())
        return total + arb(0).union(rest)


def _bend(piece: SlopePiece, x: arb) -> arb:
    return abs(piece.values(x)[1])


def pushed(equation: BallEquation) -> PushedBalls | None:
    """The law where log u = log y + const of one layer's y: all weights orthogonal of one width; None elsewhere."""
    if any(r != 1 for r, _ in equation.shifts) or sum(e for _, e in equation.shifts) != -1:
        return None
    log_scale, left = equation.log_scale, []
    for f in equation.factors:
        value = _one_value(f.law)
        if value is not None:
            log_scale = log_scale + f.count * value.log()
        else:
            left.append(f)
    if not left:
        # A point, which may stand for the law of any of them.
        law = equation.factors[0].law
        value = _one_value(law)
        assert value is not None
        return PushedBalls(law, log_scale - value.log())
    if len(left) != 1 or left[0].count != 1 or left[0].ratio != 1:
        return None
    return PushedBalls(left[0].law, log_scale)


def _one_value(law: SlopeBalls) -> arb | None:
    """The value of φ'² where there is but one."""
    if law.atoms is None:
        return None
    values = [t for _, t in law.atoms]
    return values[0] if all((t - values[0]).is_zero() for t in values) else None
