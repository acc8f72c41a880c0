"""The table of laws: each with its exact mean and variance, the edges of its bulks where known, and its atoms.

Under ⊠ means multiply and variance/mean² adds up; edges to 15 digits from the algebraic equations in 30-digit
arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from spectra import Law, free_power, free_product, parse_law
from spectra.laws import Bernoulli, Dirac, Discrete, FussCatalan, MarchenkoPastur, SquaredSlope


@dataclass(frozen=True)
class Row:
    """A law and what is known of it."""

    law: Law
    mean: float
    variance: float
    bulks: tuple[tuple[float, float], ...] | None = ()
    atoms: tuple[tuple[float, float], ...] = ()


def _erf_slope_moment(k: int, q: float) -> float:
    """E φ'^{2k}, φ = erf(√π x/2): φ' = exp(−πx²/4)."""
    return 1.0 / math.sqrt(1.0 + k * math.pi * q)


E1, E2 = _erf_slope_moment(1, 0.3), _erf_slope_moment(2, 0.3)
ROOT = math.sqrt(0.5)
TWO = Discrete((1.0, 2.0))

LAWS = {
    "point": Row(Dirac(2.0), 2.0, 0.0, (), ((2.0, 1.0),)),
    "bernoulli": Row(Bernoulli(0.3), 0.3, 0.21, (), ((0.0, 0.7), (1.0, 0.3))),
    "three atoms": Row(Discrete((0, 1, 3), (0.2, 0.5, 0.3)), 1.4, 3.2 - 1.96, (), ((0.0, 0.2), (1.0, 0.5), (3.0, 0.3))),
    "MP(1/2), scaled": Row(MarchenkoPastur(0.5, 2.0), 2.0, 2.0, ((2 * (1 - ROOT) ** 2, 2 * (1 + ROOT) ** 2),)),
    "MP(1)": Row(MarchenkoPastur(1.0), 1.0, 1.0, ((0.0, 4.0),)),
    "MP(2)": Row(MarchenkoPastur(2.0), 1.0, 2.0, ((3 - 2 * 2**0.5, 3 + 2 * 2**0.5),), ((0.0, 0.5),)),
    "Fuss-Catalan 1/2": Row(FussCatalan(0.5), 1.0, 0.5, ((0.0, 1.5**1.5 / 0.5**0.5),)),
    "Fuss-Catalan 5": Row(FussCatalan(5), 1.0, 5.0, ((0.0, 6**6 / 5**5),)),
    "erf slope": Row(SquaredSlope("erf", 0.3), E1, E2 - E1**2, ((0.0, 1.0),)),
    "relu slope": Row(SquaredSlope("relu", 0.3), 0.5, 0.25, (), ((0.0, 0.5), (1.0, 0.5))),
    "erf layer": Row(free_product(SquaredSlope("erf", 0.3), MarchenkoPastur(1.0)), E1, E2, None),
    "erf, 16 orthogonal layers": Row(
        free_power(SquaredSlope("erf", 0.3), 16), E1**16, 16 * (E2 / E1**2 - 1) * E1**32, None
    ),
    "MP(1/2) ⊠ MP(1/2)": Row(
        free_product(MarchenkoPastur(0.5), MarchenkoPastur(0.5)), 1.0, 1.0, ((0.028350136390617830, 4.409149863609382),)
    ),
    "MP(1/5) squared": Row(free_power(MarchenkoPastur(0.2), 2), 1.0, 0.4, ((0.182359531326266, 2.807640468673734),)),
    "MP(1/2) ⊠ two atoms": Row(
        free_product(MarchenkoPastur(0.5), TWO), 1.5, 0.5 * 2.25 + 0.25, ((0.109685659695901, 4.874023675744141),)
    ),
    "MP(1/10) ⊠ far atoms": Row(
        free_product(MarchenkoPastur(0.1), Discrete((1.0, 10.0))),
        5.5,
        0.1 * 5.5**2 + 4.5**2,
        ((0.5608977978710303, 1.4272595162712767), (6.085256863272032, 15.02658582258566)),
    ),
    "MP(2) ⊠ projection": Row(
        free_product(MarchenkoPastur(2.0), Bernoulli(0.4)), 0.4, (2 + 1.5) * 0.16, None, ((0.0, 0.6),)
    ),
    "projections": Row(
        free_product(Bernoulli(0.5), Bernoulli(0.7)),
        0.35,
        (1 + 3 / 7) * 0.35**2,
        # p + q − 2pq ± 2√(pq(1 − p)(1 − q))
        ((0.5 - 2 * math.sqrt(0.0525), 0.5 + 2 * math.sqrt(0.0525)),),
        ((0.0, 0.5), (1.0, 0.2)),
    ),
    "hard-tanh, 4 orthogonal layers": Row(
        free_power(Bernoulli(0.9), 4),
        0.9**4,
        4 / 9 * 0.9**8,
        ((0.0, 0.9**3 * 0.1 * 256 / 27),),
        ((0.0, 0.1), (1.0, 0.6)),
    ),
    "three atoms, power 5/2": Row(
        free_power(Discrete((1, 2, 5), (0.5, 0.3, 0.2)), 2.5), 2.1**2.5, 2.5 * (6.7 / 2.1**2 - 1) * 2.1**5, None
    ),
    "dilated": Row(
        free_product(Dirac(4.0), MarchenkoPastur(0.5)), 4.0, 8.0, ((4 * (1 - ROOT) ** 2, 4 * (1 + ROOT) ** 2),)
    ),
}


@cache
def law_of(text: str) -> Law:
    """The law of an expression, made once, so that its spectrum is found once."""
    return parse_law(text)
