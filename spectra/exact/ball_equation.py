"""The master equation of JJᵀ in ball arithmetic, and what is proven from it: densities, λ_max, moments.

log u = log w + Σ_i e_i log(1 + r_i w) + Σ_k n_k [log(1 + ρ_k w) − log(ρ_k w) + log y_k] − Σ_l log σ_l²,
ψ_k(y_k) = ρ_k w, with w = ψ_{JJᵀ}(u), ρ_k = N_L/N_l the share of a layer and shifts as in `spectra.network.jacobian`.

Source
------
Pennington, Schoenholz, Ganguli, AISTATS 2018, eq. 13-16; rectangular: Chhaibi, Daouda, Kahn, NeurIPS 2022, Theorem 3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flint import acb, arb

from .ball_field import BallField
from .rational_balls import ball_of
from .slope_balls import SlopeBalls
from .widths import exact_shifts, ratio_of


@dataclass(frozen=True)
class BallFactor:
    """`count` layers with one law of D² and one share ρ."""

    law: SlopeBalls
    ratio: arb
    count: int


@dataclass(frozen=True)
class BallEquation:
    """See the module.

    Parameters
    ----------
    shifts : pairs (r_i, e_i).
    factors : the laws of D².
    log_scale : Σ_l log σ_l².
    """

    shifts: tuple[tuple[arb, int], ...]
    factors: tuple[BallFactor, ...]
    log_scale: arb

    def inverted(self, w: Any, start: tuple[Any, ...]) -> tuple[Any, ...]:
        """All y_k at w, from their values nearby; balls with proof."""
        return tuple(f.law.chi(f.ratio * w, y) for f, y in zip(self.factors, start, strict=True))

    def follower(self, start: tuple[Any, ...]) -> Callable[[Any], tuple[Any, ...]]:
        """All y_k as a function of w, each time from where they were last."""
        known = [start]

        def inverted(w: Any) -> tuple[Any, ...]:
            y = self.inverted(w, known[0])
            known[0] = tuple(one.mid() for one in y)
            return y

        return inverted

    def log_u(self, w: Any, y: tuple[Any, ...]) -> Any:
        """Log u, all logarithms principal ones."""
        total = w.log() - self.log_scale
        for ratio, exponent in self.shifts:
            total += exponent * (1 + ratio * w).log()
        for f, one in zip(self.factors, y, strict=True):
            here = f.ratio * w
            total += f.count * ((1 + here).log() - here.log() + one.log())
        return total

    def slope(self, w: Any, y: tuple[Any, ...]) -> Any:
        """Derivative of log u in w."""
        total = 1 / w
        for ratio, exponent in self.shifts:
            total += exponent * ratio / (1 + ratio * w)
        for f, one in zip(self.factors, y, strict=True):
            here = f.ratio * w
            rate = _like(f.law.psi_slope(acb(one)), w)
            total += f.count * f.ratio * (1 / (1 + here) - 1 / here + 1 / (one * rate))
        return total

    def bend(self, w: Any, y: tuple[Any, ...]) -> Any:
        """Second derivative of log u in w."""
        total = -1 / w**2
        for ratio, exponent in self.shifts:
            total -= exponent * (ratio / (1 + ratio * w)) ** 2
        for f, one in zip(self.factors, y, strict=True):
            here = f.ratio * w
            rate, curl = (_like(x(acb(one)), w) for x in (f.law.psi_slope, f.law.psi_bend))
            # y' = 1/ψ', y'' = −ψ''/ψ'³.
            turn = -curl / (rate**3 * one) - 1 / (one * rate) ** 2
            total += f.count * f.ratio**2 * (1 / here**2 - 1 / (1 + here) ** 2 + turn)
        return total


def _like(value: acb, w: Any) -> Any:
    return value.real if isinstance(w, arb) else value


def ball_equation(field: BallField) -> BallEquation:
    """The equation of the network of `field`."""
    runs = field.runs
    last = runs[-1].fan_out
    shifts = exact_shifts(((r.weights, r.fan_in, r.fan_out, r.repeat) for r in runs), last)
    log_scale = arb(0)
    counts: dict[tuple[int, Fraction], int] = {}
    laws: dict[int, SlopeBalls] = {}
    for run in runs:
        log_scale += run.repeat * run.sigma_w2.log()
        key = id(run.law), ratio_of(last, run.fan_out)
        counts[key] = counts.get(key, 0) + run.repeat
        laws[id(run.law)] = run.law
    factors = tuple(BallFactor(laws[law], ball_of(ratio), count) for (law, ratio), count in counts.items())
    return BallEquation(tuple((ball_of(r), e) for r, e in shifts.items()), factors, log_scale)
