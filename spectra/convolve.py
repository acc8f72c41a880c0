"""Free convolutions, S_{μ⊠ν} = S_μ S_ν and R_{μ⊞ν} = R_μ + R_ν, their powers, and laws made of others.

What they make are laws themselves; nothing is computed until something is asked of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import overload

from .law import Law
from .laws.arcsine import Arcsine, ArcsineFromZero
from .laws.atomic import constant, point
from .laws.dirac import Dirac
from .laws.marchenko_pastur import MarchenkoPastur
from .laws.semicircle import Semicircle
from .limits.deep import DeepLimit, joined
from .line.affine import Affine
from .line.compound import CompoundPoisson
from .line.numbers import Number, exactly
from .line.products import Product, ProductPower
from .line.sums import Divisible, FreeSum, sum_of
from .positive_law import PositiveLaw
from .powers import FreePower, FreeProduct


@overload
def free_product(*laws: PositiveLaw) -> PositiveLaw: ...
@overload
def free_product(*laws: Law) -> Law: ...
def free_product(*laws: Law) -> Law:
    """μ_1 ⊠ μ_2 ⊠ … as a law: S = Π S_i.

    Laws on [0, ∞), and at most one that reaches below zero.

    Raises
    ------
    ValueError : no factor, one that is not a law, or two that reach below zero.

    Source
    ------
    Voiculescu, J. Operator Theory 18 (1987), 223-235.

    Examples
    --------
    >>> from spectra.laws import MarchenkoPastur
    >>> low, high = free_product(MarchenkoPastur(0.5), MarchenkoPastur(0.5)).spectrum().support()
    >>> print(f"{low:.12f} {high:.12f}")
    0.028350136391 4.409149863609
    """
    known, others = [], []
    stack = list(reversed(_laws("free_product", laws)))
    while stack:
        law = stack.pop()
        if isinstance(law, Product):
            stack += [law.other, law.positive]
        else:
            law = _by_s(law)
            (known if isinstance(law, PositiveLaw) else others).append(law)
    if not known and not others:
        raise ValueError("`free_product()`: at least one law is needed; the neutral one is `Dirac(1)`.")
    if not others:
        return known[0] if len(known) == 1 else FreeProduct(tuple(known))
    scale = math.prod(a for a in map(constant, laws) if a is not None)
    if scale == 0:
        return point(0)
    known = [law for law in known if constant(law) is None]
    others = [law for law in joined(others) if constant(law) is None]
    if not known and not others:
        return point(scale)
    signed = [law for law in others if law.hull[0] < 0.0]
    if len(signed) > 1:
        raise ValueError("`free_product`: at most one factor may reach below zero, and two of these do.")
    for k, law in enumerate(others):
        # A dilation goes outside; so does the sign of a law below zero.
        if isinstance(law, Affine) and law.shift == 0:
            return affine(free_product(*known, *others[:k], law.law, *others[k + 1 :]), law.scale * scale)
        if law.hull[1] <= 0.0:
            mirrored = affine(law, -1)
            if not isinstance(mirrored, Affine):
                return affine(free_product(*known, *others[:k], mirrored, *others[k + 1 :]), -scale)
    whole: list[Law] = [FreeProduct(tuple(known)) if len(known) > 1 else known[0]] if known else []
    whole += [law for law in others if law not in signed] + signed
    result = whole[0]
    for law in whole[1:]:
        result = Product(result, law)
    return affine(result, scale)


@overload
def free_power(law: PositiveLaw, exponent: Number) -> PositiveLaw: ...
@overload
def free_power(law: Law, exponent: Number) -> Law: ...
def free_power(law: Law, exponent: Number) -> Law:
    """μ^{⊠t} as a law, for real t ≥ 1 and μ on [0, ∞): S = S_μ^t.

    Raises
    ------
    ValueError : the base is not a law or reaches below zero, or the exponent is below 1.

    Source
    ------
    Voiculescu, J. Operator Theory 18 (1987), 223-235; exponents that are not whole: Belinschi and Bercovici, Int.
    Math. Res. Not. (2005), 65-101.
    """
    law = _by_s(law)
    if isinstance(law, PositiveLaw) or not isinstance(law, Law):
        return FreePower(law, exponent)
    if isinstance(law, DeepLimit) and math.isfinite(exponent) and exponent >= 1:
        return type(law)(law.variance * exponent)
    if law.hull[0] < 0.0:
        raise ValueError(
            f"`free_power(exponent={exponent})`: ⊠ powers are of laws on [0, ∞), and this one may reach below."
        )
    if not (math.isfinite(exponent) and exponent >= 1):
        raise ValueError(f"`free_power(exponent={exponent})`: `exponent` must be a finite number ≥ 1.")
    return law if exponent == 1 else ProductPower(law, exponent)


def free_sum(*laws: Law) -> Law:
    """μ_1 ⊞ μ_2 ⊞ … as a law: R = Σ R_i.

    Raises
    ------
    ValueError : no term, or one that is not a law.

    Source
    ------
    Voiculescu, J. Funct. Anal. 66 (1986), 323-346.

    Examples
    --------
    >>> from spectra.laws import Bernoulli
    >>> free_sum(Bernoulli(0.5), Bernoulli(0.5)).spectrum().support()
    (0.0, 2.0)
    """
    terms = _laws("free_sum", laws)
    if not terms:
        raise ValueError("`free_sum()`: at least one law is needed.")
    return sum_of([(law, 1) for law in terms])


def free_sum_power(law: Law, exponent: Number) -> Law:
    """μ^{⊞t} as a law: R = t R_μ, real t ≥ 1, or t > 0 where μ is freely infinitely divisible.

    Raises
    ------
    ValueError : an exponent for which the power need not be a law.

    Source
    ------
    Nica and Speicher, Amer. J. Math. 118 (1996), 799-837.
    """
    (law,) = _laws("free_sum_power", (law,))
    least = "> 0" if isinstance(law, Divisible) else "≥ 1"
    if not (math.isfinite(exponent) and (exponent > 0 if isinstance(law, Divisible) else exponent >= 1)):
        raise ValueError(f"`free_sum_power(exponent={exponent})`: the exponent must be a finite number {least}.")
    return sum_of([(law, exponent)])


def affine(law: Law, scale: Number = 1, shift: Number = 0) -> Law:
    """The law of sX + b, s ≠ 0.

    Raises
    ------
    ValueError : s = 0, or numbers that are not finite.
    """
    (law,) = _laws("affine", (law,))
    if not (math.isfinite(scale) and scale != 0 and math.isfinite(shift)):
        raise ValueError(f"`affine(scale={scale}, shift={shift})`: both must be finite, and `scale` not 0.")
    if isinstance(law, Affine):
        law, scale, shift = law.law, law.scale * scale, scale * law.shift + shift
    place = constant(law)
    if place is not None:
        return point(scale * place + shift)
    if shift == 0 and scale == 1:
        return law
    if shift == 0 and scale == -1:
        if isinstance(law, FreeSum):
            return sum_of([(affine(part, -1), t) for part, t in law.terms])
        if isinstance(law, CompoundPoisson):
            return compound_poisson(law.rate, affine(law.jumps, -1))
        if isinstance(law, Semicircle):
            return law
    if shift == 0 and scale > 0 and isinstance(law, PositiveLaw):
        return FreeProduct((Dirac(scale), law))
    return Affine(law, scale, shift)


def compression(law: Law, share: Number) -> Law:
    """The law of PXP seen from the range of a free projection P of rank `share`: κ_k → share^{k−1} κ_k.

    Raises
    ------
    ValueError : a share outside (0, 1].

    Source
    ------
    Nica and Speicher, Amer. J. Math. 118 (1996), 799-837.
    """
    if not 0 < share <= 1:
        raise ValueError(f"`compression(share={share})`: `share` must lie in (0, 1].")
    return affine(free_sum_power(law, 1 / exactly(share)), share)


def compound_poisson(rate: Number, jumps: Law) -> Law:
    """The compound free Poisson law: κ_k = rate · m_k(jumps).

    Raises
    ------
    ValueError : a rate that is not positive.

    Source
    ------
    Nica and Speicher, Lectures on the Combinatorics of Free Probability (2006), Definition 12.16.
    """
    (jumps,) = _laws("compound_poisson", (jumps,))
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"`compound_poisson(rate={rate})`: `rate` must be positive and finite.")
    size = constant(jumps)
    if size is not None:
        return free_poisson(rate, size) if size else point(0)
    return CompoundPoisson(rate, jumps)


def free_poisson(rate: Number, jump: Number = 1) -> Law:
    """The free Poisson law, κ_k = rate · jump^k: Marchenko-Pastur of ratio 1/rate and scale rate · jump.

    Raises
    ------
    ValueError : a rate that is not positive, or a jump of 0.
    """
    if not (math.isfinite(rate) and rate > 0 and math.isfinite(jump) and jump != 0):
        raise ValueError(f"`free_poisson(rate={rate}, jump={jump})`: `rate` must be positive, `jump` not 0.")
    size = abs(exactly(jump))
    law = MarchenkoPastur(1 / exactly(rate), exactly(rate) * size)
    return law if jump > 0 else affine(law, -1)


def _by_s(law: Law) -> Law:
    """The law as one known by its S-transform, where it has such a form beside its own."""
    return ArcsineFromZero(law.high) if isinstance(law, Arcsine) and law.low == 0 else law


def _laws(name: str, laws: Sequence[Law]) -> list[Law]:
    for law in laws:
        if not isinstance(law, Law):
            raise ValueError(f"`{name}`: every argument must be a `Law`, not {law!r}.")
    return list(laws)
