"""Fractions of integers that are known to be coprime."""

from __future__ import annotations

from fractions import Fraction
from numbers import Rational
from typing import NamedTuple, cast


@Rational.register
class _LowestTerms(NamedTuple):
    """What `Fraction` takes for a rational number: these it copies, where two integers are reduced."""

    numerator: int
    denominator: int


def coprime_fraction(numerator: int, denominator: int) -> Fraction:
    """p/q of coprime integers, q > 0, which Python would reduce at a cost quadratic in their digits."""
    return Fraction(cast(Rational, _LowestTerms(numerator, denominator)))
