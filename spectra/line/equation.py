"""The law of a master equation by its curve: where w comes near −1 in a gap, ζ is no coordinate, and w is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .._types import Array
from ..assembly import VALLEY, Assembly
from ..law import Law
from ..laws import Discrete
from ..laws.nodes import LawStack
from ..master import Factor, MasterEquation
from ..series import log_scaled_moments
from .factors import trace_of_factors
from .law import LineLaw
from .products import Product, ProductPower
from .trace import Trace

if TYPE_CHECKING:
    from ..exact.power_series import Ring
    from ..spectrum import Spectrum

# By how much the hull is wider than the support, which is known.
MARGIN = 1e-3


@dataclass(frozen=True, eq=False)
class EquationCurve(LineLaw):
    """The law on [0, ∞) whose ψ solves `equation`.

    Parameters
    ----------
    equation : of atoms only, or with laws of D² as fine as they need to be.
    known : the law as the equation's own engine has it: its upper end and its atoms are right.
    """

    equation: MasterEquation
    known: Spectrum

    @property
    def mean(self) -> float:
        """m_1."""
        return float(np.exp(-self.equation.constant))

    @cached_property
    def _parts(self) -> tuple[Sequence[tuple[float, float]], Sequence[Factor], LawStack]:
        exponents = dict(self.equation.shifts)
        # −log(1 + w) stands in the curve itself.
        exponents[1.0] = exponents.get(1.0, 0.0) + 1.0
        return [(r, e) for r, e in exponents.items() if e], self.equation.factors, self.equation.stack

    @property
    def unknowns(self) -> int:
        """One for w, and one for every v_k."""
        return 1 + len(self.equation.factors)

    def trace(self, t: Array) -> Trace:
        """As of any law known by the factors of S."""
        return trace_of_factors(*self._parts, -self.equation.constant, t, rank=None)

    def start(self, z: Array) -> Array:
        """To leading order w = m_1/z, v_k = r_k w."""
        w = self.mean / z
        return np.stack([w, *(factor.ratio * w for factor in self.equation.factors)])

    @property
    def hull(self) -> tuple[float, float]:
        """From 0 to a little beyond λ_max."""
        return 0.0, self.known.support()[1] * (1.0 + MARGIN)

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """Atoms; and 0, where a density may diverge."""
        found = [(atom.location, atom.mass) for atom in self.known.atoms]
        return tuple(found) if self.known.atom_at_zero > 0.0 else ((0.0, 0.0), *found)

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """By the equation's own series, in doubles."""
        return [ring.number(Fraction(self.known.moment(k))) for k in range(1, order + 1)]


def mended(built: Assembly) -> Assembly:
    """The law found from its curve, where a gap of it was taken for a part of a bulk.

    Raises
    ------
    ConvergenceError : as `spectra.line.assembly.spectrum_of`.
    """
    notes = tuple(note for note in built.notes if note != VALLEY)
    return _assembled(EquationCurve(built.equation, built.spectrum), built.equation, notes)


def is_of_atoms(equation: MasterEquation) -> bool:
    """Whether the law is a free product of laws of finitely many atoms, all but one projection of them off zero."""
    factors = equation.factors
    # −log(1 + r w) is that of no projection, or of one of rank 1/r.
    plain = [e for _, e in equation.shifts] == [-1.0] and equation.shifts[0][0] >= 1.0
    return bool(factors) and plain and equation.is_algebraic and all(f.ratio == 1.0 and f.count >= 1.0 for f in factors)


def by_atoms(equation: MasterEquation) -> Assembly:
    """The law of an equation `is_of_atoms`, as that product: however narrow it is, its hull is.

    Raises
    ------
    ConvergenceError : as `spectra.line.assembly.spectrum_of`.
    """
    scale = math.exp(-equation.constant / equation.factors[0].count)
    law: Law | None = None
    for factor in equation.factors:
        places = (factor.law.points.real * scale).tolist()
        one: Law = Discrete(places, factor.law.weights.real.tolist())
        scale = 1.0
        one = one if factor.count == 1.0 else ProductPower(one, factor.count)
        law = one if law is None else Product(law, one)
    assert law is not None
    ratio = float(equation.shifts[0][0])
    if ratio > 1.0:
        law = Product(law, Discrete([0.0, ratio], [1.0 - 1.0 / ratio, 1.0 / ratio]))
    return _assembled(law, equation, ())


def _assembled(curve: Law, equation: MasterEquation, notes: tuple[str, ...]) -> Assembly:
    from .assembly import spectrum_of

    found = spectrum_of(curve, logarithmic=True)
    law: Any = found.spectrum
    law = replace(law, log_scaled_moments=partial(log_scaled_moments, equation), log_mean=-equation.constant)
    return Assembly(law, equation, found.residual, 0, (*notes, *found.notes))
