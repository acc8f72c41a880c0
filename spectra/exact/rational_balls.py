"""Rationals as balls."""

from __future__ import annotations

from fractions import Fraction

from flint import arb, fmpq


def ball_of(x: Fraction) -> arb:
    """A rational as a ball, at the precision in force."""
    return arb(fmpq(x.numerator, x.denominator))
