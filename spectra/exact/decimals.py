"""Numbers of a configuration as the decimals they are written as: 1.1 is 11/10, not the double nearest to it."""

from __future__ import annotations

from fractions import Fraction

from flint import arb, fmpq


def decimal(number: float | int) -> Fraction:
    """The shortest decimal that reads as this double; integers stay what they are."""
    return Fraction(number) if isinstance(number, int) else Fraction(repr(float(number)))


def ball_of(x: Fraction) -> arb:
    """A rational as a ball, at the precision in force."""
    return arb(fmpq(x.numerator, x.denominator))
