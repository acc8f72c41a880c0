"""Parameters of laws: doubles for numerics, and the rational numbers they stand for where answers are exact."""

from __future__ import annotations

from fractions import Fraction
from typing import TypeAlias

Number: TypeAlias = float | int | Fraction


def exactly(x: Number) -> Fraction:
    """A fraction as it is, a double as the shortest decimal that reads as it: 0.1 is 1/10."""
    return x if isinstance(x, Fraction) else Fraction(x) if isinstance(x, int) else Fraction(repr(float(x)))
