"""Numbers of a network to any number of digits, as balls: proven enclosures where |φ'| has a proven bound.

Each is computed with more and more bits until its ball is narrow enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from flint import arb

from .._types import Array
from ..continuation import locate
from ..errors import ConvergenceError
from ..line.numbers import exactly
from ..master import MasterEquation
from ..network.config import Network
from ..network.jacobian import jacobian_equation
from ..network.meanfield import mean_field
from ..survey import survey
from ..walker import Edge
from .ball_density import enclosed_density
from .ball_edges import enclosed_edge, enclosed_largest
from .ball_equation import BallEquation, ball_equation
from .ball_field import BallField, ball_field
from .ball_moments import PER_ORDER, ball_moments
from .budget import budget
from .narrowing import narrowed
from .pushed_balls import pushed
from .rational_balls import ball_of

# The power of the distance with which a density begins at a critical point.
SQUARE_ROOT = 0.5


@dataclass(frozen=True)
class PreciseNetwork:
    """A network whose numbers can be had to `digits` digits; numbers of its configuration are decimals: 1.1 is 11/10.

    Parameters
    ----------
    net : the network; its activations must have a symbolic form.
    digits : relative accuracy wanted, 10^−digits.

    Raises
    ------
    ConfigError : from every method, where an activation has no symbolic form or no enclosures in ball arithmetic.
    """

    net: Network
    digits: int

    def mean_field(self) -> BallField:
        """σ_w², σ_b², q and χ of every run of layers, and q*."""
        return self._mean_field

    @cached_property
    def _mean_field(self) -> BallField:
        def numbers(field: BallField) -> list[arb]:
            found = [x for run in field.runs for x in (run.q, run.chi)]
            return found if field.chi_1 is None else [*found, field.chi_1]

        return self._narrow(lambda field, _: field, numbers)

    def moments(self, order: int) -> list[arb]:
        """m_1 … m_n of JJᵀ."""
        if len(self._moments) < order:
            more = self._narrow(lambda field, _: ball_moments(field, order), lambda found: found, PER_ORDER * order)
            self._moments[:] = more
        return self._moments[:order]

    @cached_property
    def _moments(self) -> list[arb]:
        return []

    def largest(self) -> arb:
        """λ_max of JJᵀ, the true end of the support, however thin the density there.

        Raises
        ------
        ConvergenceError : it is not shown to be a critical point, or an atom.
        """
        return self._largest

    @cached_property
    def _largest(self) -> arb:
        def enclosed(_: BallField, equation: BallEquation) -> arb:
            one = pushed(equation)
            if one is not None and one.law.atoms is None:
                return one.largest()
            return enclosed_largest(equation, self._top_edge(equation))

        return self._narrow(enclosed, lambda found: [found])

    def _top_edge(self, equation: BallEquation) -> tuple[arb, tuple[arb, ...]] | None:
        """W and y_k at λ_max to a few digits, from the engine in doubles; None where it has no critical point."""
        try:
            arcs = self._arcs
        except ConvergenceError:
            return None
        edges = [edge for arc in arcs for edge in (arc.first, arc.last) if edge is not None]
        top = min(edges, key=lambda edge: edge.log_u, default=None)
        return self._of_edge(equation, top) if top is not None and top.exponent == SQUARE_ROOT else None

    @cached_property
    def _arcs(self) -> tuple[Any, ...]:
        return () if self._engine.single_factor is not None else tuple(survey(self._engine).arcs)

    def _of_edge(self, equation: BallEquation, edge: Edge) -> tuple[arb, tuple[arb, ...]]:
        w, y = _in_balls(self._engine, equation, np.array([edge.zeta]), edge.v.reshape(-1, 1))
        return arb(w.real), tuple(arb(one.real) for one in y)

    def edges(self) -> list[tuple[float, arb | None]]:
        """Ends of bulks at square-root edges: λ in doubles, and to all digits, None where that was not had.

        Each is a ball that holds a critical point of log u, the one that the engine in doubles has found to be an edge.
        """
        found: list[tuple[float, arb | None]] = []
        # (Those of a single law end where φ'² does.)
        for arc in self._arcs:
            for edge in (arc.first, arc.last):
                if edge is None or edge.exponent != SQUARE_ROOT:
                    continue

                def enclosed(_: BallField, equation: BallEquation, edge: Edge = edge) -> arb:
                    return enclosed_edge(equation, *self._of_edge(equation, edge))

                try:
                    ball = self._narrow(enclosed, lambda ball: [ball])
                except ConvergenceError:
                    ball = None
                found.append((math.exp(-edge.log_u), ball))
        return found

    def density(self, location: float) -> arb:
        """ρ(λ) at a point inside a bulk or below 0; of one orthogonal layer anywhere off its corners and atoms.

        Raises
        ------
        ConvergenceError : no root was found there: λ lies in a gap, or outside the support; or at 0, at an atom, or a
            critical value of φ'².
        """
        if location == 0.0 or not math.isfinite(location):
            raise ConvergenceError(f"the density at λ = {location:g} is not proven: λ must be finite, and not 0")
        if location < 0.0:
            # JJᵀ ≥ 0.
            return arb(0)
        if location not in self._densities:
            exact = exactly(location)

            def enclosed(_: BallField, equation: BallEquation) -> arb:
                one = pushed(equation)
                if one is not None:
                    return one.density(ball_of(exact))
                return enclosed_density(equation, _start(self._engine, equation, location), ball_of(exact))

            self._densities[location] = self._narrow(enclosed, lambda found: [found])
        return self._densities[location]

    @cached_property
    def _densities(self) -> dict[float, arb]:
        return {}

    @cached_property
    def _engine(self) -> MasterEquation:
        return jacobian_equation(mean_field(self.net))

    @property
    def proven(self) -> bool:
        """Whether what is given are proven enclosures."""
        return self._mean_field.proven

    def _narrow(
        self, compute: Callable[[BallField, BallEquation], Any], judged: Callable[[Any], list[arb]], more: int = 0
    ) -> Any:
        def with_equation() -> Any:
            field = ball_field(self.net)
            return compute(field, ball_equation(field))

        with budget():
            return narrowed(with_equation, judged, self.digits, more)


def _start(engine: MasterEquation, equation: BallEquation, location: float) -> tuple[complex, tuple[complex, ...]]:
    """The solution w, y_1 … at λ to a few digits, from the engine in doubles."""
    roots = locate(engine, np.array([-math.log(location)]))
    return _in_balls(engine, equation, roots.zeta, roots.v)


def _in_balls(
    engine: MasterEquation, equation: BallEquation, zeta: Array, v: Array
) -> tuple[complex, tuple[complex, ...]]:
    """W and y_1 … of the factors in balls, from one solution (ζ (1,), v (K, 1)) of the engine in doubles."""
    w = complex(engine.moment_function(zeta)[0])
    starts = []
    for factor in equation.factors:
        ratio = float(factor.ratio.mid())
        mean = float(factor.law.mean.mid())
        kin = [
            (abs(mean - one.law.mean), k)
            for k, one in enumerate(engine.factors)
            if isinstance(one.family, tuple)
            and one.family[0] == factor.law.activation
            and math.isclose(one.family[1], ratio)
        ]
        if not kin:
            # Of a projection χ is known in closed form.
            starts.append(1j)
            continue
        law = engine.factors[min(kin)[1]].law
        starts.append(complex(v[min(kin)[1], 0]) * law.rank / mean)
    return w, tuple(starts)
