"""What `spectra moments` says of a network: numbers, fractions or polynomials, for a table and for JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..digits import DOUBLE_DIGITS
from ..errors import ConfigError
from ..network.config import Network
from .moments import Moments, exact_runs, jacobian_moments
from .narrowing import bits_for
from .power_series import working_precision
from .rational_balls import ball_of
from .record import digits as digits_of

if TYPE_CHECKING:
    from .symbolic import DepthMoments

BEYOND = f"beyond the range of doubles; strings, with `--dps {DOUBLE_DIGITS + 1}` or more, have no range"


@dataclass(frozen=True)
class MomentReport:
    """Moments m_1 … m_n and, where asked for, their polynomials in the depth.

    Parameters
    ----------
    values : exact or to `digits` digits.
    fractions : whether exact values are to be shown as p/q.
    polynomials : None where not asked for.
    """

    values: Moments
    digits: int
    fractions: bool
    polynomials: DepthMoments | None

    @cached_property
    def shown(self) -> list[str]:
        """The moments as text."""
        if self.values.exact and self.fractions:
            return [_fraction(x) for x in self.values.values]
        if not self.values.exact:
            return [digits_of(x, self.digits) for x in self.values.values]
        with working_precision(bits_for(self.digits + 2)):
            balls = [ball_of(x) for x in self.values.values]
        return [digits_of(x, self.digits) for x in balls]

    @cached_property
    def record(self) -> dict[str, Any]:
        """The JSON object of `spectra moments`."""
        as_text = (self.values.exact and self.fractions) or self.digits > DOUBLE_DIGITS
        found: dict[str, Any] = {
            "schema": 1,
            "order": self.values.order,
            "exact": self.values.exact,
            "moments": self.shown if as_text else [_double(x) for x in self.shown],
        }
        if self.polynomials is not None:
            found["polynomials"] = [str(p) for p in self.polynomials.moments]
        lost = sum(m is None for m in found["moments"])
        found["notes"] = [f"`moments` is null {lost} times: {BEYOND}"] if lost else []
        return found


def moment_report(net: Network, order: int, digits: int, *, exact: bool, symbolic: bool) -> MomentReport:
    """The report for a network.

    Raises
    ------
    ConfigError : exact moments where they are not rational; an activation without a symbolic form.
    """
    values = jacobian_moments(net, order, digits)
    if exact and not values.exact:
        raise ConfigError(f"`--exact`: {_why_not(net)}; leave it out, and choose the number of digits with `--dps`.")
    polynomials = None
    if symbolic:
        from .symbolic import depth_moments

        polynomials = depth_moments(net, order, digits)
    return MomentReport(values, digits, exact or symbolic, polynomials)


def _why_not(net: Network) -> str:
    """What keeps moments from being exact."""
    if exact_runs(net) is None:
        return (
            "the moments of this network are not rational (its activation is not piecewise linear about 0 alone, or "
            "its slopes are not rational)"
        )
    return (
        "the moments of this network are fractions of more than 300,000 digits (a `sigma_w` counts as the decimal that "
        'it is written as, with all its digits; "critical" has few)'
    )


def _fraction(x: Fraction) -> str:
    # Python refuses to print integers of many digits; FLINT does not.
    from flint import fmpz

    numerator = fmpz(x.numerator).str()
    return numerator if x.denominator == 1 else f"{numerator}/{fmpz(x.denominator).str()}"


def _double(text: str) -> float | None:
    """None for what has no double; moments are positive."""
    value = float(text)
    return value if 0.0 < value < math.inf else None
