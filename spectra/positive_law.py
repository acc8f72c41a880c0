"""Laws on [0, ∞) known by the factors of their S-transforms.

S(w) = (1/m_1) Π_i (1 + r_i w)^{e_i} Π_k S_k(r_k w)^{n_k}.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ._types import Array
from .errors import ConvergenceError
from .law import Law
from .laws.nodes import LawStack, NodeLaw
from .line.factors import trace_of_factors
from .line.numbers import Number
from .line.trace import Trace
from .master import Factor, MasterEquation, combine
from .spectrum import Spectrum

if TYPE_CHECKING:
    from .exact.power_series import Ring

# Mass integrated from the density; the engine reaches 1e-12, and a lost bulk or atom shows at once.
MASS_TOLERANCE = 1e-10


@dataclass(frozen=True)
class PositiveLaw(Law):
    """A probability law on [0, ∞) of positive mean, defined by the factors of its S-transform.

    Members to define are `mean`, and `shifts` and `factors` where they are not empty.  Whatever else there is to know
    follows: `spectrum` (density, distribution function, quantiles, atoms), and the functions of `spectra.transforms`.

    Source
    ------
    Voiculescu, J. Operator Theory 18 (1987), 223-235: S determines the law, and is multiplied by ⊠.
    """

    @property
    @abstractmethod
    def mean(self) -> float:
        """m_1 > 0."""

    @property
    def log_mean(self) -> float:
        """Logarithm of m_1, finite where the mean itself is beyond the range of doubles."""
        return math.log(self.mean)

    def shifts(self) -> tuple[tuple[float, float], ...]:
        """Pairs (r, e), r > 0: S has the factor (1 + r w)^e."""
        return ()

    def factors(self, level: int = 0) -> tuple[Factor, ...]:  # noqa: ARG002 (for laws that are approximated)
        """Mean-one laws known through their ψ: S has the factor S_k(r_k w)^{n_k}; finer ones at a higher level."""
        return ()

    @cached_property
    def equation(self) -> MasterEquation:
        """Equation of w = ψ(u): log u = −log m_1 + log w − log(1 + w) + Σ e_i log(1 + r_i w) + Σ n_k log S_k(r_k w)."""
        return self._equation_at(0)

    def _equation_at(self, level: int, extra: int = 0) -> MasterEquation:
        assert extra == 0, "no factor stands for many here; please report"
        return MasterEquation(((1.0, -1.0), *self.shifts()), combine(self.factors(level)), -self.log_mean)

    @cached_property
    def additive_equation(self) -> MasterEquation:
        """Equation of w = g R(g): log g = log(w S(w)), `equation` without its −log(1 + w)."""
        return MasterEquation(self.shifts(), combine(self.factors()), -self.log_mean)

    # -- as a curve: over w or ζ = w/(1 + w), and the v_k of the factors -------------------------------------------

    @cached_property
    def _parts(self) -> tuple[tuple[tuple[float, float], ...], tuple[Factor, ...], LawStack]:
        from .assembly import FINEST_LEVEL

        # Beside its cut a law of D² needs its finest nodes, and curves come near.
        factors = combine(self.factors(FINEST_LEVEL))
        return self.shifts(), factors, LawStack([factor.law for factor in factors])

    @property
    def unknowns(self) -> int:
        """One for w or ζ, and one for every factor known through its ψ."""
        return 1 + len(self._parts[1])

    def trace(self, t: Array) -> Trace:
        """At z = 1/u(w, v) and (1 + w) u, with ψ_k(v_k) = r_k w."""
        return trace_of_factors(*self._parts, self.log_mean, t, rank=self._rank)

    @cached_property
    def _rank(self) -> float | None:
        """Mass off zero of a law without other atoms: w has no poles, but goes to −rank where λ goes to 0."""
        return None if any(factor.law.atoms for factor in self._parts[1]) else self.equation.rank

    def start(self, z: Array) -> Array:
        """To leading order w = m_1/z, v_k = r_k w."""
        w = self.mean / z
        first = w if self._rank is None else w / (self._rank + w)
        return np.stack([first, *(factor.ratio * w for factor in self._parts[1])])

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """m_1 … m_order of the law, by Lagrange inversion in doubles."""
        from .transforms import moments

        return [ring.number(Fraction(float(m))) for m in moments(self, order)]

    @property
    def is_rational(self) -> bool:
        """False: doubles."""
        return False

    def spectrum(self) -> Spectrum:
        """Law on the real axis: density, distribution function, quantiles, bulks and atoms; computed once.

        Where a point failed its certificate, as beside gaps in which G vanishes, found from the law's curve.

        Raises
        ------
        ConvergenceError : a root failed its certificate, or the mass does not come to 1, in both.
        """
        return self._placed

    @cached_property
    def _placed(self) -> Spectrum:
        found = self._found[0]
        places = tuple(sorted(float(place) for place in set(self.places) if 1e-300 < place < 1e300))
        return replace(found, places=places) if places else found

    @property
    def places(self) -> tuple[Number, ...]:
        """Where atoms can be, exactly, so far as they are few."""
        return ()

    @property
    def residual(self) -> float:
        """Largest relative residual of the equations at the points the spectrum was made of."""
        return self._found[1]

    @cached_property
    def _found(self) -> tuple[Spectrum, float]:
        from .assembly import spectrum_of

        try:
            built = spectrum_of(self.equation, self._equation_at)
            defect = abs(built.spectrum.total_mass - 1.0)
            if not built.uncertified and defect < MASS_TOLERANCE:
                return built.spectrum, built.residual
            failed = ConvergenceError(
                f"`{type(self).__name__}.spectrum()`: {built.uncertified} points without certificate, "
                f"mass off by {defect:.1e}",
                residual=built.residual,
                tolerance=MASS_TOLERANCE,
            )
        except ConvergenceError as error:
            failed = error
        try:
            return self._otherwise()
        except ConvergenceError:
            raise failed from None

    def _otherwise(self) -> tuple[Spectrum, float]:
        """The law and its residual where the engine has failed: from its curve."""
        from .line.assembly import spectrum_of

        found = spectrum_of(self, logarithmic=True)
        assert isinstance(found.spectrum, Spectrum), "a law on the half-line is held in log λ; please report"
        return found.spectrum, found.residual


@dataclass(frozen=True)
class NodalLaw(PositiveLaw):
    """A law known through its ψ, as a sum over real or complex nodes.

    Its mass at 0 is a projection of rank p, split off as S = (1 + w)/(1 + w/p) · S_0(w/p), S_0 that of the rest.
    """

    @abstractmethod
    def node_law(self, level: int = 0) -> NodeLaw:
        """Nodes; the same object at every call, so that equal factors can be recognised.

        level : how well a continuous law is resolved beside its ends.
        """

    @property
    def mean(self) -> float:
        """m_1 > 0."""
        return self.node_law().mean

    def shifts(self) -> tuple[tuple[float, float], ...]:
        """(1 + w)/(1 + w/p) where the law has mass 1 − p at 0."""
        law = self.node_law()
        return ((1.0, 1.0), (law.over_rank(1.0), -1.0)) if law.lost > 0.0 else ()

    def factors(self, level: int = 0) -> tuple[Factor, ...]:
        """Part off zero, unless it is one point."""
        law = self.node_law(level)
        return (Factor(law, law.over_rank(1.0), 1.0),) if law.points.size > 1 else ()
